import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { syncFolder } from '@ioex/node/base'
import { bridgeError } from './types.ts'

/**
 * A write-ahead log: one line per record, its CRC-32 before it. What `append` has resolved for is on disk. A line
 * that a crash cut short is the last one, and is dropped on opening; any other damage is an error, because records
 * after it would be lost silently.
 */
export interface Journal {
  append(records: readonly unknown[]): Promise<void>
  close(): Promise<void>
}

const FILE = 'bridge.journal'
const LOCK = 'bridge.lock.sqlite'

/** `replay` gets every record, oldest first, before this resolves. */
export async function openJournal(
  folder: string,
  replay: (record: unknown) => void,
): Promise<Journal> {
  await mkdir(folder, { recursive: true })
  const unlock = lock(join(folder, LOCK))
  let handle: FileHandle | undefined
  try {
    const path = join(folder, FILE)
    handle = await open(path, 'a+')
    const whole = await readRecords(path, replay)
    const { size } = await handle.stat()
    // The last record may be whole but for its line end.
    if (whole > size) await handle.appendFile('\n')
    if (whole < size) await handle.truncate(whole)
    await handle.sync()
    await syncFolder(folder)
    return journalOn(handle, whole, unlock)
  } catch (thrown) {
    await handle?.close()
    unlock()
    throw thrown
  }
}

function journalOn(handle: FileHandle, bytes: number, unlock: () => void): Journal {
  let size = bytes
  let last = Promise.resolve()
  let closing: Promise<void> | undefined
  const write = async (records: readonly unknown[]) => {
    const lines = Buffer.from(records.map(lineOf).join(''))
    // A write that failed half-way (the disk was full) is cut off here before the next one.
    if ((await handle.stat()).size !== size) await handle.truncate(size)
    await handle.appendFile(lines)
    await handle.datasync()
    size += lines.byteLength
  }
  return {
    append(records) {
      const mine = last.then(() => (records.length === 0 ? undefined : write(records)))
      // A failed write is told to its caller; the order of those after it must hold all the same.
      last = mine.then(
        () => undefined,
        () => undefined,
      )
      return mine
    },
    close() {
      closing ??= last.then(() => handle.close()).then(unlock)
      return closing
    },
  }
}

function lineOf(record: unknown): string {
  const json = JSON.stringify(record)
  return `${checksum(json)} ${json}\n`
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
}

/** Returns how many bytes from the start are whole records. */
async function readRecords(path: string, replay: (record: unknown) => void): Promise<number> {
  let whole = 0
  let damaged: number | undefined
  let number = 0
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity })
  for await (const line of lines) {
    number++
    if (damaged !== undefined) {
      throw bridgeError('journal-damaged', `line ${damaged} of the journal is damaged`, {
        blame: 'local',
        fix: `Restore ${path} from a copy, or remove it: the bridge then reads all receipts again.`,
      })
    }
    const json = line.slice(9)
    if (line.slice(0, 8) === checksum(json)) {
      replay(JSON.parse(json))
      whole += Buffer.byteLength(line) + 1
    } else {
      damaged = number
    }
  }
  return whole
}

/**
 * Two bridges on one folder would write into one another's records. The lock is the kernel's, on an empty SQLite
 * file: it goes with its process, also after `kill -9`, so there is no stale one that a reused process number could
 * keep alive. Returns the release.
 */
function lock(path: string): () => void {
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (thrown) {
    database.close()
    throw bridgeError('journal-in-use', `another bridge works in the folder of ${path}`, {
      blame: 'caller',
      fix: 'Stop it, or give this one a folder of its own.',
      cause: thrown,
    })
  }
  return () => database.close()
}
