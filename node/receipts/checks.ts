import { accepted, type Hex, type Result, refused } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { isSignatureText, receiptSigner } from './signing.ts'
import { grantId, grantStruct, receiptStruct } from './structs.ts'
import type { LedgerDomain, ReceiptRefusal, SignedGrant, SignedReceipt } from './types.ts'

export function isWellFormedGrant({ message, signature }: SignedGrant): boolean {
  return isSignatureText(signature) && grantStruct.faultIn(message) === undefined
}

/** A server is one of all servers, so its bytes are never more than everybody's. */
export function isWellFormedReceipt({ message, signature }: SignedReceipt): boolean {
  if (!isSignatureText(signature) || receiptStruct.faultIn(message) !== undefined) return false
  return message.serverBytes <= message.grantBytes
}

/** What a receipt is measured against. */
export interface ReceiptTerms {
  readonly grantId: Hex
  readonly device: EvmAddress
  readonly maxBytes: bigint
}

export interface Counts {
  readonly serverBytes: bigint
  readonly grantBytes: bigint
}

export const NO_COUNTS: Counts = { serverBytes: 0n, grantBytes: 0n }

/** Both totals rise, and what the other servers delivered does not shrink. */
export function rises(before: Counts, now: Counts): boolean {
  return (
    now.serverBytes > before.serverBytes &&
    now.grantBytes > before.grantBytes &&
    now.grantBytes - now.serverBytes >= before.grantBytes - before.serverBytes
  )
}

/** The signature comes last, as it costs a hundred times the rest. */
export function isSignedByDevice(
  domain: LedgerDomain,
  terms: ReceiptTerms,
  receipt: SignedReceipt,
): boolean {
  return receiptSigner(domain, receipt) === terms.device
}

/**
 * For whoever collects receipts of many servers (gateway, bridge) and keeps its own order: is this a receipt
 * of the grant's device, within the grant? Whether the grant's signer may grant, whether the receipt rises,
 * and whether all servers together stay within `maxBytes` is the collector's to check.
 */
export function checkReceipt(
  domain: LedgerDomain,
  grant: SignedGrant,
  receipt: SignedReceipt,
): Result<void, ReceiptRefusal> {
  if (!isWellFormedGrant(grant) || !isWellFormedReceipt(receipt)) {
    return refused('receipt-malformed')
  }
  const { device, maxBytes } = grant.message
  const terms = { grantId: grantId(grant.message), device, maxBytes }
  if (terms.grantId !== receipt.message.grantId) return refused('receipt-grant-unknown')
  if (receipt.message.grantBytes > maxBytes) return refused('receipt-beyond-grant')
  if (!isSignedByDevice(domain, terms, receipt)) return refused('receipt-signer-wrong')
  return accepted(undefined)
}
