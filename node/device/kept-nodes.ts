import { hash } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import { codeOf, concat, equalBytes } from '../base/index.ts'
import { type GetBlock, NODE_MAX_BYTES } from '../chunks/index.ts'
import { writeAll } from './stage.ts'

/** Digest of the node's CID, offset u64 and length u32 in the file, little endian. */
const ENTRY_BYTES = 44
const HASH_BYTES = 32
const MAGIC = Buffer.from('ioexnod1')
/** Magic, and where the entries begin, u64. */
const HEAD_BYTES = 16
const DAG_CBOR_CODEC = 0x71

interface Place {
  readonly offset: number
  readonly bytes: number
}

/**
 * The recipe of an installed image: the nodes of its tree, of which the next release has most again. 110 bytes for
 * each chunk of the image, so a device keeps them when it lets go of the blocks.
 */
export interface KeptNodes {
  /** The block, hashed just now; undefined when it is not among them (any more). */
  read(cid: CID): Promise<Uint8Array | undefined>
  close(): Promise<void>
}

/** Undefined when there are none: then the nodes are fetched. */
export async function openKeptNodes(path: string): Promise<KeptNodes | undefined> {
  const file = await openIfThere(path)
  const places = file === undefined ? undefined : await readPlaces(file)
  if (file === undefined || places === undefined) {
    await file?.close()
    return undefined
  }
  return {
    async read(cid) {
      const place = places.get(keyOf(cid.multihash.digest))
      if (place === undefined) return undefined
      const bytes = Buffer.alloc(place.bytes)
      const { bytesRead } = await file.read(bytes, 0, place.bytes, place.offset)
      const isIntact =
        bytesRead === place.bytes &&
        equalBytes(hash('sha256', bytes, 'buffer'), cid.multihash.digest)
      return isIntact ? bytes : undefined
    },
    close: () => file.close(),
  }
}

/** Takes the nodes of a tree down as they are read. */
export interface NodeKeeper {
  /** As the source gives them; nodes that an earlier image left behind do not come from there again. */
  readonly get: GetBlock
  /** Gives the file its name; what is not saved leaves the earlier one as it was. */
  save(): Promise<void>
  close(): Promise<void>
}

export async function createNodeKeeper(
  path: string,
  source: GetBlock,
  earlier: KeptNodes | undefined,
): Promise<NodeKeeper> {
  const part = `${path}.part`
  const file = await open(part, 'w')
  const entries = new Map<string, Place & { readonly digest: Uint8Array }>()
  let end = HEAD_BYTES
  const keep = async (cid: CID, bytes: Uint8Array): Promise<void> => {
    const { digest } = cid.multihash
    if (entries.has(keyOf(digest))) return
    const offset = end
    end += bytes.byteLength
    entries.set(keyOf(digest), { digest, offset, bytes: bytes.byteLength })
    await writeAll(file, bytes, offset)
  }
  return {
    async get(cid, options) {
      if (cid.code !== DAG_CBOR_CODEC) return source(cid, options)
      const bytes = (await earlier?.read(cid)) ?? (await source(cid, options))
      await keep(cid, bytes)
      return bytes
    },
    async save() {
      await writeAll(file, concat([...entries.values()].map(encodeEntry)), end)
      const head = Buffer.alloc(HEAD_BYTES)
      head.set(MAGIC)
      head.writeBigUInt64LE(BigInt(end), MAGIC.byteLength)
      await writeAll(file, head, 0)
      await file.sync()
      await rename(part, path)
    },
    async close() {
      await file.close()
      await rm(part, { force: true })
    },
  }
}

function encodeEntry(entry: Place & { readonly digest: Uint8Array }): Uint8Array {
  const record = Buffer.alloc(ENTRY_BYTES)
  record.set(entry.digest)
  record.writeBigUInt64LE(BigInt(entry.offset), HASH_BYTES)
  record.writeUInt32LE(entry.bytes, HASH_BYTES + 8)
  return record
}

/** Undefined when the file is none of ours, or is cut off. */
async function readPlaces(file: FileHandle): Promise<Map<string, Place> | undefined> {
  const head = Buffer.alloc(HEAD_BYTES)
  await file.read(head, 0, HEAD_BYTES, 0)
  if (!head.subarray(0, MAGIC.byteLength).equals(MAGIC)) return undefined
  const { size } = await file.stat()
  const entriesAt = Number(head.readBigUInt64LE(MAGIC.byteLength))
  if (entriesAt > size) return undefined
  const entries = Buffer.alloc(size - entriesAt)
  await file.read(entries, 0, entries.byteLength, entriesAt)
  const places = new Map<string, Place>()
  for (let at = 0; at + ENTRY_BYTES <= entries.byteLength; at += ENTRY_BYTES) {
    const offset = Number(entries.readBigUInt64LE(at + HASH_BYTES))
    const bytes = entries.readUInt32LE(at + HASH_BYTES + 8)
    if (bytes > NODE_MAX_BYTES) return undefined
    places.set(keyOf(entries.subarray(at, at + HASH_BYTES)), { offset, bytes })
  }
  return places
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

function keyOf(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1')
}
