import { type ErrorDetails, type Hex, IoexError, type Refusal, type Result } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'

/** EIP-712 domain; name `ioeX` and version `1` are fixed. */
export interface LedgerDomain {
  readonly chainId: number
  /** The settlement contract. */
  readonly verifyingContract: EvmAddress
}

/**
 * Grant(address vendor,address device,bytes32 root,bytes32 deltaRoot,uint64 maxBytes,bytes32 service,uint32 priceVersion,uint64 notBefore,uint64 notAfter,uint64 serial)
 */
export interface Grant {
  readonly vendor: EvmAddress
  readonly device: EvmAddress
  /** sha-256 digest inside the release root's CID, 32 bytes as hex. */
  readonly root: Hex
  /** Digest of the delta root, or 32 zero bytes. */
  readonly deltaRoot: Hex
  readonly maxBytes: bigint
  /** keccak256 of the service's name, such as `ioex/bandwidth`. */
  readonly service: Hex
  readonly priceVersion: number
  /** Unix seconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly serial: bigint
}

/** Receipt(bytes32 grantId,address server,uint64 serverBytes,uint64 grantBytes) */
export interface Receipt {
  /** EIP-712 struct hash (hashStruct) of the grant. */
  readonly grantId: Hex
  readonly server: EvmAddress
  /** Verified bytes from this server under this grant, cumulative. */
  readonly serverBytes: bigint
  /** Verified bytes from all servers under this grant, cumulative; strictly rises from receipt to receipt. */
  readonly grantBytes: bigint
}

/** PinOrder(address payer,bytes32[] roots,uint64 bytes,uint64 from,uint64 until,uint32 copies,bytes32 service,uint32 priceVersion,address[] signers) */
export interface PinOrder {
  readonly payer: EvmAddress
  /** At most `MAX_PIN_ROOTS`. */
  readonly roots: readonly Hex[]
  readonly bytes: bigint
  readonly from: number
  readonly until: number
  readonly copies: number
  readonly service: Hex
  readonly priceVersion: number
  /** Whose grants for these roots the seed honours. At most `MAX_PIN_SIGNERS`. */
  readonly signers: readonly EvmAddress[]
}

/** A message with the 65-byte signature over its EIP-712 digest. */
export interface Signed<T> {
  readonly message: T
  readonly signature: Hex
}
export type SignedGrant = Signed<Grant>
export type SignedReceipt = Signed<Receipt>
export type SignedPinOrder = Signed<PinOrder>

export type GrantRefusal =
  | 'grant-malformed'
  | 'grant-signer-unknown'
  | 'grant-not-yet-valid'
  | 'grant-expired'
  | 'grant-for-another-device'
  | 'grant-root-unknown'

export type ReceiptRefusal =
  | 'receipt-malformed'
  | 'receipt-grant-unknown'
  | 'receipt-signer-wrong'
  | 'receipt-for-another-server'
  /** Not above what was acknowledged before: a replay, or a step back. */
  | 'receipt-not-rising'
  | 'receipt-beyond-grant'
  /** More than this server has sent. */
  | 'receipt-beyond-sent'

/** A refusal of bytes or JSON that came from outside, with one sentence that says what is wrong with them. */
export interface Malformed<Reason extends string> extends Refusal<Reason> {
  readonly detail: string
}

export type Decoded<T, Reason extends string> =
  | Extract<Result<T, Reason>, { ok: true }>
  | Malformed<Reason>

export type ReceiptsErrorCode =
  /** A message of our own code that no EIP-712 struct can hold. */
  | 'message-malformed'
  /** Another process, or another book here, has this folder. */
  | 'book-in-use'
  | 'book-not-started'
  /** Not a book, or one of another node, chain or version. */
  | 'book-foreign'
  /** The disk refused a write; nothing of it was acknowledged. */
  | 'book-write-failed'
  | 'book-full'
  /** The device is asked to sign under a grant that is not its own. */
  | 'grant-for-another-device'
  /** The device is asked to sign beyond `maxBytes`. */
  | 'grant-used-up'

export function receiptsError(
  code: ReceiptsErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<ReceiptsErrorCode> {
  return new IoexError(code, message, details)
}
