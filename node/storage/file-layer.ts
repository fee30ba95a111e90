import type { FileHandle } from 'node:fs/promises'
import { open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf, makeFolderDurably, syncFolder } from '../base/index.ts'
import { asStorageError } from './failures.ts'

/** A file of the store, by positions; there is no cursor. */
export interface StoredFile {
  /** Fills `into` from `position`; resolves to the bytes read, fewer than asked for at the end only. */
  read(into: Uint8Array, position: number): Promise<number>
  /** All of it, or it throws; what was written before the error is the caller's to cut off. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>
  /** The bytes and the length survive a power cut once this resolves (fdatasync). */
  datasync(): Promise<void>
  truncate(length: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/**
 * What the store asks of a disk, and all that it asks (SQLite's files apart). A collaborator, so that tests
 * can hand in a disk that is full, that fails, or that loses what was not synced.
 */
export interface FileLayer {
  open(path: string, mode: 'read' | 'change' | 'create'): Promise<StoredFile>
  makeFolder(path: string): Promise<void>
  names(folder: string): Promise<readonly string[]>
  /** Unix milliseconds of the last change of its bytes. */
  changedMs(path: string): Promise<number>
  rename(from: string, to: string): Promise<void>
  /** No error when it is gone already. */
  remove(path: string): Promise<void>
  syncFolder(path: string): Promise<void>
  /** Bytes that this process may still write on that disk. */
  freeBytes(folder: string): Promise<number>
}

const FLAGS = { read: 'r', change: 'r+', create: 'wx' } as const

export const systemFiles: FileLayer = {
  open: async (path, mode) => storedFile(await open(path, FLAGS[mode])),
  // Blocks are sealed, but who one's friends are is not for other users of the machine.
  makeFolder: (path) => makeFolderDurably(path, { mode: 0o700 }),
  names: (folder) => readdir(folder),
  changedMs: async (path) => (await stat(path)).mtimeMs,
  rename,
  remove: (path) => rm(path, { force: true }),
  syncFolder,
  freeBytes: async (folder) => {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
}

/** The same disk, whose errors say `disk-full` when that is what they mean. */
export function withStorageErrors(files: FileLayer): FileLayer {
  const named = async <T>(doing: Promise<T>): Promise<T> => {
    try {
      return await doing
    } catch (thrown) {
      throw asStorageError(thrown)
    }
  }
  return {
    ...files,
    async open(path, mode) {
      const file = await named(files.open(path, mode))
      return {
        ...file,
        write: (parts, position) => named(file.write(parts, position)),
        datasync: () => named(file.datasync()),
        truncate: (length) => named(file.truncate(length)),
      }
    },
    makeFolder: (path) => named(files.makeFolder(path)),
    rename: (from, to) => named(files.rename(from, to)),
    syncFolder: (path) => named(files.syncFolder(path)),
  }
}

function storedFile(handle: FileHandle): StoredFile {
  return {
    async read(into, position) {
      let done = 0
      while (done < into.byteLength) {
        const { bytesRead } = await handle.read(into, done, into.byteLength - done, position + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return done
    },
    async write(parts, position) {
      let rest = parts.filter((part) => part.byteLength > 0)
      let at = position
      while (rest.length > 0) {
        const { bytesWritten } = await handle.writev(rest, at)
        at += bytesWritten
        rest = behind(rest, bytesWritten)
      }
    },
    datasync: () => handle.datasync(),
    truncate: (length) => handle.truncate(length),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  }
}

/** What is left of the parts after the first `bytes` of them; a disk that fills up writes a part of a part. */
function behind(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  let first = 0
  for (; first < parts.length; first++) {
    const length = parts[first]?.byteLength ?? 0
    if (skip < length) break
    skip -= length
  }
  const rest = parts.slice(first)
  if (rest[0] !== undefined && skip > 0) rest[0] = rest[0].subarray(skip)
  return rest
}

/** After a crash at any moment either the old content is there or the new one. */
export async function replaceFile(
  files: FileLayer,
  path: string,
  parts: readonly Uint8Array[],
): Promise<void> {
  const temporary = `${path}.tmp`
  await files.remove(temporary)
  try {
    const file = await files.open(temporary, 'create')
    try {
      await file.write(parts, 0)
      await file.datasync()
    } finally {
      await file.close()
    }
    await files.rename(temporary, path)
  } catch (thrown) {
    await files.remove(temporary)
    throw thrown
  }
  await files.syncFolder(dirname(path))
}

/** The whole content, or undefined when there is no such file. */
export async function readWhole(files: FileLayer, path: string): Promise<Uint8Array | undefined> {
  let file: StoredFile
  try {
    file = await files.open(path, 'read')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
  try {
    const bytes = new Uint8Array(await file.size())
    return bytes.subarray(0, await file.read(bytes, 0))
  } finally {
    await file.close()
  }
}
