import { storageStopped } from './failures.ts'
import type { FileLayer, StoredFile } from './file-layer.ts'

/** Read handles of files that are read over and over: the least recently used one is closed when there are too many. */
export interface HandleCache {
  use<T>(path: string, read: (file: StoredFile) => Promise<T>): Promise<T>
  /** Before a file is removed or replaced. Those that are reading it finish on the old content. */
  forget(path: string): Promise<void>
  /** Waits for those who are reading; whoever comes later is refused. */
  close(): Promise<void>
}

interface Entry {
  readonly file: Promise<StoredFile>
  users: number
  unwanted: boolean
}

export function createHandleCache(files: FileLayer, maxOpen: number): HandleCache {
  const entries = new Map<string, Entry>()
  const reading = new Set<Promise<unknown>>()
  let closed = false

  const closeEntry = async (entry: Entry) => {
    await (await entry.file).close()
  }
  const discard = async (path: string, entry: Entry) => {
    entries.delete(path)
    entry.unwanted = true
    if (entry.users === 0) await closeEntry(entry)
  }
  const acquire = (path: string): Entry => {
    const known = entries.get(path)
    const entry = known ?? { file: files.open(path, 'read'), users: 0, unwanted: false }
    entries.delete(path)
    entries.set(path, entry)
    entry.users++
    return entry
  }
  const makeRoom = async () => {
    if (entries.size <= maxOpen) return
    for (const [path, entry] of entries) {
      if (entry.users > 0) continue
      await discard(path, entry)
      return
    }
  }

  const useEntry = async <T>(path: string, read: (file: StoredFile) => Promise<T>): Promise<T> => {
    const entry = acquire(path)
    try {
      const file = await entry.file.catch((thrown: unknown) => {
        if (entries.get(path) === entry) entries.delete(path)
        throw thrown
      })
      return await read(file)
    } finally {
      entry.users--
      if (entry.unwanted && entry.users === 0) await closeEntry(entry)
      else await makeRoom()
    }
  }

  return {
    async use(path, read) {
      if (closed) throw storageStopped()
      const using = useEntry(path, read)
      reading.add(using)
      try {
        return await using
      } finally {
        reading.delete(using)
      }
    },
    async forget(path) {
      const entry = entries.get(path)
      if (entry !== undefined) await discard(path, entry)
    },
    async close() {
      closed = true
      await Promise.allSettled(reading)
      for (const [path, entry] of [...entries]) await discard(path, entry)
    },
  }
}
