import { backupOptions, count, driveRefusal, withDrive } from '../backup-node.ts'
import { defineCommand } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { formatTable } from '../format.ts'
import { value, withDefault } from '../options.ts'

const DEFAULT_PERCENT = 1

export const command = defineCommand({
  about: 'Let every friend prove that it still has your backup, by a random share of its blocks.',
  examples: ['ioex backup check', 'ioex backup check --percent 10 --json'],
  options: {
    ...backupOptions,
    percent: withDefault(
      value('--percent N', 'of the blocks, from 0.01 to 100', percent),
      DEFAULT_PERCENT,
    ),
  },
  next: 'ioex backup push PATH',
  async run(call) {
    const { options, say, signal } = call
    const { peers } = await withDrive(call, async ({ drive }) => {
      const checked = await drive.check({ signal, share: options.percent / 100 })
      if (!checked.ok) throw driveRefusal(checked.reason)
      return checked.value
    })
    const isWhole = (peer: (typeof peers)[number]) => peer.reachable && peer.damagedOrMissing === 0
    say.result({
      json: { peers, percent: options.percent },
      text: formatTable(
        peers.map((peer) => {
          const { peerId, reachable, sampledBlocks, damagedOrMissing } = peer
          const asked = count(sampledBlocks, 'block', 'blocks')
          if (damagedOrMissing > 0) {
            return [say.word('failed'), peerId, `${damagedOrMissing} of ${asked} lost or damaged`]
          }
          if (!reachable) return [say.word('waiting'), peerId, `not reachable; proved ${asked}`]
          return [say.word('ok'), peerId, `proved ${asked}`]
        }),
      ),
      id: peers
        .filter(isWhole)
        .map(({ peerId }) => peerId)
        .join('\n'),
    })
    if (peers.every(isWhole)) return undefined
    return peers.some(isWhole) ? ExitCode.partly : ExitCode.failed
  },
})

function percent(given: string): number {
  const number = Number(given)
  if (!/^\d+(\.\d+)?$/.test(given) || number < 0.01 || number > 100) {
    throw new RangeError('it must be a number from 0.01 to 100')
  }
  return number
}
