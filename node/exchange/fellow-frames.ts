import { decode, encode } from '@ipld/dag-cbor'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import { utf8 } from '../base/index.ts'
import { MAX_PEERS_TOLD, MAX_REACH_ADDRESSES, MAX_URL_BYTES } from './limits.ts'
import type { Source } from './types.ts'
import { violation } from './violation.ts'

/** Where a fellow can be reached: bodies of HERE and PEERS. */
export interface Reach {
  readonly multiaddrs: readonly Multiaddr[]
  /** Base URL of its HTTP listener. */
  readonly http: string | undefined
}

export type ToldPeer = Reach & { readonly peerId: PeerId }

const MAX_ADDRESS_BYTES = 128
/** 53 letters as base58. */
const MAX_PEER_ID_LETTERS = 64

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const reachForm = z.strictObject({
  multiaddrs: z
    .array(bytes.refine((value) => value.byteLength <= MAX_ADDRESS_BYTES && isMultiaddr(value)))
    .max(MAX_REACH_ADDRESSES),
  http: z
    .string()
    .refine(
      (url) =>
        utf8(url).byteLength <= MAX_URL_BYTES && /^https?:\/\//.test(url) && URL.canParse(url),
    )
    .nullable(),
})
const peersForm = z
  .array(
    reachForm.extend({
      peerId: z
        .string()
        .max(MAX_PEER_ID_LETTERS)
        .refine((text) => peerIdOf(text) !== undefined),
    }),
  )
  .max(MAX_PEERS_TOLD)

export function encodeHere(reach: Reach): Uint8Array {
  return encode(plain(reach))
}

/** Throws protocol-violation, as `decodePeers` does. */
export function decodeHere(body: Uint8Array): Reach {
  return reachOf(parse(reachForm, body, 'HERE'))
}

export function encodePeers(peers: readonly ToldPeer[]): Uint8Array {
  return encode(peers.map((peer) => ({ ...plain(peer), peerId: peer.peerId.toString() })))
}

export function decodePeers(body: Uint8Array): ToldPeer[] {
  return parse(peersForm, body, 'PEERS').map(({ peerId, ...reach }) => ({
    ...reachOf(reach),
    peerId: peerIdOf(peerId) as PeerId,
  }))
}

export function sourceOf({ peerId, multiaddrs, http }: ToldPeer): Source {
  return { peerId, multiaddrs, ...(http === undefined ? {} : { http }) }
}

function plain({ multiaddrs, http }: Reach) {
  return {
    multiaddrs: multiaddrs.slice(0, MAX_REACH_ADDRESSES).map((address) => address.bytes),
    http: http ?? null,
  }
}

function reachOf({ multiaddrs, http }: z.infer<typeof reachForm>): Reach {
  return { multiaddrs: multiaddrs.map((address) => multiaddr(address)), http: http ?? undefined }
}

function parse<T>(form: z.ZodType<T>, body: Uint8Array, what: string): T {
  let value: unknown
  try {
    value = decode(body)
  } catch {
    throw violation(`${what} that is not dag-cbor`)
  }
  const parsed = form.safeParse(value)
  if (!parsed.success) throw violation(`${what} of the wrong form`)
  return parsed.data
}

/** Reading a key costs 5 ms, and the same peers are told of over and over; the oldest is forgotten first. */
const known = new Map<string, PeerId>()
const MAX_KNOWN = 1_024

function peerIdOf(text: string): PeerId | undefined {
  const before = known.get(text)
  if (before !== undefined) return before
  try {
    const peerId = peerIdFromString(text)
    if (peerId.type !== 'secp256k1') return undefined
    known.set(text, peerId)
    const [oldest] = known.keys()
    if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest)
    return peerId
  } catch {
    return undefined
  }
}

function isMultiaddr(value: Uint8Array): boolean {
  try {
    multiaddr(value)
    return true
  } catch {
    return false
  }
}
