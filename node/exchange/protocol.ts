/**
 * `/ioex/exchange/1.0.0`: one stream per (root, session). A frame is one byte of kind and a body; digests are
 * the 32 bytes of sha2-256, the only hash there is here.
 *
 * | kind | from | body | meaning |
 * | --- | --- | --- | --- |
 * | OPEN | client | codec u32, digest, grant or nothing | the root; a friend needs no grant |
 * | OPENED | server | bits: 1 metered, 2 a fellow | wants are answered from now on; a fellow fetches the root itself |
 * | REFUSED | server | reason, ASCII | ends the stream, at any time |
 * | WANT | client | digests | in the order of wanting; each gets exactly one BLOCK or NOT_HERE |
 * | WANT_ANY | client | digests | any of them, in the order that suits the server; cancelled without an answer |
 * | CANCEL | client | digests | what was in a WANT and has not gone out yet is answered by NOT_HERE |
 * | HERE | client | addresses, dag-cbor | it serves the root, too, and can be reached there |
 * | BLOCK | server | digest, bytes | |
 * | NOT_HERE | server | digests | not here, not of this root, or cancelled |
 * | HAVE | server | digests | was NOT_HERE and has been stored since |
 * | RECEIPT | client | signed receipt, dag-cbor | pays; no answer is waited for |
 * | RECEIPTED | server | u64 bytes | the receipt up to there is durable |
 * | BUSY | server | | nothing goes out before a receipt has come |
 * | HOLDS | server | prefixes of 8 bytes of digests | a fellow has these by now; without any: it has all |
 * | PEERS | server | list of peers, dag-cbor | fellows that showed a grant for the root and said HERE |
 *
 * Limits: a frame has at most a block and 64 bytes, a server keeps MAX_WANTS_PER_STREAM unanswered wants, and
 * sends no more unpaid bytes than the window that `meter.ts` tells of.
 */
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { concat, utf8 } from '../base/index.ts'
import {
  decodeHere,
  decodePeers,
  encodeHere,
  encodePeers,
  type Reach,
  type ToldPeer,
} from './fellow-frames.ts'
import { MAX_BLOCK_BYTES, MAX_DIGESTS_PER_FRAME, MAX_HOLDS_PER_FRAME } from './limits.ts'
import { violation } from './violation.ts'

export const EXCHANGE_PROTOCOL = '/ioex/exchange/1.0.0'
const DIGEST_BYTES = 32
export const MAX_FRAME_BYTES = MAX_BLOCK_BYTES + 64
const SHA2_256 = 0x12
const RAW = 0x55
const MAX_REASON_BYTES = 64
/** The reason of a REFUSED that only says that nothing was asked for long. */
export const IDLE_REASON = 'idle'

/** A digest as lower-case hexadecimal: the key of maps. */
export type Key = string

/**
 * The first 8 bytes of a digest, as hexadecimal: how fellows tell what they have. Two blocks of one root that
 * are alike in these cost whoever made them some useless questions, and nobody anything else.
 */
export type Prefix = string
const PREFIX_BYTES = 8
const FELLOW = 2
const METERED = 1

const CLIENT_KINDS = { open: 1, want: 2, cancel: 3, receipt: 4, wantAny: 5, here: 6 } as const
const SERVER_KINDS = {
  opened: 0x81,
  refused: 0x82,
  block: 0x83,
  notHere: 0x84,
  have: 0x85,
  receipted: 0x86,
  busy: 0x87,
  holds: 0x88,
  peers: 0x89,
} as const

export type ClientMessage =
  | { readonly kind: 'open'; readonly root: CID; readonly grant: Uint8Array | undefined }
  | { readonly kind: 'want' | 'wantAny' | 'cancel'; readonly keys: readonly Key[] }
  | { readonly kind: 'here'; readonly reach: Reach }
  | { readonly kind: 'receipt'; readonly receipt: Uint8Array }

export type ServerMessage =
  | { readonly kind: 'opened'; readonly metered: boolean; readonly isFellow: boolean }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'block'; readonly key: Key; readonly bytes: Uint8Array }
  | { readonly kind: 'notHere' | 'have'; readonly keys: readonly Key[] }
  | { readonly kind: 'receipted'; readonly bytes: bigint }
  | { readonly kind: 'busy' }
  /** Empty: everything. */
  | { readonly kind: 'holds'; readonly prefixes: readonly Prefix[] }
  | { readonly kind: 'peers'; readonly peers: readonly ToldPeer[] }

/** Undefined when the CID has another hash than sha2-256. */
export function keyOf(cid: CID): Key | undefined {
  const { code, digest } = cid.multihash
  return code === SHA2_256 && digest.byteLength === DIGEST_BYTES ? digest.toHex() : undefined
}

/** Stores look at the digest alone, so any codec will do. */
export function cidOfKey(key: Key, codec: number = RAW): CID {
  return CID.createV1(codec, createDigest(SHA2_256, Uint8Array.fromHex(key)))
}

export function prefixOf(key: Key): Prefix {
  return key.slice(0, 2 * PREFIX_BYTES)
}

export function encodeClient(message: ClientMessage): Uint8Array {
  switch (message.kind) {
    case 'open': {
      const codec = new Uint8Array(4)
      new DataView(codec.buffer).setUint32(0, message.root.code)
      const grant = message.grant ?? new Uint8Array()
      return concat([kind(CLIENT_KINDS.open), codec, message.root.multihash.digest, grant])
    }
    case 'want':
    case 'wantAny':
    case 'cancel':
      return encodeKeys(CLIENT_KINDS[message.kind], message.keys)
    case 'receipt':
      return concat([kind(CLIENT_KINDS.receipt), message.receipt])
    case 'here':
      return concat([kind(CLIENT_KINDS.here), encodeHere(message.reach)])
  }
}

/** Throws protocol-violation. */
export function decodeClient(frame: Uint8Array): ClientMessage {
  const body = frame.subarray(1)
  switch (frame[0]) {
    case CLIENT_KINDS.open: {
      if (body.byteLength < 4 + DIGEST_BYTES) throw violation('an OPEN that is too short')
      const codec = new DataView(body.buffer, body.byteOffset).getUint32(0)
      const key = body.subarray(4, 4 + DIGEST_BYTES).toHex()
      const grant = body.subarray(4 + DIGEST_BYTES)
      return {
        kind: 'open',
        root: cidOfKey(key, codec),
        grant: grant.byteLength === 0 ? undefined : grant,
      }
    }
    case CLIENT_KINDS.want:
      return { kind: 'want', keys: decodeKeys(body) }
    case CLIENT_KINDS.wantAny:
      return { kind: 'wantAny', keys: decodeKeys(body) }
    case CLIENT_KINDS.cancel:
      return { kind: 'cancel', keys: decodeKeys(body) }
    case CLIENT_KINDS.here:
      return { kind: 'here', reach: decodeHere(body) }
    case CLIENT_KINDS.receipt:
      return { kind: 'receipt', receipt: body }
    case undefined:
    default:
      throw violation('a frame of unknown kind')
  }
}

export function encodeServer(message: ServerMessage): Uint8Array {
  switch (message.kind) {
    case 'opened':
      return new Uint8Array([
        SERVER_KINDS.opened,
        (message.metered ? METERED : 0) | (message.isFellow ? FELLOW : 0),
      ])
    case 'refused':
      return concat([kind(SERVER_KINDS.refused), utf8(message.reason.slice(0, MAX_REASON_BYTES))])
    case 'block': {
      const frame = new Uint8Array(1 + DIGEST_BYTES + message.bytes.byteLength)
      frame[0] = SERVER_KINDS.block
      frame.subarray(1, 1 + DIGEST_BYTES).setFromHex(message.key)
      frame.set(message.bytes, 1 + DIGEST_BYTES)
      return frame
    }
    case 'notHere':
    case 'have':
      return encodeKeys(SERVER_KINDS[message.kind], message.keys)
    case 'receipted': {
      const frame = new Uint8Array(9)
      frame[0] = SERVER_KINDS.receipted
      new DataView(frame.buffer).setBigUint64(1, message.bytes)
      return frame
    }
    case 'busy':
      return kind(SERVER_KINDS.busy)
    case 'holds':
      return encodeHex(SERVER_KINDS.holds, message.prefixes, PREFIX_BYTES)
    case 'peers':
      return concat([kind(SERVER_KINDS.peers), encodePeers(message.peers)])
  }
}

/** A BLOCK as two parts, so that the bytes of the block are not copied. */
export function blockFrame(key: Key, bytes: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const head = new Uint8Array(1 + DIGEST_BYTES)
  head[0] = SERVER_KINDS.block
  head.subarray(1).setFromHex(key)
  return [head, bytes]
}

/** Throws protocol-violation. */
export function decodeServer(frame: Uint8Array): ServerMessage {
  const body = frame.subarray(1)
  switch (frame[0]) {
    case SERVER_KINDS.opened:
      return {
        kind: 'opened',
        metered: ((body[0] ?? 0) & METERED) !== 0,
        isFellow: ((body[0] ?? 0) & FELLOW) !== 0,
      }
    case SERVER_KINDS.refused: {
      const reason = Buffer.from(body.subarray(0, MAX_REASON_BYTES)).toString('latin1')
      return { kind: 'refused', reason: /^[a-z-]+$/.test(reason) ? reason : 'refused' }
    }
    case SERVER_KINDS.block:
      if (body.byteLength < DIGEST_BYTES) throw violation('a BLOCK that is too short')
      return {
        kind: 'block',
        key: body.subarray(0, DIGEST_BYTES).toHex(),
        bytes: body.subarray(DIGEST_BYTES),
      }
    case SERVER_KINDS.notHere:
      return { kind: 'notHere', keys: decodeKeys(body) }
    case SERVER_KINDS.have:
      return { kind: 'have', keys: decodeKeys(body) }
    case SERVER_KINDS.receipted:
      if (body.byteLength !== 8) throw violation('a RECEIPTED of the wrong length')
      return {
        kind: 'receipted',
        bytes: new DataView(body.buffer, body.byteOffset).getBigUint64(0),
      }
    case SERVER_KINDS.busy:
      return { kind: 'busy' }
    case SERVER_KINDS.holds:
      return { kind: 'holds', prefixes: decodeHex(body, PREFIX_BYTES, MAX_HOLDS_PER_FRAME) }
    case SERVER_KINDS.peers:
      return { kind: 'peers', peers: decodePeers(body) }
    case undefined:
    default:
      throw violation('a frame of unknown kind')
  }
}

/** Long lists go out as several frames. */
export function* inFrames<T>(
  items: readonly T[],
  perFrame = MAX_DIGESTS_PER_FRAME,
): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += perFrame) {
    yield items.slice(from, from + perFrame)
  }
}

function kind(value: number): Uint8Array {
  return new Uint8Array([value])
}

function encodeKeys(of: number, keys: readonly Key[]): Uint8Array {
  return encodeHex(of, keys, DIGEST_BYTES)
}

function encodeHex(of: number, items: readonly string[], bytesEach: number): Uint8Array {
  const frame = new Uint8Array(1 + items.length * bytesEach)
  frame[0] = of
  items.forEach((item, at) => {
    frame.subarray(1 + at * bytesEach).setFromHex(item)
  })
  return frame
}

function decodeKeys(body: Uint8Array): Key[] {
  if (body.byteLength === 0) throw violation('an empty list')
  return decodeHex(body, DIGEST_BYTES, MAX_DIGESTS_PER_FRAME)
}

function decodeHex(body: Uint8Array, bytesEach: number, maxItems: number): string[] {
  const count = body.byteLength / bytesEach
  if (!Number.isInteger(count) || count > maxItems) {
    throw violation(`a list of ${body.byteLength} bytes`)
  }
  return Array.from({ length: count }, (_, at) =>
    body.subarray(at * bytesEach, (at + 1) * bytesEach).toHex(),
  )
}
