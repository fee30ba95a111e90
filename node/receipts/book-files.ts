import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, rename, rm } from 'node:fs/promises'
import { makeFolderDurably, syncFolder } from '../base/index.ts'
import { lockFile } from './file-lock.ts'

/** A file of a book, by positions; there is no cursor. */
export interface BookFile {
  /** Fills `into` from `position`; resolves to the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /** All of it, or it throws; what was written before the error is the caller's to cut off. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** The bytes and the length survive a power cut once this resolves (fdatasync). */
  datasync(): Promise<void>
  truncate(length: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/**
 * What a book asks of a disk, and all that it asks. A collaborator, so that tests can hand in a disk that
 * fails, or that loses what was not synced.
 */
export interface BookFiles {
  makeFolder(path: string): Promise<void>
  /** `whole`: made when it is not there. `new`: must not be there yet. */
  open(path: string, mode: 'whole' | 'new'): Promise<BookFile>
  /** Atomic; survives a power cut when the folder was synced after it. */
  rename(from: string, to: string): Promise<void>
  /** No error when it is gone already. */
  remove(path: string): Promise<void>
  copy(from: string, to: string): Promise<void>
  syncFolder(path: string): Promise<void>
  /** One process at a time, gone with the process. Returns the release. Throws book-in-use. */
  lock(path: string): () => void
}

const FILE_MODE = 0o600
const FLAGS = { whole: constants.O_RDWR | constants.O_CREAT, new: 'wx+' } as const

export const systemBookFiles: BookFiles = {
  makeFolder: (path) => makeFolderDurably(path),
  open: async (path, mode) => bookFile(await open(path, FLAGS[mode], FILE_MODE)),
  rename,
  remove: (path) => rm(path, { force: true }),
  copy: copyFile,
  syncFolder,
  lock: lockFile,
}

function bookFile(handle: FileHandle): BookFile {
  return {
    async read(into, position) {
      let filled = 0
      while (filled < into.byteLength) {
        const left = into.byteLength - filled
        const { bytesRead } = await handle.read(into, filled, left, position + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      return filled
    },
    async write(bytes, position) {
      let written = 0
      while (written < bytes.byteLength) {
        const left = bytes.byteLength - written
        const { bytesWritten } = await handle.write(bytes, written, left, position + written)
        written += bytesWritten
      }
    },
    datasync: () => handle.datasync(),
    truncate: (length) => handle.truncate(length),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
  }
}
