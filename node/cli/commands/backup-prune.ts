import { backupOptions, count, driveRefusal, snapshotJson, withDrive } from '../backup-node.ts'
import { defineCommand } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { flag, required, value, wholeNumber } from '../options.ts'

export const command = defineCommand({
  about: 'Forget all but the newest snapshots, here and at your friends.',
  examples: ['ioex backup prune --keep 10', 'ioex backup prune --keep 1 --yes --json'],
  options: {
    ...backupOptions,
    keep: required(value('--keep N', 'how many snapshots stay', wholeNumber(1, 256))),
    yes: flag('--yes', 'do not ask'),
  },
  next: 'ioex backup list',
  async run(call) {
    const { options, say, signal } = call
    const question = `Forget all but the newest ${count(options.keep, 'snapshot', 'snapshots')} for good?`
    if (!options.yes) await say.confirm({ question, flag: '--yes', signal })
    const { removed, pending } = await withDrive(call, async ({ drive }) => {
      const pruned = await drive.prune(options.keep, { signal })
      if (!pruned.ok) throw driveRefusal(pruned.reason)
      return pruned.value
    })
    const later =
      pending === 0
        ? ''
        : ` ${count(pending, 'root waits', 'roots wait')} for friends that are away.`
    say.result({
      json: { removed: removed.map(snapshotJson), pending },
      text: `Forgot ${count(removed.length, 'snapshot', 'snapshots')}.${later}`,
      id: removed.map(({ id }) => id).join('\n'),
    })
    return pending > 0 ? ExitCode.partly : undefined
  },
})
