import { hash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { readBlockHead, readHeader } from '@ipld/car/decoder'
import type { CID } from 'multiformats/cid'
import { type AbortOptions, codeOf, type HeldBytes, holdBytes, KIB } from '../base/index.ts'
import type { GetBlock } from '../chunks/index.ts'
import { parseReleaseFileHead, type ReleaseFileHead } from '../firmware/index.ts'
import { CAR_MAX_BLOCKS, CAR_READ_BYTES, CHUNK_MAX_BYTES } from './limits.ts'
import { deviceError } from './types.ts'

const DAG_CBOR_CODEC = 0x71
const SHA2_256 = 0x12
/** A chunk that did not shrink is a little longer than its plaintext. */
const BLOCK_MAX_BYTES = CHUNK_MAX_BYTES + KIB

/** A release in one file. Every block was compared with its name when it was opened, and is again when it is read. */
export interface CarFile {
  readonly head: ReleaseFileHead
  has(cid: CID): boolean
  /** Throws `car-damaged`, `car-incomplete`. */
  readonly get: GetBlock
  /** As `get`, for whoever can tell when he is done with the bytes, and releases them. */
  read(cid: CID, options: AbortOptions): Promise<HeldBytes>
  close(): Promise<void>
}

interface Place {
  readonly offset: number
  readonly bytes: number
}

/**
 * Reads the file once from end to end, in pieces, and checks each block, so that a file that was changed or cut
 * off is refused before anything on the device is touched. Throws `car-damaged` and `car-incomplete`, which say
 * where, `release-file-damaged`, and errors of the system.
 */
export async function openCarFile(
  path: string,
  options: AbortOptions & {
    readonly onProgress?: (doneBytes: number, fileBytes: number) => void
  } = {},
): Promise<CarFile> {
  const file = await open(path, 'r')
  try {
    const places = new Map<string, Place>()
    const head = await scan(file, places, options)
    const missing = [
      ...Array.from(head.metadata, ([name, cid]) => [`the metadata file ${name}`, cid] as const),
      ...head.wraps.map((cid) => ['a wrapped key', cid] as const),
      ['the release root', head.root] as const,
    ].find(([, cid]) => !places.has(keyOf(cid)))
    if (missing !== undefined) throw incomplete(`${missing[0]} is not in it`)
    const get: GetBlock = async (cid, abort = {}) => {
      abort.signal?.throwIfAborted()
      const place = places.get(keyOf(cid))
      if (place === undefined) throw incomplete(`${describe(cid, head)} is not in it`)
      const bytes = Buffer.allocUnsafeSlow(place.bytes)
      await readFully(file, bytes, place.offset)
      if (!isBlockOf(cid, bytes)) throw changed(describe(cid, head), place.offset)
      return bytes
    }
    return {
      head,
      has: (cid) => places.has(keyOf(cid)),
      get,
      read: async (cid, abort) => holdBytes(await get(cid, abort)),
      close: () => file.close(),
    }
  } catch (thrown) {
    await file.close()
    throw thrown
  }
}

async function scan(
  file: FileHandle,
  places: Map<string, Place>,
  options: Parameters<typeof openCarFile>[1] & object,
): Promise<ReleaseFileHead> {
  const { size } = await file.stat()
  const reader = createFileReader(file, size)
  const { roots } = await asCar(reader.pos, readHeader(reader, 1))
  let head: ReleaseFileHead | undefined
  while (reader.pos < size) {
    options.signal?.throwIfAborted()
    const start = reader.pos
    const { cid, blockLength } = await asCar(start, readBlockHead(reader))
    const what = () => describe(cid, head)
    if (blockLength < 0 || blockLength > BLOCK_MAX_BYTES) {
      throw damaged(`${what()} at byte ${start} claims a length that no block has`)
    }
    const offset = reader.pos
    const bytes = await reader.view(blockLength, what)
    if (!isBlockOf(cid, bytes)) throw changed(what(), offset)
    if (head === undefined) {
      if (roots.length !== 1 || roots[0]?.equals(cid) !== true) {
        throw damaged('its header names another first block than the one that follows')
      }
      head = parseReleaseFileHead(bytes)
    }
    places.set(keyOf(cid), { offset, bytes: blockLength })
    if (places.size > CAR_MAX_BLOCKS) throw damaged(`it has over ${CAR_MAX_BLOCKS} blocks`)
    options.onProgress?.(reader.pos, size)
  }
  if (head === undefined) throw incomplete('it holds no blocks')
  return head
}

/** Reads forward through one buffer. What `view` gives lasts until the next call; the other ways copy. */
function createFileReader(file: FileHandle, size: number) {
  const buffer = Buffer.allocUnsafeSlow(CAR_READ_BYTES)
  let pos = 0
  let from = 0
  let filled = 0
  const fill = async (wanted: number): Promise<Buffer> => {
    const length = Math.min(wanted, size - pos)
    if (pos < from || pos + length > from + filled) {
      from = pos
      filled = Math.min(buffer.byteLength, size - pos)
      await readFully(file, buffer.subarray(0, filled), pos)
    }
    return buffer.subarray(pos - from, pos - from + length)
  }
  const need = async (length: number, what: () => string): Promise<Buffer> => {
    if (length > BLOCK_MAX_BYTES) {
      throw damaged(`${what()} at byte ${pos} claims ${length} bytes`)
    }
    if (pos + length > size) throw incomplete(`it ends within ${what()} at byte ${size}`)
    return fill(length)
  }
  return {
    get pos() {
      return pos
    },
    seek(length: number) {
      pos += length
    },
    async upTo(length: number) {
      return new Uint8Array(await fill(length))
    },
    async exactly(length: number, seek = false) {
      const bytes = new Uint8Array(await need(length, () => 'a header'))
      if (seek) pos += length
      return bytes
    },
    async view(length: number, what: () => string) {
      const bytes = await need(length, what)
      pos += length
      return bytes
    },
  }
}

async function readFully(file: FileHandle, into: Buffer, position: number): Promise<void> {
  let got = 0
  while (got < into.byteLength) {
    const { bytesRead } = await file.read(into, got, into.byteLength - got, position + got)
    if (bytesRead === 0) throw incomplete(`it became shorter than byte ${position + got}`)
    got += bytesRead
  }
}

/** The decoder's own errors are plain; those of the reader say more. */
async function asCar<T>(at: number, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (cause) {
    if (codeOf(cause) !== undefined) throw cause
    throw damaged(`what stands at byte ${at} is not a part of a CAR (version 1)`, cause)
  }
}

function describe(cid: CID, head: ReleaseFileHead | undefined): string {
  if (head === undefined) return 'its first block, which says what is in it,'
  const key = keyOf(cid)
  for (const [name, own] of head.metadata) {
    if (keyOf(own) === key) return `the metadata file ${name}`
  }
  if (keyOf(head.root) === key) return 'the release root'
  if (head.wraps.some((own) => keyOf(own) === key)) return 'a wrapped key'
  return `${cid.code === DAG_CBOR_CODEC ? 'the recipe node' : 'the chunk'} ${cid.toString()}`
}

function isBlockOf({ multihash }: CID, bytes: Uint8Array): boolean {
  return multihash.code === SHA2_256 && hash('sha256', bytes, 'buffer').equals(multihash.digest)
}

function keyOf({ multihash }: CID): string {
  const { buffer, byteOffset, byteLength } = multihash.digest
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

const MAKE_AGAIN = 'Copy the file again, or make it again: ioex firmware export'

function changed(what: string, offset: number) {
  return damaged(`${what} was changed: the bytes from ${offset} on are not those of its name`)
}

function damaged(what: string, cause?: unknown) {
  return deviceError('car-damaged', `the file cannot be used: ${what}`, {
    blame: 'caller',
    fix: MAKE_AGAIN,
    ...(cause === undefined ? {} : { cause }),
  })
}

export function incomplete(what: string) {
  return deviceError('car-incomplete', `the file is not whole: ${what}`, {
    blame: 'caller',
    fix: MAKE_AGAIN,
  })
}
