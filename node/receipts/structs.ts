import { type Hex, toHex, utf8 } from '../base/index.ts'
import { keccak256 } from '../identity/index.ts'
import { MAX_PIN_ROOTS, MAX_PIN_SIGNERS } from './limits.ts'
import { defineStruct, type Struct } from './struct.ts'
import { type Grant, type PinOrder, type Receipt, receiptsError } from './types.ts'

export const grantStruct = defineStruct<Grant>('Grant', {
  vendor: 'address',
  device: 'address',
  root: 'bytes32',
  deltaRoot: 'bytes32',
  maxBytes: 'uint64',
  service: 'bytes32',
  priceVersion: 'uint32',
  notBefore: 'seconds',
  notAfter: 'seconds',
  serial: 'uint64',
})

export const receiptStruct = defineStruct<Receipt>('Receipt', {
  grantId: 'bytes32',
  server: 'address',
  serverBytes: 'uint64',
  grantBytes: 'uint64',
})

export const pinOrderStruct = defineStruct<PinOrder>('PinOrder', {
  payer: 'address',
  roots: { of: 'bytes32', maxItems: MAX_PIN_ROOTS },
  bytes: 'uint64',
  from: 'seconds',
  until: 'seconds',
  copies: 'uint32',
  service: 'bytes32',
  priceVersion: 'uint32',
  signers: { of: 'address', maxItems: MAX_PIN_SIGNERS },
})

/** Throws message-malformed, so that nothing outside the struct's range is ever hashed or signed. */
export function hashChecked<T>(struct: Struct<T>, message: T): Uint8Array {
  const fault = struct.faultIn(message)
  if (fault === undefined) return struct.hash(message)
  throw receiptsError('message-malformed', `${struct.name}: ${fault}`, {
    blame: 'caller',
    fix: 'Decode what comes from outside with this room; write addresses in lower case.',
  })
}

/** hashStruct(grant), 32 bytes. Throws message-malformed. */
export function hashGrant(grant: Grant): Uint8Array {
  return hashChecked(grantStruct, grant)
}

/** hashStruct(receipt), 32 bytes. Throws message-malformed. */
export function hashReceipt(receipt: Receipt): Uint8Array {
  return hashChecked(receiptStruct, receipt)
}

/** hashStruct(order), 32 bytes. Throws message-malformed. */
export function hashPinOrder(order: PinOrder): Uint8Array {
  return hashChecked(pinOrderStruct, order)
}

/** What receipts name the grant by: hashStruct as hex, the same on every chain. Throws message-malformed. */
export function grantId(grant: Grant): Hex {
  return toHex(hashGrant(grant))
}

/** keccak256 of a service's name, such as `ioex/bandwidth`. */
export function serviceId(name: string): Hex {
  return toHex(keccak256(utf8(name)))
}
