import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { codeOf, equalBytes, utf8 } from '../base/index.ts'
import { DIGEST_BYTES } from './digest.ts'
import { type FileLayer, replaceFile, type StoredFile } from './file-layer.ts'
import { createClosureCache } from './closure-cache.ts'
import { createHandleCache } from './handle-cache.ts'
import { CLOSURE_CACHED_MAX_BYTES, MARK_TURN_ENTRIES, OPEN_FILES } from './limits.ts'
import type { Member } from './session-list.ts'

/**
 * A closure: which blocks a pinned root is made of. `{magic 8, count u32, CRC-32 of the members u32}`, then
 * `{digest 32, codec u32}` each, ascending by digest. Written once, never changed.
 */
const MAGIC = utf8('ioexclo1')
const HEADER_BYTES = 16
const MEMBER_BYTES = DIGEST_BYTES + 4
/** What one look-up reads at most at once: 113 members. */
const PROBE_BYTES = 4_068

type ClosureRead = 'complete' | 'missing' | 'damaged'

export interface Closures {
  /** Takes what `encodeMembers` made, the parts ascending too. Durable once it resolves. */
  write(name: string, parts: readonly Uint8Array[]): Promise<void>
  /** Calls `member` for each, in turns; tells whether the file was there and sound. */
  read(name: string, member: (member: Member) => void, signal?: AbortSignal): Promise<ClosureRead>
  /** `count` is that of the closure's members. */
  contains(name: string, count: number, digest: Uint8Array): Promise<boolean>
  /** One piece of the file after another; goes on reading the file even if it is removed meanwhile. */
  members(name: string): AsyncIterable<Member>
  remove(name: string): Promise<void>
  /** Removes what no pin names: left behind by a crash between two steps. */
  keepOnly(names: ReadonlySet<string>): Promise<void>
  close(): Promise<void>
}

export function createClosures(files: FileLayer, folder: string): Closures {
  const handles = createHandleCache(files, OPEN_FILES)
  const cache = createClosureCache(files)
  const pathOf = (name: string) => join(folder, name)

  const remove = async (name: string) => {
    cache.forget(pathOf(name))
    await handles.forget(pathOf(name))
    await files.remove(pathOf(name))
  }

  return {
    async write(name, parts) {
      const header = new Uint8Array(HEADER_BYTES)
      const view = new DataView(header.buffer)
      let crc = 0
      let bytes = 0
      for (const part of parts) {
        crc = crc32(part, crc)
        bytes += part.byteLength
      }
      header.set(MAGIC)
      view.setUint32(8, bytes / MEMBER_BYTES, true)
      view.setUint32(12, crc, true)
      await replaceFile(files, pathOf(name), [header, ...parts])
    },
    async read(name, member, signal) {
      try {
        return await handles.use(pathOf(name), async (file) => {
          const header = await readHeader(file)
          if (header === undefined) return 'damaged'
          let crc = 0
          for await (const piece of pieces(file, header.count)) {
            signal?.throwIfAborted()
            crc = crc32(piece, crc)
            for (const each of membersOf(piece)) member(each)
          }
          return crc === header.crc ? 'complete' : 'damaged'
        })
      } catch (thrown) {
        if (codeOf(thrown) === 'ENOENT') return 'missing'
        throw thrown
      }
    },
    async contains(name, count, digest) {
      const memberBytes = count * MEMBER_BYTES
      const kept =
        memberBytes > CLOSURE_CACHED_MAX_BYTES ? undefined : await cache.get(pathOf(name))
      if (kept?.byteLength === HEADER_BYTES + memberBytes) {
        return within(kept.subarray(HEADER_BYTES), count, digest)
      }
      return handles.use(pathOf(name), (file) => search(file, count, digest))
    },
    async *members(name) {
      const file = await files.open(pathOf(name), 'read')
      try {
        const header = await readHeader(file)
        if (header === undefined) return
        for await (const piece of pieces(file, header.count)) yield* membersOf(piece)
      } finally {
        await file.close()
      }
    },
    remove,
    async keepOnly(names) {
      await files.makeFolder(folder)
      for (const name of await files.names(folder)) if (!names.has(name)) await remove(name)
    },
    close: () => handles.close(),
  }
}

async function readHeader(
  file: StoredFile,
): Promise<{ readonly count: number; readonly crc: number } | undefined> {
  const header = new Uint8Array(HEADER_BYTES)
  if ((await file.read(header, 0)) < HEADER_BYTES) return undefined
  if (!equalBytes(header.subarray(0, MAGIC.byteLength), MAGIC)) return undefined
  const view = new DataView(header.buffer)
  return { count: view.getUint32(8, true), crc: view.getUint32(12, true) }
}

async function* pieces(file: StoredFile, count: number): AsyncGenerator<Uint8Array> {
  for (let first = 0; first < count; first += MARK_TURN_ENTRIES) {
    const bytes = new Uint8Array(Math.min(MARK_TURN_ENTRIES, count - first) * MEMBER_BYTES)
    const length = await file.read(bytes, HEADER_BYTES + first * MEMBER_BYTES)
    yield bytes.subarray(0, length - (length % MEMBER_BYTES))
  }
}

function* membersOf(piece: Uint8Array): Generator<Member> {
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength)
  for (let at = 0; at < piece.byteLength; at += MEMBER_BYTES)
    yield {
      digest: piece.subarray(at, at + DIGEST_BYTES),
      codec: view.getUint32(at + DIGEST_BYTES, true),
    }
}

/** The members ascending by digest, as they stand in the file. Each digest must be there once. */
export function encodeMembers(members: readonly Member[]): Uint8Array {
  const bytes = new Uint8Array(members.length * MEMBER_BYTES)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const { digest, codec } of members.toSorted((a, b) => Buffer.compare(a.digest, b.digest))) {
    bytes.set(digest, at)
    view.setUint32(at + DIGEST_BYTES, codec, true)
    at += MEMBER_BYTES
  }
  return bytes
}

/**
 * Digests are spread evenly, so the place is guessed from their first four bytes between the nearest known
 * ones: two reads of 4 KiB for a million members. Every third step halves what is left, so that digests that
 * were ground to be alike cost no more than a binary search.
 */
async function search(file: StoredFile, count: number, digest: Uint8Array): Promise<boolean> {
  const perProbe = PROBE_BYTES / MEMBER_BYTES
  const wanted = prefixOf(digest, 0)
  let low = 0
  let high = count
  let below = 0
  let above = 2 ** 32
  for (let step = 1; low < high; step++) {
    const part = step % 3 === 0 || above <= below ? 0.5 : (wanted - below) / (above - below)
    const guess = low + Math.floor(part * (high - low))
    const first = Math.max(low, Math.min(high - perProbe, guess - Math.floor(perProbe / 2)))
    const members = Math.min(perProbe, high - first)
    const bytes = new Uint8Array(members * MEMBER_BYTES)
    if ((await file.read(bytes, HEADER_BYTES + first * MEMBER_BYTES)) < bytes.byteLength)
      return false
    if (compareAt(bytes, 0, digest) > 0) {
      high = first
      above = prefixOf(bytes, 0)
    } else if (compareAt(bytes, members - 1, digest) < 0) {
      low = first + members
      below = prefixOf(bytes, (members - 1) * MEMBER_BYTES)
    } else return within(bytes, members, digest)
  }
  return false
}

function prefixOf(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0)
}

function within(bytes: Uint8Array, count: number, digest: Uint8Array): boolean {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    const order = compareAt(bytes, middle, digest)
    if (order === 0) return true
    if (order < 0) low = middle + 1
    else high = middle
  }
  return false
}

function compareAt(bytes: Uint8Array, member: number, digest: Uint8Array): number {
  return Buffer.compare(
    bytes.subarray(member * MEMBER_BYTES, member * MEMBER_BYTES + DIGEST_BYTES),
    digest,
  )
}
