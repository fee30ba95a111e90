import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'

const SHA2_256 = 0x12
export const DIGEST_BYTES = 32

/** The key of a block: its sha2-256 digest. Undefined for any other hash. The codec belongs to the asker. */
export function digestOf(cid: CID): Uint8Array | undefined {
  const { code, digest } = cid.multihash
  return code === SHA2_256 && digest.byteLength === DIGEST_BYTES ? digest : undefined
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

export function cidOf(digest: Uint8Array, codec: number): CID {
  return CID.createV1(codec, Digest.create(SHA2_256, new Uint8Array(digest)))
}

/** For maps: 32 characters of one byte each, half the size of hexadecimal. */
export function textKey(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1')
}
