import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Everything that was written to the file system of this folder: for stores that do not sync by themselves. */
export async function syncFileSystem(folder: string): Promise<void> {
  await run('sync', ['-f', folder])
}

/** Everything on this machine. */
export async function syncAll(): Promise<void> {
  await run('sync')
}
