/**
 * Signed messages as JSON, the form of HTTP and of files: the fields under their own names, uint64 amounts
 * as decimal text, seconds and uint32 as numbers, everything else as lower-case hex. Reading is as strict as
 * on the wire: one way to write each value, no unknown fields.
 */
import type { Hex } from '../base/index.ts'
import { isSignatureText } from './signing.ts'
import type { Field, Struct } from './struct.ts'
import { grantStruct, pinOrderStruct, receiptStruct } from './structs.ts'
import type {
  Decoded,
  Grant,
  PinOrder,
  Receipt,
  Signed,
  SignedGrant,
  SignedPinOrder,
  SignedReceipt,
} from './types.ts'

/** The JSON form of a message: bigint becomes decimal text. */
export type JsonOf<T> = { readonly [Name in keyof T]: T[Name] extends bigint ? string : T[Name] }
export interface SignedJson<T> {
  readonly message: JsonOf<T>
  readonly signature: Hex
}

const DECIMAL = /^(?:0|[1-9][0-9]{0,19})$/

function toJson<T>(struct: Struct<T>, { message, signature }: Signed<T>): SignedJson<T> {
  const members = struct.fields.map(([name]) => {
    const value: unknown = message[name]
    return [name, typeof value === 'bigint' ? String(value) : value]
  })
  return { message: Object.fromEntries(members) as JsonOf<T>, signature }
}

/** What cannot be converted is handed on as it is: the struct's own check then names the fault. */
function fromText(field: Field, value: unknown): unknown {
  if (field !== 'uint64') return value
  return typeof value === 'string' && DECIMAL.test(value) ? BigInt(value) : undefined
}

function hasOnly(value: unknown, names: readonly string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.keys(value).every((name) => names.includes(name))
}

function fromJson<T, Reason extends string>(
  struct: Struct<T>,
  json: unknown,
  reason: Reason,
): Decoded<Signed<T>, Reason> {
  const refuse = (detail: string) => ({ ok: false, reason, detail }) as const
  if (!hasOnly(json, ['message', 'signature'])) return refuse('it is not { message, signature }')
  const { message: fields, signature } = json
  const names = struct.fields.map(([name]) => name)
  if (!hasOnly(fields, names)) return refuse(`message is not { ${names.join(', ')} }`)
  const members = struct.fields.map(([name, field]) => [name, fromText(field, fields[name])])
  const message = Object.fromEntries(members) as T
  const fault = struct.faultIn(message)
  if (fault !== undefined) return refuse(fault)
  if (!isSignatureText(signature)) {
    return refuse('signature is not 0x and 130 lower-case hexadecimal digits')
  }
  return { ok: true, value: { message, signature: signature as Hex } }
}

export function signedGrantToJson(signed: SignedGrant): SignedJson<Grant> {
  return toJson(grantStruct, signed)
}

export function signedReceiptToJson(signed: SignedReceipt): SignedJson<Receipt> {
  return toJson(receiptStruct, signed)
}

export function signedPinOrderToJson(signed: SignedPinOrder): SignedJson<PinOrder> {
  return toJson(pinOrderStruct, signed)
}

/** From untrusted JSON; never throws. The signature is well-formed, but not checked. */
export function signedGrantFromJson(json: unknown): Decoded<SignedGrant, 'grant-malformed'> {
  return fromJson(grantStruct, json, 'grant-malformed')
}

/** As `signedGrantFromJson`. */
export function signedReceiptFromJson(json: unknown): Decoded<SignedReceipt, 'receipt-malformed'> {
  return fromJson(receiptStruct, json, 'receipt-malformed')
}

/** As `signedGrantFromJson`. */
export function signedPinOrderFromJson(
  json: unknown,
): Decoded<SignedPinOrder, 'pin-order-malformed'> {
  return fromJson(pinOrderStruct, json, 'pin-order-malformed')
}
