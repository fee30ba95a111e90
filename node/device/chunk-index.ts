import { hash } from 'node:crypto'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { codeOf, MIB, writeFileDurably } from '../base/index.ts'

/** offset u64, length u32, CRC-32 u32, SHA-256 of the plaintext; all little endian. */
const ENTRY_BYTES = 48
const CHECKSUM_AT = 12
/** Of an image that are looked at in one step. */
const LOOK_BYTES = MIB
const MAGIC = Buffer.from('ioexidx2')

interface IndexEntry {
  readonly offset: number
  readonly bytes: number
  /** 32 bytes. */
  readonly plainHash: Uint8Array
}

/**
 * Which chunks an image consists of. It needs no trust: whoever takes a chunk by it hashes what he took.
 */
export interface ChunkIndex {
  add(entry: IndexEntry): void
  /** The CRC-32 of the entry with that number, counted from 0: a faster look whether a disk still holds it. */
  note(entry: number, checksum: number): void
  readonly length: number
  entries(): Iterable<IndexEntry, undefined>
  save(path: string): Promise<void>
}

export function createChunkIndex(): ChunkIndex {
  let buffer = Buffer.alloc(1024 * ENTRY_BYTES)
  let used = 0
  return {
    get length() {
      return used / ENTRY_BYTES
    },
    add({ offset, bytes, plainHash }) {
      if (used === buffer.byteLength) buffer = Buffer.concat([buffer, Buffer.alloc(used)])
      buffer.writeBigUInt64LE(BigInt(offset), used)
      buffer.writeUInt32LE(bytes, used + 8)
      buffer.set(plainHash, used + 16)
      used += ENTRY_BYTES
    },
    note(entry, checksum) {
      buffer.writeUInt32LE(checksum, entry * ENTRY_BYTES + CHECKSUM_AT)
    },
    entries: () => decode(buffer.subarray(0, used)),
    save: (path) => writeFileDurably(path, Buffer.concat([MAGIC, buffer.subarray(0, used)])),
  }
}

function* decode(buffer: Buffer): Generator<IndexEntry & ChunkSum, undefined> {
  for (let at = 0; at + ENTRY_BYTES <= buffer.byteLength; at += ENTRY_BYTES) {
    yield {
      offset: Number(buffer.readBigUInt64LE(at)),
      bytes: buffer.readUInt32LE(at + 8),
      checksum: buffer.readUInt32LE(at + CHECKSUM_AT),
      plainHash: buffer.subarray(at + 16, at + ENTRY_BYTES),
    }
  }
  return undefined
}

/** Chunks of an image that is on this device already. */
export interface LocalChunks {
  /** The chunk's plaintext, hashed just now; undefined when the image does not have it (any more). See `readChunk`. */
  read(plainHash: Uint8Array, bytes: number, into?: Buffer): Promise<Uint8Array | undefined>
  /**
   * Whether the chunks there are as they were installed, by their checksums, each read once: for whoever wants to
   * know before he fetches what only fits to them. What he makes of them still needs its digest.
   */
  isIntact(offset: number, bytes: number): Promise<boolean>
  /** What stands at that place, unchecked; undefined when the image ends before. */
  readAt(offset: number, bytes: number): Promise<Uint8Array | undefined>
  readonly imageBytes: number
  close(): Promise<void>
}

interface ChunkSum {
  readonly offset: number
  readonly bytes: number
  readonly checksum: number
}

/** Chunks are looked at in their order, as many at once as fit into one buffer, and remembered. */
function intactness(file: FileHandle, sums: readonly ChunkSum[]): LocalChunks['isIntact'] {
  const seen = new Map<ChunkSum, boolean>()
  const largest = sums.reduce((most, { bytes }) => Math.max(most, bytes), 0)
  let buffer: Buffer | undefined
  const look = async (chunks: readonly ChunkSum[], from: number, bytes: number) => {
    buffer ??= Buffer.allocUnsafeSlow(Math.max(largest, LOOK_BYTES))
    const read = await readFully(file, from, buffer.subarray(0, bytes))
    for (const chunk of chunks) {
      const at = chunk.offset - from
      const isIntact =
        read !== undefined && crc32(read.subarray(at, at + chunk.bytes)) === chunk.checksum
      seen.set(chunk, isIntact)
    }
  }
  const lookAt = async (chunks: readonly ChunkSum[]): Promise<boolean> => {
    let run: ChunkSum[] = []
    let bytes = 0
    for (const chunk of [...chunks.filter((one) => !seen.has(one)), undefined]) {
      const [first] = run
      const follows = first !== undefined && chunk?.offset === first.offset + bytes
      const isFull = chunk === undefined || !follows || bytes + chunk.bytes > LOOK_BYTES
      if (first !== undefined && isFull) {
        await look(run, first.offset, bytes)
        run = []
        bytes = 0
      }
      if (chunk === undefined) break
      run.push(chunk)
      bytes += chunk.bytes
    }
    return chunks.every((chunk) => seen.get(chunk) === true)
  }
  let before: Promise<unknown> = Promise.resolve()
  return (offset, bytes) => {
    const from = firstEndingBehind(sums, offset)
    const to = firstEndingBehind(sums, offset + bytes - 1)
    const looked = before.then(() => lookAt(sums.slice(from, to + 1)))
    before = looked.catch(() => undefined)
    return looked
  }
}

function firstEndingBehind(sums: readonly ChunkSum[], offset: number): number {
  let low = 0
  let high = sums.length
  while (low < high) {
    const middle = (low + high) >> 1
    const { offset: from, bytes } = sums[middle] ?? { offset: 0, bytes: 0 }
    if (from + bytes <= offset) low = middle + 1
    else high = middle
  }
  return low
}

/** Undefined when there is no usable index or image: then everything is fetched. */
export async function openLocalChunks(
  image: string,
  indexPath: string,
): Promise<LocalChunks | undefined> {
  const bytes = await readIfThere(indexPath)
  if (bytes === undefined || !bytes.subarray(0, MAGIC.byteLength).equals(MAGIC)) return undefined
  const places = new Map<string, number>()
  const sums: ChunkSum[] = []
  let imageBytes = 0
  for (const { plainHash, ...entry } of decode(bytes.subarray(MAGIC.byteLength))) {
    places.set(keyOf(plainHash), entry.offset)
    sums.push(entry)
    imageBytes = entry.offset + entry.bytes
  }
  const file = await openIfThere(image)
  if (file === undefined) return undefined
  return {
    isIntact: intactness(file, sums),
    async read(plainHash, length, into) {
      const offset = places.get(keyOf(plainHash))
      if (offset === undefined) return undefined
      return readChunk(file, offset, length, plainHash, into)
    },
    readAt: (offset, length) => readFully(file, offset, Buffer.allocUnsafe(length)),
    imageBytes,
    close: () => file.close(),
  }
}

/**
 * The bytes at that place if they hash to what is wanted, else undefined. `into` is written over and handed
 * back as far as it was filled: whoever reads a whole image would otherwise leave as many buffers behind.
 */
export async function readChunk(
  file: FileHandle,
  offset: number,
  length: number,
  plainHash: Uint8Array,
  into: Buffer = Buffer.allocUnsafe(length),
): Promise<Uint8Array | undefined> {
  const chunk = await readFully(file, offset, into.subarray(0, length))
  if (chunk === undefined) return undefined
  return hash('sha256', chunk, 'buffer').equals(plainHash) ? chunk : undefined
}

/** Undefined when the file ends before `into` is full. */
async function readFully(
  file: FileHandle,
  offset: number,
  into: Buffer,
): Promise<Buffer | undefined> {
  let got = 0
  while (got < into.byteLength) {
    const { bytesRead } = await file.read(into, got, into.byteLength - got, offset + got)
    if (bytesRead === 0) return undefined
    got += bytesRead
  }
  return into
}

/** Half a digest tells chunks apart well enough to find a place; the whole one is checked on reading. */
function keyOf(plainHash: Uint8Array): string {
  return Buffer.from(plainHash.buffer, plainHash.byteOffset, 16).toString('latin1')
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
