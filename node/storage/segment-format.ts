import { crc32 } from 'node:zlib'
import { equalBytes, utf8 } from '../base/index.ts'
import { DIGEST_BYTES } from './digest.ts'
import { MAX_BLOCK_BYTES } from './limits.ts'

/**
 * A segment: 8 bytes `ioexseg1`, 8 random bytes (its salt), then records. A record is
 * `{magic u32, length u32, CRC-32 of length and digest u32, digest 32, bytes}`, little-endian. The bytes carry
 * no checksum of their own: the digest is one, and it is compared at every read.
 *
 * An index file: `ioexidx1`, the segment's salt, its length u32, the number of entries u32,
 * `{digest 32, offset u32, length u32}` each, CRC-32 of all before u32. The offset is that of the bytes.
 */
const SEGMENT_MAGIC = utf8('ioexseg1')
const INDEX_MAGIC = utf8('ioexidx1')
const RECORD_MAGIC = 0x6b6c_6269
const SALT_BYTES = 8
const INDEX_HEADER_BYTES = 24
const ENTRY_BYTES = DIGEST_BYTES + 8
export const SEGMENT_HEADER_BYTES = 16
export const RECORD_HEADER_BYTES = 12 + DIGEST_BYTES

/** What a block takes on disk, and what it counts against the quota. */
export function recordBytes(blockBytes: number): number {
  return RECORD_HEADER_BYTES + blockBytes
}

export interface SegmentEntry {
  readonly digest: Uint8Array
  /** Of the bytes, behind the record's header. */
  readonly offset: number
  readonly length: number
}

export function newSegmentHeader(salt: Uint8Array): Uint8Array {
  const header = new Uint8Array(SEGMENT_HEADER_BYTES)
  header.set(SEGMENT_MAGIC)
  header.set(salt.subarray(0, SALT_BYTES), SEGMENT_MAGIC.byteLength)
  return header
}

/** The salt, or undefined when this is no segment of ours. */
export function saltOf(header: Uint8Array): Uint8Array | undefined {
  if (header.byteLength < SEGMENT_HEADER_BYTES) return undefined
  if (!equalBytes(header.subarray(0, SEGMENT_MAGIC.byteLength), SEGMENT_MAGIC)) return undefined
  return header.slice(SEGMENT_MAGIC.byteLength, SEGMENT_HEADER_BYTES)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function headerCrc(header: Uint8Array): number {
  return crc32(header.subarray(12, RECORD_HEADER_BYTES), crc32(header.subarray(4, 8)))
}

export function recordHeader(digest: Uint8Array, length: number): Uint8Array {
  const header = new Uint8Array(RECORD_HEADER_BYTES)
  const view = viewOf(header)
  view.setUint32(0, RECORD_MAGIC, true)
  view.setUint32(4, length, true)
  header.set(digest, 12)
  view.setUint32(8, headerCrc(header), true)
  return header
}

/** Undefined when there is no sound record header at the start of `bytes`. */
export function readRecordHeader(
  bytes: Uint8Array,
): { readonly digest: Uint8Array; readonly length: number } | undefined {
  if (bytes.byteLength < RECORD_HEADER_BYTES) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== RECORD_MAGIC) return undefined
  if (view.getUint32(8, true) !== headerCrc(bytes)) return undefined
  const length = view.getUint32(4, true)
  if (length > MAX_BLOCK_BYTES) return undefined
  return { digest: bytes.slice(12, RECORD_HEADER_BYTES), length }
}

/** Where the next record may begin at or behind `from`, or -1. */
export function findRecordMagic(bytes: Uint8Array, from: number): number {
  const magic = new Uint8Array(4)
  viewOf(magic).setUint32(0, RECORD_MAGIC, true)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(magic, from)
}

export function encodeIndex(
  salt: Uint8Array,
  segmentLength: number,
  entries: readonly SegmentEntry[],
): Uint8Array {
  const bytes = new Uint8Array(INDEX_HEADER_BYTES + entries.length * ENTRY_BYTES + 4)
  const view = viewOf(bytes)
  bytes.set(INDEX_MAGIC)
  bytes.set(salt, INDEX_MAGIC.byteLength)
  view.setUint32(16, segmentLength, true)
  view.setUint32(20, entries.length, true)
  let at = INDEX_HEADER_BYTES
  for (const entry of entries) {
    bytes.set(entry.digest, at)
    view.setUint32(at + DIGEST_BYTES, entry.offset, true)
    view.setUint32(at + DIGEST_BYTES + 4, entry.length, true)
    at += ENTRY_BYTES
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)), true)
  return bytes
}

/** Undefined when it is damaged, or belongs to another segment. */
export function decodeIndex(
  bytes: Uint8Array,
  salt: Uint8Array,
): { readonly segmentLength: number; readonly entries: readonly SegmentEntry[] } | undefined {
  if (bytes.byteLength < INDEX_HEADER_BYTES + 4) return undefined
  const view = viewOf(bytes)
  const count = view.getUint32(20, true)
  const end = INDEX_HEADER_BYTES + count * ENTRY_BYTES
  if (bytes.byteLength !== end + 4) return undefined
  if (!equalBytes(bytes.subarray(0, INDEX_MAGIC.byteLength), INDEX_MAGIC)) return undefined
  if (!equalBytes(bytes.subarray(INDEX_MAGIC.byteLength, 16), salt)) return undefined
  if (view.getUint32(end, true) !== crc32(bytes.subarray(0, end))) return undefined
  const entries: SegmentEntry[] = []
  for (let at = INDEX_HEADER_BYTES; at < end; at += ENTRY_BYTES) {
    entries.push({
      digest: bytes.subarray(at, at + DIGEST_BYTES),
      offset: view.getUint32(at + DIGEST_BYTES, true),
      length: view.getUint32(at + DIGEST_BYTES + 4, true),
    })
  }
  return { segmentLength: view.getUint32(16, true), entries }
}
