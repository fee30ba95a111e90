/**
 * Append-only records, durable in groups. What is appended while the disk is busy shares the next write and
 * fdatasync. After a failed write the file is cut back to what was durable, and everything that waited is
 * refused too, as it may build on what failed; so memory is never ahead of the disk.
 *
 * At start a torn tail (a write that a crash interrupted: never acknowledged) is cut off. Damage with whole
 * frames behind it is something else, a fault of the disk: it is reported, the file is kept as
 * `<name>.damaged`, and every frame before and behind it is read.
 */
import { dirname } from 'node:path'
import { asError, codeOf, type Log } from '../base/index.ts'
import { type BookFile, type BookFiles, systemBookFiles } from './book-files.ts'
import { type Damage, frameBytes, frameOf, scanFrames } from './journal-format.ts'
import { COMPACT_ABOVE_BYTES, COMPACT_FACTOR, MAX_BATCH_BYTES, MAX_QUEUED_BYTES } from './limits.ts'
import { receiptsError } from './types.ts'

export interface JournalNeeds {
  readonly path: string
  readonly log: Log
  /** The system's when it is left out. */
  readonly files?: BookFiles | undefined
  /** The first record: which node's book this is. Another one in the file: book-foreign. */
  readonly header: Uint8Array
  /** Called for every other record at start, in order. */
  readonly replay: (payload: Uint8Array) => void
  /** What is durable and of use, for rewriting the file. Read while appends wait. */
  readonly live: () => Iterable<Uint8Array>
  /** Frames of `live()`, about; cheap. */
  readonly liveBytes: () => number
  /** What was appended and has not become durable is refused and must be forgotten now. */
  readonly rollBack: () => void
}

export interface JournalOptions {
  readonly compactAboveBytes?: number
}

export interface Journal {
  open(): Promise<readonly Damage[]>
  /** `durable` runs when it is, before the promise resolves and in the order of appending. */
  append(payload: Uint8Array, durable: () => void): Promise<void>
  /** Writes what waits, then closes. */
  close(): Promise<void>
}

interface Waiting {
  readonly frame: Buffer
  readonly durable: () => void
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

class FileJournal implements Journal {
  readonly #needs: JournalNeeds
  readonly #files: BookFiles
  readonly #compactAbove: number
  #handle: BookFile | undefined
  #release: (() => void) | undefined
  #bytes = 0
  #retryCompactionAbove = 0
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #running: Promise<void> | undefined
  #broken: Error | undefined

  constructor(needs: JournalNeeds, options: JournalOptions) {
    this.#needs = needs
    this.#files = needs.files ?? systemBookFiles
    this.#compactAbove = options.compactAboveBytes ?? COMPACT_ABOVE_BYTES
  }

  async open(): Promise<readonly Damage[]> {
    const { path } = this.#needs
    await this.#files.makeFolder(dirname(path))
    this.#release = this.#files.lock(`${path}.lock`)
    try {
      this.#handle = await this.#files.open(path, 'whole')
      this.#broken = undefined
      this.#retryCompactionAbove = 0
      return await this.#replay(this.#handle)
    } catch (thrown) {
      await this.#letGo()
      throw thrown
    }
  }

  async #replay(handle: BookFile): Promise<readonly Damage[]> {
    const { path, log } = this.#needs
    const { frames, end, damages } = await scanFrames(
      (into, offset) => handle.read(into, offset),
      (payload, offset) => {
        if (offset > 0) this.#needs.replay(payload)
        else if (Buffer.compare(payload, this.#needs.header) !== 0) throw this.#foreign()
      },
    )
    const size = await handle.size()
    if (frames === 0) {
      if (size > frameBytes(this.#needs.header.byteLength)) throw this.#foreign()
      await this.#beginFile(handle)
      return []
    }
    if (size > end) {
      log.warn(
        { path, bytes: size - end },
        'cut off the end of the book that a crash left unfinished',
      )
      await handle.truncate(end)
    }
    // The process before may have died between a write or a rename and its barrier: what was read just now
    // counts as durable from here on, so it must not go away with the power.
    await handle.datasync()
    await this.#files.syncFolder(dirname(path))
    this.#bytes = end
    if (damages.length > 0) await this.#reportDamage(damages)
    else await this.#compactIfWorthIt()
    return damages
  }

  async #beginFile(handle: BookFile): Promise<void> {
    const frame = frameOf(this.#needs.header)
    await handle.truncate(0)
    await handle.write(frame, 0)
    await handle.datasync()
    await this.#files.syncFolder(dirname(this.#needs.path))
    this.#bytes = frame.byteLength
  }

  #foreign(): Error {
    return receiptsError(
      'book-foreign',
      `${this.#needs.path} is not a book of this node and chain`,
      {
        blame: 'local',
        fix: 'Give this node a folder of its own, or move the file away.',
      },
    )
  }

  async #reportDamage(damages: readonly Damage[]): Promise<void> {
    const { path, log } = this.#needs
    const kept = `${path}.damaged`
    await this.#files.copy(path, kept)
    const bytes = damages.reduce((sum, damage) => sum + damage.bytes, 0)
    log.error(
      { path, kept, damages, bytes },
      'the disk has damaged the book: what stands before and behind the damage was read, the file is kept',
    )
    await this.#tryToCompact()
  }

  append(payload: Uint8Array, durable: () => void): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken)
    if (this.#handle === undefined) return Promise.reject(notStarted())
    const frame = frameOf(payload)
    if (this.#waitingBytes + frame.byteLength > MAX_QUEUED_BYTES) {
      return Promise.reject(
        receiptsError('book-write-failed', 'the disk is too slow for what is to be written', {
          blame: 'local',
          fix: 'Ask for less at once, or put the book on a faster disk.',
        }),
      )
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ frame, durable, resolve, reject })
      this.#waitingBytes += frame.byteLength
      // Not at once: whatever this turn of the event loop still appends goes into the same batch.
      this.#running ??= Promise.resolve().then(() => this.#run())
    })
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && this.#handle !== undefined) {
        await this.#writeBatch(this.#handle, this.#takeBatch())
        await this.#compactIfWorthIt()
      }
    } finally {
      this.#running = undefined
    }
  }

  #takeBatch(): Waiting[] {
    let bytes = 0
    let count = 0
    for (const { frame } of this.#waiting) {
      if (count > 0 && bytes + frame.byteLength > MAX_BATCH_BYTES) break
      bytes += frame.byteLength
      count++
    }
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, count)
  }

  async #writeBatch(handle: BookFile, batch: readonly Waiting[]): Promise<void> {
    const bytes = Buffer.concat(batch.map(({ frame }) => frame))
    try {
      await handle.write(bytes, this.#bytes)
    } catch (thrown) {
      await this.#cutBack(handle)
      this.#refuse(batch, asError(thrown))
      return
    }
    try {
      await handle.datasync()
    } catch (thrown) {
      // After a failed sync nobody knows what is on the disk; only a new start, which reads it, does.
      this.#broken = this.#refuse(batch, asError(thrown))
      return
    }
    this.#bytes += bytes.byteLength
    for (const { durable } of batch) durable()
    for (const { resolve } of batch) resolve()
  }

  async #cutBack(handle: BookFile): Promise<void> {
    try {
      await handle.truncate(this.#bytes)
    } catch (thrown) {
      this.#broken = writeFailed(this.#needs.path, asError(thrown))
    }
  }

  #refuse(batch: readonly Waiting[], cause: Error): Error {
    const error = writeFailed(this.#needs.path, cause)
    this.#needs.log.error({ path: this.#needs.path, error: cause }, 'the book could not be written')
    const refused = [...batch, ...this.#waiting]
    this.#waiting = []
    this.#waitingBytes = 0
    this.#needs.rollBack()
    for (const { reject } of refused) reject(error)
    return error
  }

  async #compactIfWorthIt(): Promise<void> {
    const worth = Math.max(
      this.#compactAbove,
      this.#retryCompactionAbove,
      COMPACT_FACTOR * this.#needs.liveBytes(),
    )
    if (this.#broken === undefined && this.#bytes > worth) await this.#tryToCompact()
  }

  async #tryToCompact(): Promise<void> {
    try {
      await this.#compact()
    } catch (thrown) {
      // The old file is whole and goes on growing; the next try comes when it has doubled.
      this.#retryCompactionAbove = 2 * this.#bytes
      const error = asError(thrown)
      this.#needs.log.warn({ path: this.#needs.path, error }, 'the book could not be rewritten')
    }
  }

  /** Old or new: a crash at any moment leaves one of them whole, as the new one gets its name last. */
  async #compact(): Promise<void> {
    const { path } = this.#needs
    const temporary = `${path}.new`
    await this.#files.remove(temporary)
    const next = await this.#files.open(temporary, 'new')
    let bytes: number
    try {
      bytes = await this.#writeLive(next)
      await next.datasync()
      await this.#files.rename(temporary, path)
    } catch (thrown) {
      await next.close()
      await this.#files.remove(temporary)
      throw thrown
    }
    const previous = this.#handle
    this.#handle = next
    this.#bytes = bytes
    await previous?.close()
    await this.#syncName(path)
  }

  /** Until the folder is synced a power cut may bring the old file back, without what is appended from here on. */
  async #syncName(path: string): Promise<void> {
    try {
      await this.#files.syncFolder(dirname(path))
    } catch (thrown) {
      this.#broken = writeFailed(path, asError(thrown))
      throw this.#broken
    }
  }

  async #writeLive(file: BookFile): Promise<number> {
    let written = 0
    let frames = [frameOf(this.#needs.header)]
    let bytes = frames[0]?.byteLength ?? 0
    const write = async () => {
      await file.write(Buffer.concat(frames), written)
      written += bytes
      frames = []
      bytes = 0
    }
    for (const payload of this.#needs.live()) {
      const frame = frameOf(payload)
      frames.push(frame)
      bytes += frame.byteLength
      if (bytes >= MAX_BATCH_BYTES) await write()
    }
    await write()
    return written
  }

  async close(): Promise<void> {
    await this.#running
    await this.#letGo()
  }

  async #letGo(): Promise<void> {
    const handle = this.#handle
    const release = this.#release
    this.#handle = undefined
    this.#release = undefined
    try {
      await handle?.close()
    } finally {
      release?.()
    }
  }
}

export function createJournal(needs: JournalNeeds, options: JournalOptions): Journal {
  return new FileJournal(needs, options)
}

export function notStarted(): Error {
  return receiptsError('book-not-started', 'the book is not open', {
    blame: 'caller',
    fix: 'Start it first; after stop it takes nothing any more.',
  })
}

function writeFailed(path: string, cause: Error): Error {
  const full = codeOf(cause) === 'ENOSPC' || codeOf(cause) === 'EDQUOT'
  return receiptsError('book-write-failed', `${path} could not be written: ${cause.message}`, {
    blame: 'local',
    fix: full ? 'Make room on the disk.' : 'Look at the disk and start the node again.',
    cause,
  })
}
