import { backupOptions, count, driveRefusal, snapshotJson, withDrive } from '../backup-node.ts'
import { defineCommand } from '../command.ts'
import { formatBytes } from '../format.ts'
import { argument } from '../options.ts'

export const command = defineCommand({
  about: 'Bring a snapshot back; run again, it goes on where it stopped.',
  examples: [
    'ioex backup restore latest ~/Restored',
    'ioex backup restore bafyrei… ~/Restored --peer /ip4/192.0.2.7/tcp/4001/p2p/16Uiu2…',
  ],
  options: backupOptions,
  args: {
    snapshot: argument('SNAPSHOT', 'as ioex backup list prints it, or latest'),
    destination: argument('DEST', 'the folder to write to; best an empty one'),
  },
  async run(call) {
    const { args, say, signal } = call
    const report = await withDrive(call, async ({ drive }) => {
      const bar = say.progress({ label: 'Restoring', unit: 'bytes' })
      const restored = await drive.restore(args.snapshot, args.destination, {
        signal,
        onProgress: ({ files, bytes, totalFiles, totalBytes }) =>
          bar.update({
            done: bytes,
            total: totalBytes,
            detail: `${files.toLocaleString('en-US')} of ${count(totalFiles, 'file', 'files')}`,
          }),
      })
      bar.stop()
      if (!restored.ok) throw driveRefusal(restored.reason)
      return restored.value
    })
    const { snapshot, files, bytes, fetchedBytes, kept } = report
    const before = kept === 0 ? '' : ` ${count(kept, 'file was', 'files were')} there already.`
    say.result({
      json: { ...report, snapshot: snapshotJson(snapshot), destination: args.destination },
      text: `Restored ${count(files, 'file', 'files')}, ${formatBytes(bytes)}, of ${snapshot.createdAt} to ${args.destination}. Fetched ${formatBytes(fetchedBytes)}.${before}`,
      id: snapshot.id,
    })
    return undefined
  },
})
