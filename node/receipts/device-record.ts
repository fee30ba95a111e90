/**
 * The records of a device's book. Counts: `{kind u8 = 2, grantId 32, server 20, serverBytes u64, grantBytes u64,
 * notAfter u64}`, big-endian. Floor: `{kind u8 = 3, notAfter u64}`: grants that end by then were dropped.
 */
import { type Hex, toHex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'

export interface CountsRecord {
  readonly grantId: Hex
  readonly server: EvmAddress
  readonly serverBytes: bigint
  readonly grantBytes: bigint
  /** Unix seconds, of the grant. */
  readonly notAfter: number
}

export interface FloorRecord {
  readonly floor: number
}

const COUNTS = 2
const FLOOR = 3
export const COUNTS_BYTES = 77
const FLOOR_BYTES = 9

export function encodeCounts(record: CountsRecord): Uint8Array {
  const bytes = Buffer.alloc(COUNTS_BYTES)
  bytes[0] = COUNTS
  bytes.write(record.grantId.slice(2), 1, 'hex')
  bytes.write(record.server.slice(2), 33, 'hex')
  bytes.writeBigUInt64BE(record.serverBytes, 53)
  bytes.writeBigUInt64BE(record.grantBytes, 61)
  bytes.writeBigUInt64BE(BigInt(record.notAfter), 69)
  return bytes
}

export function encodeFloor({ floor }: FloorRecord): Uint8Array {
  const bytes = Buffer.alloc(FLOOR_BYTES)
  bytes[0] = FLOOR
  bytes.writeBigUInt64BE(BigInt(floor), 1)
  return bytes
}

/** Undefined when it is neither. */
export function decodeDeviceRecord(payload: Uint8Array): CountsRecord | FloorRecord | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  if (payload[0] === FLOOR && payload.byteLength === FLOOR_BYTES) {
    return { floor: Number(view.getBigUint64(1)) }
  }
  if (payload[0] !== COUNTS || payload.byteLength !== COUNTS_BYTES) return undefined
  return {
    grantId: toHex(new Uint8Array(payload.subarray(1, 33))),
    server: toHex(new Uint8Array(payload.subarray(33, 53))),
    serverBytes: view.getBigUint64(53),
    grantBytes: view.getBigUint64(61),
    notAfter: Number(view.getBigUint64(69)),
  }
}
