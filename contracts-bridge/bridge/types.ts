import {
  type AbortOptions,
  type ErrorDetails,
  type Hex,
  IoexError,
  type Result,
} from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'

/** An item of the gateway's feed. Grant and receipt are not trusted, so their shape is not assumed. */
export interface FeedItem {
  /** Strictly rising. */
  readonly cursor: number
  readonly grant: unknown
  readonly receipt: unknown
}

export interface ReceiptSource {
  /** Items after the cursor, oldest first; none when there is nothing new. */
  pull(after: number, limit: number, options: AbortOptions): Promise<readonly FeedItem[]>
}

/** One server's cumulative reward and service, as a leaf of the vendor's root. */
export interface RewardLeaf {
  readonly server: EvmAddress
  readonly cumulativeIoex: bigint
  readonly cumulativeGas18: bigint
}

export interface EpochRequest {
  readonly vendor: EvmAddress
  readonly epoch: number
  readonly totalCumulativeGas18: bigint
  readonly root: Hex
  /** The total follows from the receipts up to here. */
  readonly throughCursor: number
}

/** What the signer can look at besides the request; it need not trust it. */
export interface EpochEvidence {
  readonly leaves: readonly RewardLeaf[]
}

/** Whoever holds the vendor's voucher signer: the gateway as a rule. */
export interface EpochSigner {
  /**
   * A 65-byte signature over the EIP-712 digest of EpochRoot, or why not. The same request must get a valid
   * signature again: the bridge asks twice when it was killed in between. Throws when it cannot be reached.
   */
  sign(request: EpochRequest, evidence: EpochEvidence, options: AbortOptions): Promise<Result<Hex>>
  /** Told when an epoch is settled, for the vendor's bill. */
  report?(settled: SettledReport, options: AbortOptions): Promise<void>
}

export interface SettledReport {
  readonly vendor: EvmAddress
  readonly epoch: number
  readonly transaction: Hex
  readonly settledAtMs: number
  /** What is left in escrow. */
  readonly balanceGas18: bigint
}

export interface SettlementTransaction {
  readonly hash: Hex
  /** `epoch`: a root with its first claims; `claims`: further claims. */
  readonly kind: 'epoch' | 'claims'
  readonly gasUsed: bigint
  readonly block: number
}

/** Why something is not paid (yet). The first part never will be, the rest waits. */
export type UnpaidReason =
  | `grant-${string}`
  | `receipt-${string}`
  /** The tally stops at the grant's `maxBytes`. */
  | 'beyond-grant'
  | 'signer-not-authorised'
  | 'price-unknown'
  /** Counted, and part of the next epoch. */
  | 'next-epoch'
  | PutOffReason

/** Why a vendor's epoch waits. */
export type PutOffReason =
  | 'not-signed'
  | 'emission-ceiling'
  | 'daily-cap'
  | 'escrow-short'
  | 'total-below-burned'
  | 'rate-moved'
  | 'unconfirmed'
  | 'chain-refused'

export interface Unpaid {
  /** Absent when the grant could not be read. */
  readonly grantId?: Hex
  readonly server?: EvmAddress
  readonly reason: UnpaidReason
}

export type BridgeErrorCode =
  | 'journal-damaged'
  | 'journal-in-use'
  | 'source-invalid'
  | 'gateway-unreachable'
  | 'chain-refused'
  | 'chain-unreachable'
  | 'options-invalid'

export function bridgeError(
  code: BridgeErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<BridgeErrorCode> {
  return new IoexError(code, message, details)
}
