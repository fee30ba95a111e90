/**
 * Signed messages as dag-cbor, the form on peer-to-peer wires: `{ message: { …fields }, signature }` with
 * addresses, digests and the signature as byte strings of exact length and amounts as whole numbers. There
 * is one encoding of a message only: whatever does not come out the same when encoded again is refused, and
 * with it unknown and missing fields, numbers written too long, bytes behind the end, junk in high bytes.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { asError, equalBytes, refused, toHex } from '../base/index.ts'
import { SIGNATURE_BYTES } from '../identity/index.ts'
import { MAX_GRANT_BYTES, MAX_PIN_ORDER_BYTES, MAX_RECEIPT_BYTES } from './limits.ts'
import { readReceipt } from './receipt-wire.ts'
import { isSignatureText, signatureBytes } from './signing.ts'
import type { Field, Struct } from './struct.ts'
import { grantStruct, pinOrderStruct, receiptStruct } from './structs.ts'
import {
  type Decoded,
  type Malformed,
  receiptsError,
  type Signed,
  type SignedGrant,
  type SignedPinOrder,
  type SignedReceipt,
} from './types.ts'

function malformed<Reason extends string>(reason: Reason, detail: string): Malformed<Reason> {
  return { ...refused(reason), detail }
}

function toWire(field: Field, value: unknown): unknown {
  if (typeof field === 'object') return (value as unknown[]).map((item) => toWire(field.of, item))
  if (field === 'address' || field === 'bytes32') {
    return Uint8Array.fromHex((value as string).slice(2))
  }
  return typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

/** What cannot be converted is handed on as it is: the struct's own check then names the fault. */
function fromWire(field: Field, value: unknown): unknown {
  if (typeof field === 'object') {
    return Array.isArray(value) ? value.map((item: unknown) => fromWire(field.of, item)) : value
  }
  if (value instanceof Uint8Array) return toHex(value)
  return field === 'uint64' && typeof value === 'number' ? wholeOrSame(value) : value
}

function wholeOrSame(value: number): unknown {
  return Number.isSafeInteger(value) ? BigInt(value) : value
}

function encodeSigned<T>(struct: Struct<T>, { message, signature }: Signed<T>): Uint8Array {
  const fault = struct.faultIn(message) ?? faultInSignature(signature)
  if (fault !== undefined) {
    throw receiptsError('message-malformed', `${struct.name}: ${fault}`, { blame: 'caller' })
  }
  // The library hands out a Buffer, whose slice() is no copy.
  return new Uint8Array(encodeFields(struct, message, signature))
}

function encodeFields<T>(struct: Struct<T>, message: T, signature: string): Uint8Array {
  const members = struct.fields.map(
    ([name, field]) => [name, toWire(field, message[name])] as const,
  )
  return encode({ message: Object.fromEntries(members), signature: signatureBytes(signature) })
}

function faultInSignature(signature: unknown): string | undefined {
  return isSignatureText(signature) ? undefined : `signature is not of ${SIGNATURE_BYTES} bytes`
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function decodeSigned<T, Reason extends string>(
  struct: Struct<T>,
  bytes: Uint8Array,
  maxBytes: number,
  reason: Reason,
): Decoded<Signed<T>, Reason> {
  if (bytes.byteLength > maxBytes) {
    return malformed(reason, `it has ${bytes.byteLength} bytes, more than ${maxBytes}`)
  }
  let decoded: unknown
  try {
    decoded = decode(bytes)
  } catch (thrown) {
    return malformed(reason, `it is not dag-cbor: ${asError(thrown).message}`)
  }
  if (!isObject(decoded) || !isObject(decoded['message'])) {
    return malformed(reason, 'it is not { message, signature }')
  }
  const fields = decoded['message']
  const members = struct.fields.map(([name, field]) => [name, fromWire(field, fields[name])])
  const message = Object.fromEntries(members) as T
  const signature = fromWire('bytes32', decoded['signature']) as Signed<T>['signature']
  const fault = struct.faultIn(message) ?? faultInSignature(signature)
  if (fault !== undefined) return malformed(reason, fault)
  if (!equalBytes(encodeFields(struct, message, signature), bytes)) {
    return malformed(reason, 'it is not the canonical encoding, or has fields that do not belong')
  }
  return { ok: true, value: { message, signature } }
}

/** Throws message-malformed, as the two below. */
export function encodeSignedGrant(signed: SignedGrant): Uint8Array {
  return encodeSigned(grantStruct, signed)
}

export function encodeSignedReceipt(signed: SignedReceipt): Uint8Array {
  return encodeSigned(receiptStruct, signed)
}

export function encodeSignedPinOrder(signed: SignedPinOrder): Uint8Array {
  return encodeSigned(pinOrderStruct, signed)
}

/** From untrusted bytes; never throws. The signature is well-formed, but not checked. */
export function decodeSignedGrant(bytes: Uint8Array): Decoded<SignedGrant, 'grant-malformed'> {
  return decodeSigned(grantStruct, bytes, MAX_GRANT_BYTES, 'grant-malformed')
}

/** As `decodeSignedGrant`. */
export function decodeSignedReceipt(
  bytes: Uint8Array,
): Decoded<SignedReceipt, 'receipt-malformed'> {
  const value = readReceipt(bytes)
  if (value !== undefined) return { ok: true, value }
  return decodeSigned(receiptStruct, bytes, MAX_RECEIPT_BYTES, 'receipt-malformed')
}

/** As `decodeSignedGrant`. */
export function decodeSignedPinOrder(
  bytes: Uint8Array,
): Decoded<SignedPinOrder, 'pin-order-malformed'> {
  return decodeSigned(pinOrderStruct, bytes, MAX_PIN_ORDER_BYTES, 'pin-order-malformed')
}
