/**
 * The wire of `/ioex/exchange/1.0.0`, written down a second time after the table at the head of
 * node/exchange/protocol.ts: tests that play a liar or a flood speak it, and a change of the wire that the
 * table does not tell of shows in them.
 */
import { concat } from '../base/index.ts'

export const EXCHANGE_WIRE = {
  protocol: '/ioex/exchange/1.0.0',
  maxFrameBytes: 257 * 1024 + 64,
  maxInboundStreams: 16,
  maxWantsPerStream: 512,
  maxDigestsPerFrame: 256,
} as const

const DIGEST_BYTES = 32

export type WireRequest =
  | { readonly kind: 'open'; readonly root: string; readonly grant: Uint8Array }
  | { readonly kind: 'want' | 'cancel'; readonly digests: readonly string[] }
  | { readonly kind: 'receipt'; readonly receipt: Uint8Array }

/** What a client said; undefined when it is none of the table. Digests are lower-case hexadecimal. */
export function readRequest(frame: Uint8Array): WireRequest | undefined {
  const body = frame.subarray(1)
  switch (frame[0]) {
    case 1:
      return {
        kind: 'open',
        root: body.subarray(4, 4 + DIGEST_BYTES).toHex(),
        grant: body.subarray(4 + DIGEST_BYTES),
      }
    case 2:
      return { kind: 'want', digests: digestsIn(body) }
    case 3:
      return { kind: 'cancel', digests: digestsIn(body) }
    case 4:
      return { kind: 'receipt', receipt: body }
    case undefined:
    default:
      return undefined
  }
}

export const wire = {
  open(codec: number, root: Uint8Array, grant: Uint8Array): Uint8Array {
    const head = new Uint8Array(5)
    head[0] = 1
    new DataView(head.buffer).setUint32(1, codec)
    return concat([head, root, grant])
  },
  want: (digests: readonly string[]): Uint8Array => withDigests(2, digests),
  receipt: (receipt: Uint8Array): Uint8Array => concat([new Uint8Array([4]), receipt]),
  opened: (metered: boolean): Uint8Array => new Uint8Array([0x81, metered ? 1 : 0]),
  block: (digest: string, bytes: Uint8Array): Uint8Array =>
    concat([new Uint8Array([0x83]), Uint8Array.fromHex(digest), bytes]),
  notHere: (digests: readonly string[]): Uint8Array => withDigests(0x84, digests),
  have: (digests: readonly string[]): Uint8Array => withDigests(0x85, digests),
  busy: (): Uint8Array => new Uint8Array([0x87]),
}

function withDigests(kind: number, digests: readonly string[]): Uint8Array {
  return concat([new Uint8Array([kind]), ...digests.map((digest) => Uint8Array.fromHex(digest))])
}

function digestsIn(body: Uint8Array): string[] {
  return Array.from({ length: Math.floor(body.byteLength / DIGEST_BYTES) }, (_, at) =>
    body.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES).toHex(),
  )
}
