/**
 * `/ioex/pin/1.0.0`: asking a friend to keep a root. One dag-cbor map per frame: one ask goes up; progress
 * comes down until `done` or `refused`. The friend fetches the blocks over the exchange protocol by himself.
 * When the stream breaks, asking again goes on where it was; nothing is held for the stream's sake.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { fromHex, type Hex, toHex } from '../base/index.ts'
import type { PinProgress, PinRefusal } from './types.ts'
import { violation } from './violation.ts'

export const PIN_PROTOCOL = '/ioex/pin/1.0.0'

export type PinAsk =
  | {
      readonly kind: 'pin'
      readonly root: CID
      readonly bytes: number
      /** A signed pin order, dag-cbor. */
      readonly order: Uint8Array | undefined
      readonly untilMs: number | undefined
    }
  | { readonly kind: 'unpin'; readonly root: CID }

export type PinAnswer =
  | ({ readonly kind: 'progress' } & PinProgress)
  | { readonly kind: 'done'; readonly countersignature: Hex | undefined }
  | { readonly kind: 'refused'; readonly reason: PinRefusal }
  | { readonly kind: 'unpinned'; readonly had: boolean }

const REFUSALS: ReadonlySet<unknown> = new Set<PinRefusal>([
  'not-a-friend',
  'no-room',
  'order-invalid',
  'incomplete',
  'unreachable',
])

export function encodePin(message: PinAsk | PinAnswer): Uint8Array {
  const fields = Object.entries(message).filter(([, value]) => value !== undefined)
  const wire = Object.fromEntries(
    fields.map(([name, value]: [string, unknown]) => [
      name,
      name === 'countersignature' ? fromHex(String(value)) : value,
    ]),
  )
  return new Uint8Array(encode(wire))
}

/** Throws `protocol-violation`. */
export function decodePinAsk(frame: Uint8Array): PinAsk {
  const { kind, root: link, bytes, order, untilMs } = fieldsOf(frame)
  const root = CID.asCID(link)
  if (root === null) throw violation('a pin request without a root')
  if (kind === 'unpin') return { kind, root }
  if (kind !== 'pin' || !isCount(bytes)) throw violation('a pin request of another form')
  if (order !== undefined && !(order instanceof Uint8Array)) throw violation('an order of no bytes')
  if (untilMs !== undefined && !isCount(untilMs)) throw violation('an end that is not a time')
  return { kind, root, bytes, order, untilMs }
}

/** Throws `protocol-violation`. */
export function decodePinAnswer(frame: Uint8Array): PinAnswer {
  const { kind, blocks, bytes, countersignature, reason, had } = fieldsOf(frame)
  if (kind === 'progress' && isCount(blocks) && isCount(bytes)) return { kind, blocks, bytes }
  if (kind === 'done') {
    const isSigned = countersignature instanceof Uint8Array
    return { kind, countersignature: isSigned ? toHex(countersignature) : undefined }
  }
  if (kind === 'refused') {
    return { kind, reason: REFUSALS.has(reason) ? (reason as PinRefusal) : 'incomplete' }
  }
  if (kind === 'unpinned') return { kind, had: had === true }
  throw violation('an answer to a pin request of another form')
}

function fieldsOf(frame: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = decode(frame)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (cause) {
    throw violation(`a pin message that is not dag-cbor (${String(cause)})`)
  }
  throw violation('a pin message that is no map')
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
