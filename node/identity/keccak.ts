import { getHashes, hash } from 'node:crypto'
import { keccak_256 } from '@noble/hashes/sha3.js'

/** A Node that is linked with an OpenSSL before 3.2 has no Keccak with the padding from before SHA-3. */
const native = getHashes().includes('keccak-256')

/** 32 bytes. OpenSSL's where there is one: measured four times as fast as @noble/hashes. */
export function keccak256(bytes: Uint8Array): Uint8Array {
  return native ? new Uint8Array(hash('keccak-256', bytes, 'buffer')) : keccak_256(bytes)
}
