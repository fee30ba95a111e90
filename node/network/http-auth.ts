import type { PeerId } from '@libp2p/interface'
import { createHash, createHmac } from 'node:crypto'
import { concat, equalBytes, utf8 } from '../base/index.ts'
import { REPLAY_SLOTS } from './limits.ts'

/**
 * Every request of a session proves itself: `authorization: ioex <session count hash mac>`, where the MAC is
 * HMAC-SHA256 with the session's key over the server's ID, path, session, count and the body's hash. The key
 * is known to the two sides of the knock only, so a MAC says as much between them as a signature would, and
 * costs 2 us instead of 100. The head alone is judged, before a byte of the body is read.
 */
const SCHEME = 'ioex '
const CONTEXT = utf8('ioex/http/1')
export const SESSION_BYTES = 16
const COUNT_BYTES = 8
const HASH_BYTES = 32
const HEAD_BYTES = SESSION_BYTES + COUNT_BYTES + HASH_BYTES

/** What a knock over HTTP opened: requests to one server, until the grant ends. */
export interface HttpPass {
  readonly server: PeerId
  readonly session: Uint8Array
  readonly key: Uint8Array
  /** Every request has a higher one than those before. */
  nextCount(): number
}

export function createHttpPass(pass: Omit<HttpPass, 'nextCount'>): HttpPass {
  let count = 0
  return { ...pass, nextCount: () => ++count }
}

export interface HttpProof {
  readonly session: string
  readonly count: number
  readonly bodyHash: Uint8Array
  readonly head: Uint8Array
  readonly mac: Uint8Array
}

export function authorize(pass: HttpPass, count: number, path: string, body: Uint8Array): string {
  const head = new Uint8Array(HEAD_BYTES)
  head.set(pass.session)
  new DataView(head.buffer).setBigUint64(SESSION_BYTES, BigInt(count))
  head.set(hashOf(body), SESSION_BYTES + COUNT_BYTES)
  const mac = macOf(pass.key, pass.server, path, head)
  return SCHEME + Buffer.from(concat([head, mac])).toString('base64url')
}

/** Undefined when it has not the form; says nothing about its truth. */
export function readProof(header: string | undefined): HttpProof | undefined {
  if (header?.startsWith(SCHEME) !== true) return undefined
  const bytes = new Uint8Array(Buffer.from(header.slice(SCHEME.length), 'base64url'))
  if (bytes.byteLength !== HEAD_BYTES + HASH_BYTES) return undefined
  const count = new DataView(bytes.buffer).getBigUint64(SESSION_BYTES)
  if (count > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  const head = bytes.subarray(0, HEAD_BYTES)
  return {
    session: head.subarray(0, SESSION_BYTES).toHex(),
    count: Number(count),
    bodyHash: head.subarray(SESSION_BYTES + COUNT_BYTES),
    head,
    mac: bytes.subarray(HEAD_BYTES),
  }
}

export function isProven(key: Uint8Array, self: PeerId, path: string, proof: HttpProof): boolean {
  return equalBytes(macOf(key, self, path, proof.head), proof.mac)
}

export function isBodyOf(proof: HttpProof, body: Uint8Array): boolean {
  return equalBytes(proof.bodyHash, hashOf(body))
}

/**
 * Each count is taken once. The streams of a session send side by side over several sockets, so a strictly
 * rising count would refuse honest requests that overtook one another: counts that differ by REPLAY_SLOTS
 * share a slot, and a slot only rises.
 */
export function createCountGuard(): { take(count: number): boolean } {
  const slots = new Float64Array(REPLAY_SLOTS)
  return {
    take(count) {
      const slot = count % REPLAY_SLOTS
      if (count <= (slots[slot] ?? 0)) return false
      slots[slot] = count
      return true
    },
  }
}

function macOf(key: Uint8Array, server: PeerId, path: string, head: Uint8Array): Uint8Array {
  const id = server.toMultihash().bytes
  return new Uint8Array(
    createHmac('sha256', key)
      .update(CONTEXT)
      .update(Uint8Array.of(id.byteLength))
      .update(id)
      .update(head)
      .update(path)
      .digest(),
  )
}

function hashOf(body: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(body).digest())
}
