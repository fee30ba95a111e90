import { createCipheriv, createDecipheriv } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { concat, type Random } from '../base/index.ts'
import { type NodeRef, refFromValue } from './index-tree.ts'
import { HEAD_MAX_PEERS } from './limits.ts'

/**
 * Where a drive stands: its newest catalog and the peers that keep it. Sealed under the drive's head key, so
 * that those who keep it learn nothing but when it changes; the record around it is signed and numbered.
 */
export interface Head {
  readonly catalog: NodeRef
  /** Compressed secp256k1 public keys of the peers. */
  readonly peers: readonly Uint8Array[]
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM with a random nonce: one head key seals fewer than 2^32 heads in any lifetime (NIST SP 800-38D). */
export function sealHead(head: Head, key: Uint8Array, random: Random): Uint8Array {
  const plain = dagCbor.encode({
    v: 1,
    catalog: [head.catalog.cid, head.catalog.key],
    peers: head.peers.slice(0, HEAD_MAX_PEERS),
  })
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Undefined when it was not sealed with this key, or is no head. */
export function openHead(sealed: Uint8Array, key: Uint8Array): Head | undefined {
  if (sealed.byteLength < NONCE_BYTES + TAG_BYTES) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  let plain: Uint8Array
  try {
    plain = concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch {
    // GCM says no more than that the key or the bytes are wrong; the caller tries the next record.
    return undefined
  }
  const value: unknown = dagCbor.decode(plain)
  if (typeof value !== 'object' || value === null || !('catalog' in value) || !('peers' in value)) {
    return undefined
  }
  const { peers } = value
  if (!Array.isArray(peers) || peers.length > HEAD_MAX_PEERS) return undefined
  const keys = peers.filter(
    (peer): peer is Uint8Array => peer instanceof Uint8Array && peer.byteLength === 33,
  )
  return { catalog: refFromValue(value.catalog), peers: keys }
}
