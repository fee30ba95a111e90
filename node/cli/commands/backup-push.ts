import { backupOptions, count, driveRefusal, omissionLines } from '../backup-node.ts'
import { pairingOptions, snapshotJson, withDrive } from '../backup-node.ts'
import { defineCommand } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { formatBytes } from '../format.ts'
import { argument, text, value, wholeNumber } from '../options.ts'
import type { PushReport } from '../../drive/index.ts'

export const command = defineCommand({
  about: 'Back up a folder to your friends; what they have already is not sent again.',
  examples: [
    'ioex backup push ~/Photos',
    'ioex backup push ~/Photos --copies 2 --json',
    'ioex backup push ~/Photos --pair 2wPxAq…@http://192.0.2.7:4180/knock --pairing-code-file code.txt',
  ],
  options: {
    ...backupOptions,
    ...pairingOptions,
    copies: value(
      '--copies N',
      'friends that shall have it, at least; all when left out',
      wholeNumber(1, 12),
    ),
    label: text('--label TEXT', 'name of the snapshot; that of the folder when left out'),
  },
  args: { path: argument('PATH', 'the folder') },
  next: 'ioex backup list',
  async run(call) {
    const { options, args, say, signal } = call
    const report = await withDrive(call, async ({ drive }) => {
      const bar = say.progress({ label: 'Reading', unit: 'bytes' })
      const pushed = await drive.push(args.path, {
        signal,
        ...(options.copies === undefined ? {} : { copies: options.copies }),
        ...(options.label === undefined ? {} : { label: options.label }),
        onProgress: (at) =>
          at.phase === 'reading'
            ? bar.update({ done: at.bytes, detail: count(at.files, 'file', 'files') })
            : bar.update({
                label: 'Storing',
                done: at.storedBytes,
                total: at.sealedBytes,
                detail: 'at each friend',
              }),
      })
      bar.stop()
      if (!pushed.ok) throw driveRefusal(pushed.reason)
      return pushed.value
    })
    const stored = report.peers.filter((peer) => peer.stored).length
    if (stored === 0) {
      const why = report.peers.map(({ peerId, reason }) => `${peerId} ${reason ?? ''}`).join(', ')
      throw new Failure('not-stored', `no friend took the backup: ${why}`, {
        fix: 'See that they run and have room, then run the same command again.',
        exitCode: ExitCode.unreachable,
      })
    }
    say.result({
      json: {
        ...report,
        snapshot: snapshotJson(report.snapshot),
        forgotten: report.forgotten.map(snapshotJson),
        copies: stored,
      },
      text: textOf(report, stored),
      id: report.snapshot.id,
    })
    return report.omittedCount > 0 || !report.enough ? ExitCode.partly : undefined
  },
})

function textOf(report: PushReport, stored: number): string {
  const { snapshot, newBytes, omitted, omittedCount, peers, findable, forgotten } = report
  const nodes = stored === peers.length ? `${stored}` : `${stored} of ${peers.length}`
  const lines = [
    `Saved ${count(snapshot.files, 'file', 'files')}, ${formatBytes(snapshot.bytes)}, on ${nodes} ${peers.length === 1 ? 'node' : 'nodes'}. New: ${formatBytes(newBytes)}.`,
    `Snapshot ${snapshot.id}`,
  ]
  for (const { peerId, stored: has, reason } of peers) {
    if (!has) lines.push(`Not on ${peerId}: ${reason ?? 'unknown'}`)
  }
  if (omittedCount > 0) {
    const what = count(omittedCount, 'entry was', 'entries were')
    lines.push(`${what} left out:`, omissionLines(omitted, omittedCount))
  }
  if (!findable) {
    lines.push(
      'The network did not take note of where it is; restoring needs --peer until it does.',
    )
  }
  if (forgotten.length > 0) {
    lines.push(`The oldest ${count(forgotten.length, 'snapshot was', 'snapshots were')} given up.`)
  }
  return lines.join('\n')
}
