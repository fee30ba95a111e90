import { backupOptions, driveRefusal, snapshotJson, withDrive } from '../backup-node.ts'
import { defineCommand } from '../command.ts'
import { formatBytes, formatTable } from '../format.ts'
import { printable } from '../say.ts'

export const command = defineCommand({
  about: 'List the snapshots of your backup, newest first.',
  examples: ['ioex backup list', 'ioex backup list --json'],
  options: backupOptions,
  next: 'ioex backup restore latest DEST',
  async run(call) {
    const { say, signal } = call
    const snapshots = await withDrive(call, async ({ drive }) => {
      const listed = await drive.list({ signal })
      if (!listed.ok) throw driveRefusal(listed.reason)
      return listed.value
    })
    say.result({
      json: { snapshots: snapshots.map(snapshotJson) },
      text: formatTable(
        snapshots.map(({ id, createdAt, label, files, bytes }) => [
          createdAt,
          printable(label),
          `${files.toLocaleString('en-US')} files`,
          formatBytes(bytes),
          id,
        ]),
      ),
      id: snapshots.map(({ id }) => id).join('\n'),
    })
    return undefined
  },
})
