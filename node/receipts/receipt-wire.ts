/**
 * The one encoding that a receipt has, read without a decoder for whatever else CBOR can say: a server reads
 * one per window of every device, and the general way takes a fifth of the time that a receipt takes in all.
 */
import { toHex, utf8 } from '../base/index.ts'
import type { SignedReceipt } from './types.ts'

const text = (of: string) => [0x60 + of.length, ...utf8(of)]
/** dag-cbor puts shorter keys first. */
const UNTIL_SERVER = Uint8Array.from([0xa2, ...text('message'), 0xa4, ...text('server'), 0x54])
const UNTIL_GRANT_ID = Uint8Array.from([...text('grantId'), 0x58, 32])
const UNTIL_GRANT_BYTES = Uint8Array.from(text('grantBytes'))
const UNTIL_SERVER_BYTES = Uint8Array.from(text('serverBytes'))
const UNTIL_SIGNATURE = Uint8Array.from([...text('signature'), 0x58, 65])

/** Undefined when it is anything else, which the general way can say better. */
export function readReceipt(bytes: Uint8Array): SignedReceipt | undefined {
  let at = 0
  const skip = (expected: Uint8Array): boolean => {
    for (let index = 0; index < expected.length; index++) {
      if (bytes[at + index] !== expected[index]) return false
    }
    at += expected.length
    return true
  }
  const take = (length: number) => toHex(bytes.subarray(at, (at += length)))
  const whole = (): bigint | undefined => {
    const [value, length] = wholeAt(bytes, at)
    at += length
    return value
  }
  if (!skip(UNTIL_SERVER)) return undefined
  const server = take(20)
  if (!skip(UNTIL_GRANT_ID)) return undefined
  const grantId = take(32)
  if (!skip(UNTIL_GRANT_BYTES)) return undefined
  const grantBytes = whole()
  if (grantBytes === undefined || !skip(UNTIL_SERVER_BYTES)) return undefined
  const serverBytes = whole()
  if (serverBytes === undefined || !skip(UNTIL_SIGNATURE)) return undefined
  if (bytes.byteLength !== at + 65) return undefined
  const signature = take(65)
  return { message: { grantId, server, serverBytes, grantBytes }, signature }
}

/** The smallest number that may be written with 1, 2, 4 and 8 more bytes. */
const SMALLEST = [24n, 1n << 8n, 1n << 16n, 1n << 32n] as const

/** A whole number, written as short as it can be, and how many bytes that takes. */
function wholeAt(bytes: Uint8Array, at: number): [value: bigint | undefined, length: number] {
  const head = bytes[at] ?? 0xff
  if (head < 24) return [BigInt(head), 1]
  const smallest = SMALLEST[head - 24]
  if (smallest === undefined) return [undefined, 1]
  const length = 1 << (head - 24)
  let value = 0n
  if (length === 8) {
    if (at + 9 > bytes.byteLength) return [undefined, 1]
    value = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at + 1)
  } else {
    let small = 0
    for (let index = 1; index <= length; index++) small = small * 256 + (bytes[at + index] ?? 0)
    value = BigInt(small)
  }
  return [value < smallest ? undefined : value, 1 + length]
}
