import { toHex } from '../base/index.ts'
import { type EvmAddress, type Identity, recoverSigner } from '../identity/index.ts'
import { digest } from './domain.ts'
import type { Struct } from './struct.ts'
import { grantStruct, hashChecked, pinOrderStruct, receiptStruct } from './structs.ts'
import type {
  Grant,
  LedgerDomain,
  PinOrder,
  Receipt,
  Signed,
  SignedGrant,
  SignedPinOrder,
  SignedReceipt,
} from './types.ts'

export type Signer = Pick<Identity, 'signDigest'>

const SIGNATURE = /^0x[0-9a-f]{130}$/

function sign<T>(struct: Struct<T>, signer: Signer, domain: LedgerDomain, message: T): Signed<T> {
  const signature = toHex(signer.signDigest(digest(domain, hashChecked(struct, message))))
  return { message, signature }
}

/** Undefined for a malformed message or signature, and for one with s in the upper half. */
function recover<T>(
  struct: Struct<T>,
  domain: LedgerDomain,
  { message, signature }: Signed<T>,
): EvmAddress | undefined {
  if (!isSignatureText(signature) || struct.faultIn(message) !== undefined) return undefined
  return recoverSigner(digest(domain, struct.hash(message)), signatureBytes(signature))
}

/** Lower case, 65 bytes. */
export function isSignatureText(text: unknown): boolean {
  return typeof text === 'string' && SIGNATURE.test(text)
}

export function signatureBytes(signature: string): Uint8Array {
  return Uint8Array.fromHex(signature.slice(2))
}

/** By the vendor's voucher signer. Throws message-malformed, as the two below. */
export function signGrant(signer: Signer, domain: LedgerDomain, grant: Grant): SignedGrant {
  return sign(grantStruct, signer, domain, grant)
}

/** By the device. A device uses its book instead, which never signs a byte twice. */
export function signReceipt(signer: Signer, domain: LedgerDomain, receipt: Receipt): SignedReceipt {
  return sign(receiptStruct, signer, domain, receipt)
}

/** By the payer; a seed countersigns by signing the same message, and keeps both signatures. */
export function signPinOrder(
  signer: Signer,
  domain: LedgerDomain,
  order: PinOrder,
): SignedPinOrder {
  return sign(pinOrderStruct, signer, domain, order)
}

/** Who signed it under this domain; undefined when nobody can have. Whether he may is the caller's question. */
export function grantSigner(domain: LedgerDomain, signed: SignedGrant): EvmAddress | undefined {
  return recover(grantStruct, domain, signed)
}

/** As `grantSigner`. */
export function receiptSigner(domain: LedgerDomain, signed: SignedReceipt): EvmAddress | undefined {
  return recover(receiptStruct, domain, signed)
}

/** As `grantSigner`. */
export function pinOrderSigner(
  domain: LedgerDomain,
  signed: SignedPinOrder,
): EvmAddress | undefined {
  return recover(pinOrderStruct, domain, signed)
}
