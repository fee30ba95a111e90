/**
 * EIP-712 structs of fixed words, written by hand: no library on the hot path. One table of fields per
 * struct says how it is hashed, checked, and written as dag-cbor and as JSON, so that the four cannot part.
 *
 * https://eips.ethereum.org/EIPS/eip-712 (encodeType, encodeData, hashStruct)
 */
import { type Hex, utf8 } from '../base/index.ts'
import { keccak256 } from '../identity/index.ts'

const WORD = 32
const MAX_UINT64 = (1n << 64n) - 1n
const MAX_UINT32 = 0xffff_ffff
const HIGH_32 = 0x1_0000_0000

type HexText = `0x${string}`

/** How a field is held: `seconds` is a uint64 that fits a number of JavaScript (below 2^53). */
type FieldOf<Value> = Value extends bigint
  ? 'uint64'
  : Value extends number
    ? 'uint32' | 'seconds'
    : Value extends readonly HexText[]
      ? ListField
      : 'address' | 'bytes32'

/** A list with the most items that it may have. */
interface ListField {
  readonly of: 'address' | 'bytes32'
  readonly maxItems: number
}
export type Field = 'uint64' | 'uint32' | 'seconds' | 'address' | 'bytes32' | ListField
export type Fields<T> = { readonly [Name in keyof T]: FieldOf<T[Name]> }

export interface Struct<T> {
  readonly name: string
  /** In the order of the type string. */
  readonly fields: readonly (readonly [name: keyof T & string, field: Field])[]
  /** Such as `Receipt(bytes32 grantId,…)`. */
  readonly encodedType: string
  /** What is wrong with the message, such as "serverBytes is not a whole number below 2^64"; undefined: nothing. */
  faultIn(message: T): string | undefined
  /** hashStruct, 32 bytes. The message must have no fault. */
  hash(message: T): Uint8Array
}

function solidityType(field: Field): string {
  if (typeof field === 'object') return `${field.of}[]`
  return field === 'seconds' ? 'uint64' : field
}

export function defineStruct<T>(name: string, table: Fields<T>): Struct<T> {
  const fields = Object.entries(table) as [keyof T & string, Field][]
  const members = fields.map(([member, field]) => `${solidityType(field)} ${member}`)
  const encodedType = `${name}(${members.join(',')})`
  const typeHash = keccak256(utf8(encodedType))
  return {
    name,
    fields,
    encodedType,
    faultIn(message) {
      for (const [member, field] of fields) {
        const fault = faultOf(field, message[member])
        if (fault !== undefined) return `${member} ${fault}`
      }
      return undefined
    },
    hash(message) {
      const words = Buffer.alloc(WORD * (fields.length + 1))
      words.set(typeHash)
      fields.forEach(([member, field], index) => {
        writeWord(words, WORD * (index + 1), field, message[member])
      })
      return keccak256(words)
    },
  }
}

function writeWord(words: Buffer, at: number, field: Field, value: unknown): void {
  if (typeof field === 'object') {
    const items = value as readonly HexText[]
    const inner = Buffer.alloc(WORD * items.length)
    items.forEach((item, index) => writeWord(inner, WORD * index, field.of, item))
    words.set(keccak256(inner), at)
    return
  }
  switch (field) {
    case 'uint64':
      words.writeBigUInt64BE(value as bigint, at + 24)
      break
    case 'seconds':
      words.writeUInt32BE(Math.floor((value as number) / HIGH_32), at + 24)
      words.writeUInt32BE((value as number) % HIGH_32, at + 28)
      break
    case 'uint32':
      words.writeUInt32BE(value as number, at + 28)
      break
    case 'address':
      words.write((value as Hex).slice(2), at + 12, 'hex')
      break
    case 'bytes32':
      words.write((value as Hex).slice(2), at, 'hex')
      break
  }
}

const ADDRESS = /^0x[0-9a-f]{40}$/
const BYTES32 = /^0x[0-9a-f]{64}$/

/** Lower case only: the same address in two spellings would be two keys of one map. */
export function faultOf(field: Field, value: unknown): string | undefined {
  if (typeof field === 'object') return faultOfList(field, value)
  switch (field) {
    case 'uint64':
      return typeof value === 'bigint' && value >= 0n && value <= MAX_UINT64
        ? undefined
        : 'is not a whole number below 2^64'
    case 'seconds':
      return isWhole(value) ? undefined : 'is not a whole number below 2^53'
    case 'uint32':
      return isWhole(value) && value <= MAX_UINT32 ? undefined : 'is not a whole number below 2^32'
    case 'address':
      return typeof value === 'string' && ADDRESS.test(value)
        ? undefined
        : 'is not 0x and 40 lower-case hexadecimal digits'
    case 'bytes32':
      return typeof value === 'string' && BYTES32.test(value)
        ? undefined
        : 'is not 0x and 64 lower-case hexadecimal digits'
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)
}

function faultOfList(field: ListField, value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'is not a list'
  if (value.length > field.maxItems) return `has more than ${field.maxItems} items`
  for (const [index, item] of value.entries()) {
    const fault = faultOf(field.of, item)
    if (fault !== undefined) return `item ${index} ${fault}`
  }
  return undefined
}
