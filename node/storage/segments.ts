import { join } from 'node:path'
import { codeOf, type HeldBytes, type Log, systemRandom } from '../base/index.ts'
import { storageStopped } from './failures.ts'
import { type FileLayer, readWhole, replaceFile, type StoredFile } from './file-layer.ts'
import { createHandleCache } from './handle-cache.ts'
import { OPEN_FILES } from './limits.ts'
import {
  decodeIndex,
  encodeIndex,
  newSegmentHeader,
  RECORD_HEADER_BYTES,
  recordBytes,
  recordHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentEntry,
  saltOf,
} from './segment-format.ts'
import { scanSegment } from './segment-scan.ts'
import { createSpanReader } from './span-reader.ts'

/** Where the bytes of a block are. */
export interface Location {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

interface NewRecord {
  readonly digest: Uint8Array
  readonly bytes: Uint8Array
}

/** The append-only files. Knows nothing of which block is alive. */
export interface Segments {
  /** Calls `found` for every record of every segment, oldest segment first. */
  load(found: (segment: number, entry: SegmentEntry) => void): Promise<void>
  /**
   * Resolves once all records are durable. `durable` is called for each in the very tick in which `list` counts
   * it, so that a record is never taken for a dead one. On an error the rest is cut off again.
   */
  append(
    records: readonly NewRecord[],
    durable: (record: number, location: Location) => void,
  ): Promise<void>
  /** The bytes, unchecked and perhaps fewer, to be released; undefined when the segment is gone. */
  read(location: Location): Promise<HeldBytes | undefined>
  /** All segments with their length in bytes; the open one is last, if there is one. */
  list(): readonly { readonly id: number; readonly length: number; readonly open: boolean }[]
  /** Ends the open segment, so that it can be rewritten. */
  seal(): Promise<void>
  /** All records of a sealed segment that its index tells of, dead ones among them. */
  entries(id: number): Promise<readonly SegmentEntry[]>
  /** Tells a sealed segment's index which records are still alive. */
  writeIndex(id: number, entries: readonly SegmentEntry[]): Promise<void>
  remove(id: number): Promise<void>
  close(): Promise<void>
}

interface Known {
  readonly salt: Uint8Array
  length: number
}

interface Open {
  readonly id: number
  readonly file: StoredFile
  readonly known: Known
  readonly entries: SegmentEntry[]
}

export interface SegmentsOptions {
  readonly folder: string
  readonly segmentBytes: number
}

export function createSegments(
  needs: { readonly files: FileLayer; readonly log: Log },
  options: SegmentsOptions,
): Segments {
  const { files, log } = needs
  const { folder, segmentBytes } = options
  const handles = createHandleCache(files, OPEN_FILES)
  const segments = new Map<number, Known>()
  let open: Open | undefined
  let nextId = 1

  const spans = createSpanReader((segment, read) => handles.use(pathOf(segment), read))
  let closed = false
  let lastTurn: Promise<unknown> = Promise.resolve()

  /** Appending, sealing, writing indexes and removing: whoever seals a segment may still be at its index. */
  const oneAtATime = <T>(run: () => Promise<T>): Promise<T> => {
    if (closed) return Promise.reject(storageStopped())
    const turn = lastTurn.then(run)
    lastTurn = turn.catch((thrown: unknown) => {
      log.debug({ error: thrown }, 'a turn at the segments failed')
    })
    return turn
  }
  const pathOf = (id: number) => join(folder, `${id.toString(16).padStart(8, '0')}.seg`)
  const indexPathOf = (id: number) => join(folder, `${id.toString(16).padStart(8, '0')}.idx`)

  const writeIndex = async (id: number, entries: readonly SegmentEntry[]) => {
    const known = segments.get(id)
    if (known === undefined) return
    await replaceFile(files, indexPathOf(id), [encodeIndex(known.salt, known.length, entries)])
  }

  const remove = async (id: number) => {
    segments.delete(id)
    await handles.forget(pathOf(id))
    await files.remove(indexPathOf(id))
    await files.remove(pathOf(id))
  }

  const seal = async () => {
    if (open === undefined) return
    const sealed = open
    open = undefined
    await sealed.file.close()
    try {
      await writeIndex(sealed.id, sealed.entries)
    } catch (thrown) {
      // Not lost: without an index the segment is scanned at the next start, and sealed then.
      log.warn({ segment: sealed.id, error: thrown }, 'could not write the index of a segment')
    }
  }

  const openNew = async (): Promise<Open> => {
    const id = nextId++
    const salt = new Uint8Array(systemRandom.bytes(8))
    const path = pathOf(id)
    const file = await files.open(path, 'create')
    try {
      await file.write([newSegmentHeader(salt)], 0)
      await files.syncFolder(folder)
    } catch (thrown) {
      await file.close()
      await files.remove(path)
      throw thrown
    }
    const known = { salt, length: SEGMENT_HEADER_BYTES }
    segments.set(id, known)
    return { id, file, known, entries: [] }
  }

  /** Appends the records from `first` up to `end` to one segment. */
  const appendRun = async (
    target: Open,
    records: readonly NewRecord[],
    [first, end]: readonly [number, number],
    durable: (record: number, location: Location) => void,
  ): Promise<void> => {
    const start = target.known.length
    const parts: Uint8Array[] = []
    for (const { digest, bytes } of records.slice(first, end))
      parts.push(recordHeader(digest, bytes.byteLength), bytes)
    try {
      await target.file.write(parts, start)
    } catch (thrown) {
      if (!(await cutBack(target, start))) await abandon(target)
      throw thrown
    }
    try {
      await target.file.datasync()
    } catch (thrown) {
      await cutBack(target, start)
      await abandon(target)
      throw thrown
    }
    for (let record = first; record < end; record++) {
      const { digest, bytes } = records[record] as NewRecord
      const offset = target.known.length + RECORD_HEADER_BYTES
      const length = bytes.byteLength
      target.known.length = offset + length
      target.entries.push({ digest, offset, length })
      durable(record, { segment: target.id, offset, length })
    }
  }

  const append = async (
    records: readonly NewRecord[],
    durable: (record: number, location: Location) => void,
  ): Promise<void> => {
    let at = 0
    while (at < records.length) {
      open ??= await openNew()
      let room = segmentBytes - open.known.length
      let to = at
      for (; to < records.length; to++) {
        const size = recordBytes((records[to] as NewRecord).bytes.byteLength)
        if (size > room) break
        room -= size
      }
      // A block larger than a segment gets one of its own.
      if (to === at && open.known.length === SEGMENT_HEADER_BYTES) to++
      if (to === at) {
        await seal()
        continue
      }
      await appendRun(open, records, [at, to], durable)
      at = to
    }
  }

  const cutBack = async (target: Open, length: number) => {
    try {
      await target.file.truncate(length)
      return true
    } catch (thrown) {
      log.warn({ segment: target.id, error: thrown }, 'could not cut a failed write off a segment')
      return false
    }
  }

  /**
   * After a failed barrier nothing is known about the pages behind it (a kernel may drop them and report the
   * error once), so this segment is never appended to again.
   */
  const abandon = async (target: Open) => {
    if (target.entries.length > 0) return seal()
    open = undefined
    await target.file.close()
    await remove(target.id)
  }

  const loadOne = async (
    id: number,
    last: boolean,
    found: (segment: number, entry: SegmentEntry) => void,
  ) => {
    const path = pathOf(id)
    const file = await files.open(path, 'change')
    let keep = false
    try {
      const header = new Uint8Array(SEGMENT_HEADER_BYTES)
      const headerLength = await file.read(header, 0)
      const size = await file.size()
      let salt = saltOf(header.subarray(0, headerLength))
      const index = await readWhole(files, indexPathOf(id))
      const decoded = index && salt && decodeIndex(index, salt)
      if (salt !== undefined && decoded !== undefined && decoded.segmentLength <= size) {
        segments.set(id, { salt, length: decoded.segmentLength })
        for (const entry of decoded.entries) found(id, entry)
        return
      }
      const scan = await scanSegment(file)
      if (scan.entries.length === 0) {
        await file.truncate(0)
        await files.remove(indexPathOf(id))
        await files.remove(path)
        return
      }
      if (scan.damaged > 0 || scan.end < size || salt === undefined)
        log.warn(
          { segment: id, damaged: scan.damaged, cutBytes: size - scan.end },
          'a segment was repaired: a torn tail was cut, damaged blocks count as missing',
        )
      if (salt === undefined) {
        salt = new Uint8Array(systemRandom.bytes(8))
        await file.write([newSegmentHeader(salt)], 0)
      }
      await file.truncate(scan.end)
      // A killed process may have left bytes that no barrier has covered; from here on `has` vouches for them.
      await file.datasync()
      const known = { salt, length: scan.end }
      segments.set(id, known)
      for (const entry of scan.entries) found(id, entry)
      keep = last && index === undefined && scan.end < segmentBytes
      if (keep) open = { id, file, known, entries: [...scan.entries] }
      else await writeIndex(id, scan.entries)
    } finally {
      if (!keep) await file.close()
    }
  }

  return {
    async load(found) {
      await files.makeFolder(folder)
      const ids: number[] = []
      for (const name of await files.names(folder)) {
        const match = /^([0-9a-f]{8})\.seg$/.exec(name)
        if (match?.[1] !== undefined) ids.push(Number.parseInt(match[1], 16))
        else if (name.endsWith('.tmp')) await files.remove(join(folder, name))
      }
      ids.sort((a, b) => a - b)
      const present = new Set(ids)
      for (const name of await files.names(folder)) {
        const match = /^([0-9a-f]{8})\.idx$/.exec(name)
        if (match?.[1] !== undefined && !present.has(Number.parseInt(match[1], 16)))
          await files.remove(join(folder, name))
      }
      for (const id of ids) await loadOne(id, id === ids.at(-1), found)
      nextId = (ids.at(-1) ?? 0) + 1
      await files.syncFolder(folder)
    },
    append: (records, durable) => oneAtATime(() => append(records, durable)),
    async read({ segment, offset, length }) {
      const known = segments.get(segment)
      if (known === undefined) return undefined
      try {
        return await spans.read({ segment, offset, length, end: known.length })
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT') return undefined
        throw thrown
      }
    },
    list: () => [...segments].map(([id, { length }]) => ({ id, length, open: id === open?.id })),
    seal: () => oneAtATime(seal),
    async entries(id) {
      const known = segments.get(id)
      if (known === undefined) return []
      const index = await readWhole(files, indexPathOf(id))
      const decoded = index && decodeIndex(index, known.salt)
      if (decoded !== undefined) return decoded.entries
      const scan = await handles.use(pathOf(id), (file) => scanSegment(file))
      return scan.entries.filter(({ offset, length }) => offset + length <= known.length)
    },
    writeIndex: (id, entries) => oneAtATime(() => writeIndex(id, entries)),
    remove: (id) => oneAtATime(() => remove(id)),
    async close() {
      closed = true
      await lastTurn
      await handles.close()
      const last = open
      open = undefined
      await last?.file.close()
    },
  }
}
