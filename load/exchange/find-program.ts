import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** Servers of Debian are in /usr/sbin, which is not in everybody's PATH. */
const MORE_FOLDERS = ['/usr/sbin', '/usr/local/sbin']

export async function findProgram(name: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...MORE_FOLDERS]
  for (const folder of folders) {
    const path = join(folder, name)
    if (await isExecutable(path)) return path
  }
  return undefined
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    // Not there, or not ours to run.
    return false
  }
}
