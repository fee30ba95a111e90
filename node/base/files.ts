import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { codeOf } from './errors.ts'

/** Makes a rename or a new name in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } catch (thrown) {
    // Windows has no fsync on folders; there a rename is journalled by NTFS.
    if (codeOf(thrown) !== 'EPERM' && codeOf(thrown) !== 'EISDIR') throw thrown
  } finally {
    await handle.close()
  }
}

/**
 * Makes the folder and those above it that are missing, each of which survives a power cut: what is synced in a
 * folder is lost with it all the same when the folder's own name is.
 */
export async function makeFolderDurably(
  folder: string,
  options: { readonly mode?: number } = {},
): Promise<void> {
  const whole = resolve(folder)
  const first = await mkdir(whole, { ...options, recursive: true })
  if (first === undefined) return
  for (let made = whole; made.length >= first.length; made = dirname(made)) {
    await syncFolder(dirname(made))
  }
}

let serial = 0

/**
 * Replaces a file so that after a crash at any moment either the old or the new content is there:
 * temporary file, fsync, rename, fsync of the folder. A stream that throws leaves the old one.
 */
export async function writeFileDurably(
  path: string,
  content: Uint8Array | string | AsyncIterable<Uint8Array>,
  options: { readonly mode?: number } = {},
): Promise<void> {
  const folder = dirname(path)
  await makeFolderDurably(folder)
  const temporary = `${path}.${process.pid}.${serial++}.tmp`
  try {
    const handle = await open(temporary, 'wx', options.mode ?? 0o644)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (thrown) {
    await rm(temporary, { force: true })
    throw thrown
  }
  await syncFolder(folder)
}
