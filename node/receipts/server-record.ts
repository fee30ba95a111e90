/**
 * The one record of a server's book: `{kind u8 = 1, cursor f64, grantId 32, serverBytes u64, grantBytes u64,
 * signature 65, grant}`, big-endian, the grant in its wire form; the server is the book's owner. Each has its
 * grant, so that damage to one record costs that record only. Not dag-cbor: encoding that took a fifth of the
 * time that a receipt takes in all.
 */
import { type Hex, toHex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { SignedReceipt } from './types.ts'

export interface ServerRecord {
  readonly cursor: number
  readonly receipt: SignedReceipt
  /** Wire form. */
  readonly grant: Uint8Array
}

const KIND = 1
const AT = { cursor: 1, grantId: 9, serverBytes: 41, grantBytes: 49, signature: 57, grant: 122 }

export function serverRecordBytes(grant: Uint8Array): number {
  return AT.grant + grant.byteLength
}

export function encodeServerRecord({ cursor, receipt, grant }: ServerRecord): Uint8Array {
  const { message, signature } = receipt
  const bytes = Buffer.allocUnsafe(serverRecordBytes(grant))
  bytes[0] = KIND
  bytes.writeDoubleBE(cursor, AT.cursor)
  bytes.write(message.grantId.slice(2), AT.grantId, 'hex')
  bytes.writeBigUInt64BE(message.serverBytes, AT.serverBytes)
  bytes.writeBigUInt64BE(message.grantBytes, AT.grantBytes)
  bytes.write(signature.slice(2), AT.signature, 'hex')
  bytes.set(grant, AT.grant)
  return bytes
}

/** The grant is a copy. Undefined when it is no such record. */
export function decodeServerRecord(
  payload: Uint8Array,
  server: EvmAddress,
): ServerRecord | undefined {
  if (payload.byteLength < AT.grant || payload[0] !== KIND) return undefined
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const hexAt = (from: number, to: number): Hex => toHex(new Uint8Array(payload.subarray(from, to)))
  return {
    cursor: view.getFloat64(AT.cursor),
    receipt: {
      message: {
        grantId: hexAt(AT.grantId, AT.serverBytes),
        server,
        serverBytes: view.getBigUint64(AT.serverBytes),
        grantBytes: view.getBigUint64(AT.grantBytes),
      },
      signature: hexAt(AT.signature, AT.grant),
    },
    grant: new Uint8Array(payload.subarray(AT.grant)),
  }
}
