/**
 * Who may be served, and the proof that he was. A *grant* (signed by the vendor's voucher signer) lets one
 * device fetch the blocks of one release, up to `maxBytes`, from any server. A *receipt* (signed by the
 * device) says how many verified bytes of that grant one server has delivered, and how many all servers
 * have: both only ever rise, so a replay is worth nothing. A *pin order* (signed by the payer,
 * countersigned by the seed) says what to keep, for how long, and which signers' grants to honour.
 *
 * All are EIP-712 typed data under the domain `ioeX` version `1`, hashed natively here and by Solidity in
 * contracts-bridge; test/vectors holds the digests that both must give. The book writes ahead: a server's
 * receipt is durable before it is acknowledged, a device's before it is sent. This room knows no network.
 *
 * What comes from outside is decoded here (dag-cbor on peer wires, JSON on HTTP): one form per value, so
 * that two spellings of one grant cannot be two grants.
 */
export { type BookFile, type BookFiles, systemBookFiles } from './book-files.ts'
export type { AdmittedGrant, DeviceBook, ReceiptItem, ServerBook } from './books.ts'
export { checkReceipt } from './checks.ts'
export { createDeviceBook, type DeviceBookNeeds, type DeviceBookOptions } from './device-book.ts'
export { digest, domainSeparator } from './domain.ts'
export {
  type JsonOf,
  type SignedJson,
  signedGrantFromJson,
  signedGrantToJson,
  signedPinOrderFromJson,
  signedPinOrderToJson,
  signedReceiptFromJson,
  signedReceiptToJson,
} from './json.ts'
export type { Damage } from './journal-format.ts'
export {
  MAX_GRANT_BYTES,
  MAX_PIN_ORDER_BYTES,
  MAX_PIN_ROOTS,
  MAX_PIN_SIGNERS,
  MAX_RECEIPT_BYTES,
} from './limits.ts'
export { createServerBook, type ServerBookNeeds, type ServerBookOptions } from './server-book.ts'
export {
  grantSigner,
  pinOrderSigner,
  receiptSigner,
  type Signer,
  signGrant,
  signPinOrder,
  signReceipt,
} from './signing.ts'
export { grantId, hashGrant, hashPinOrder, hashReceipt, serviceId } from './structs.ts'
export {
  type GrantTally,
  type Price,
  pricedAmount,
  type ServerShare,
  type Tally,
  type TallyEntry,
  type TallyOptions,
  tally,
} from './tally.ts'
export type {
  Decoded,
  Grant,
  GrantRefusal,
  LedgerDomain,
  Malformed,
  PinOrder,
  Receipt,
  ReceiptRefusal,
  ReceiptsErrorCode,
  Signed,
  SignedGrant,
  SignedPinOrder,
  SignedReceipt,
} from './types.ts'
export {
  decodeSignedGrant,
  decodeSignedPinOrder,
  decodeSignedReceipt,
  encodeSignedGrant,
  encodeSignedPinOrder,
  encodeSignedReceipt,
} from './wire.ts'
