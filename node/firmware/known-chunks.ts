import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { concat, equalBytes, utf8 } from '../base/index.ts'
import {
  type ChunkRef,
  type GetBlock,
  type TreeRef,
  type WalkOptions,
  walkTree,
} from '../chunks/index.ts'
import { KNOWN_MAX_CHUNKS } from './limits.ts'
import { sha256 } from './release-root.ts'
import { firmwareError, type KnownChunks } from './types.ts'

const MAGIC = utf8('ioex-known-chunks/1\n')
const HASH_BYTES = 32
/** plaintext hash, key, digest of the CID (raw, sha2-256), plainBytes and sealedBytes little-endian. */
const RECORD_BYTES = 3 * HASH_BYTES + 8
const RAW_CODEC = 0x55
const SHA2_256 = 0x12

/**
 * Reads the recipes of earlier releases, oldest first: beyond KNOWN_MAX_CHUNKS the oldest fall out. Only name
 * releases whose blocks are still kept; what is reused is not stored again.
 */
export async function collectKnown(
  trees: readonly TreeRef[],
  get: GetBlock,
  options: WalkOptions = {},
): Promise<KnownChunks> {
  const chunks = new Map<string, ChunkRef>()
  for (const tree of trees) {
    for await (const ref of walkTree(tree, get, options)) remember(chunks, ref)
  }
  return knownChunks(chunks)
}

/** Reads what `encode` gave. Throws known-chunks-damaged: one wrong bit would make a release that nobody can open. */
export function decodeKnownChunks(bytes: Uint8Array): KnownChunks {
  const end = bytes.byteLength - HASH_BYTES
  const records = (end - MAGIC.byteLength) / RECORD_BYTES
  const plausible = Number.isInteger(records) && records >= 0 && records <= KNOWN_MAX_CHUNKS
  const intact =
    plausible &&
    equalBytes(bytes.subarray(0, MAGIC.byteLength), MAGIC) &&
    equalBytes(bytes.subarray(end), sha256(bytes.subarray(0, end)))
  if (!intact) {
    throw firmwareError('known-chunks-damaged', 'the index of known chunks is damaged', {
      blame: 'local',
      fix: 'Delete it; it is made again from the recipes of the releases that are kept.',
    })
  }
  const chunks = new Map<string, ChunkRef>()
  for (let at = MAGIC.byteLength; at < end; at += RECORD_BYTES) {
    remember(chunks, decodeRecord(bytes.slice(at, at + RECORD_BYTES)))
  }
  return knownChunks(chunks)
}

function knownChunks(chunks: ReadonlyMap<string, ChunkRef>): KnownChunks {
  return {
    find: (plainHashHex) => chunks.get(plainHashHex),
    get size() {
      return chunks.size
    },
    encode() {
      const content = concat([MAGIC, ...Array.from(chunks.values(), encodeRecord)])
      return concat([content, sha256(content)])
    },
  }
}

function remember(chunks: Map<string, ChunkRef>, ref: ChunkRef): void {
  const name = ref.plainHash.toHex()
  // Deleted first, so that it counts as new again: maps keep the order of insertion.
  chunks.delete(name)
  if (chunks.size >= KNOWN_MAX_CHUNKS) {
    const oldest = chunks.keys().next()
    if (oldest.done !== true) chunks.delete(oldest.value)
  }
  chunks.set(name, ref)
}

function encodeRecord(ref: ChunkRef): Uint8Array {
  const sizes = new DataView(new ArrayBuffer(8))
  sizes.setUint32(0, ref.plainBytes, true)
  sizes.setUint32(4, ref.sealedBytes, true)
  return concat([ref.plainHash, ref.key, ref.cid.multihash.digest, new Uint8Array(sizes.buffer)])
}

function decodeRecord(record: Uint8Array): ChunkRef {
  const field = (index: number) => record.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
  const sizes = new DataView(record.buffer, record.byteOffset + 3 * HASH_BYTES)
  return {
    plainHash: field(0),
    key: field(1),
    cid: CID.createV1(RAW_CODEC, Digest.create(SHA2_256, field(2))),
    plainBytes: sizes.getUint32(0, true),
    sealedBytes: sizes.getUint32(4, true),
  }
}
