import type { Hex, Result, Startable } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { Damage } from './journal-format.ts'
import type { Grant, GrantRefusal, ReceiptRefusal, SignedGrant, SignedReceipt } from './types.ts'

/** A server's receipts: the highest one per grant, each durable before `accept` resolves. */
export interface ServerBook extends Startable {
  /**
   * Checks signer, device, validity and root, and remembers the grant; it gets to the disk with its first
   * receipt. Idempotent. Throws book-full when every grant that is held has receipts.
   */
  admit(grant: SignedGrant, device: EvmAddress): Promise<Result<AdmittedGrant, GrantRefusal>>
  /**
   * `sentBytes`: what this server has sent under the grant, over all connections and restarts. Receipts are
   * judged in the order of the calls. Throws book-write-failed when the disk refuses; then nothing was accepted.
   */
  accept(receipt: SignedReceipt, sentBytes: bigint): Promise<Result<void, ReceiptRefusal>>
  /** Bytes of the grant that this server has been paid for by receipts. */
  receiptedBytes(grantId: Hex): bigint
  /** Receipts newer than the cursor, oldest first, for handing to the gateway; at most `limit`. */
  since(cursor: number, limit: number): readonly ReceiptItem[]
  /** Of the last receipt that is durable; 0 when there is none. */
  newestCursor(): number
  /**
   * From a countersigned pin order: these signers may grant this root until then. Not kept over a restart:
   * whoever keeps the orders says it again at start.
   */
  trust(root: Hex, signers: readonly EvmAddress[], untilSeconds: number): void
  /** Stretches of the file that the last start found damaged; the log has said so. */
  damages(): readonly Damage[]
}

/** A grant of this server with its highest receipt. The cursor rises with every receipt of any grant. */
export interface ReceiptItem {
  readonly cursor: number
  readonly grant: SignedGrant
  readonly receipt: SignedReceipt
}

export interface AdmittedGrant {
  readonly grantId: Hex
  readonly grant: Grant
}

/** A device's side: signs what it verified, and never a byte more, across crashes. */
export interface DeviceBook extends Startable {
  /**
   * Adds verified, durable bytes from one server and returns the receipt, which is durable before it is returned.
   * Throws grant-used-up beyond `maxBytes`, grant-for-another-device, message-malformed for no bytes, and
   * book-write-failed when the disk refuses; in all of them nothing was added.
   */
  sign(grant: SignedGrant, server: EvmAddress, addedBytes: bigint): Promise<SignedReceipt>
  /** The last receipt for this server once more, for when it may not have arrived; undefined when there is none. */
  last(grant: SignedGrant, server: EvmAddress): SignedReceipt | undefined
  /** Total over all servers. */
  grantBytes(grantId: Hex): bigint
  serverBytes(grantId: Hex, server: EvmAddress): bigint
  /** As in `ServerBook`. */
  damages(): readonly Damage[]
}
