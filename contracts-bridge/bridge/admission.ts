import type { Hex } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import {
  checkReceipt,
  grantId,
  grantSigner,
  type LedgerDomain,
  signedGrantFromJson,
  signedGrantToJson,
  signedReceiptFromJson,
  signedReceiptToJson,
} from '@ioex/node/receipts'
import type { Books } from './books.ts'
import type { JournalRecord } from './records.ts'
import type { FeedItem } from './types.ts'

/**
 * What is put into the journal for an item of the feed: the receipt when it proves itself without the chain, else
 * why not. Signatures come last, as they cost the most. Who signed the grant, and whether he may, is asked at the
 * epoch, since the chain may not answer now.
 */
export function admit(domain: LedgerDomain, books: Books, item: FeedItem): JournalRecord {
  const { cursor } = item
  const refuse = (reason: string, of: { grantId?: Hex; server?: EvmAddress } = {}) =>
    ({ type: 'refused', cursor, reason, ...of }) as const

  const receipt = signedReceiptFromJson(item.receipt)
  if (!receipt.ok) return refuse(receipt.reason)
  const of = { grantId: receipt.value.message.grantId, server: receipt.value.message.server }
  const grant = signedGrantFromJson(item.grant)
  if (!grant.ok) return refuse(grant.reason, of)
  const id = grantId(grant.value.message)
  if (id !== of.grantId) return refuse('receipt-grant-unknown', of)

  const book = books.grantOf(id)
  const before = book?.highest.get(of.server)
  if (before !== undefined && receipt.value.message.serverBytes <= before.serverBytes) {
    return refuse('receipt-not-rising', of)
  }
  const checked = checkReceipt(domain, grant.value, receipt.value)
  if (!checked.ok) return refuse(checked.reason, of)
  const isKnown = book?.signature === grant.value.signature
  if (!isKnown && grantSigner(domain, grant.value) === undefined) {
    return refuse('grant-signer-unknown', of)
  }
  return {
    type: 'receipt',
    cursor,
    grant: book === undefined ? signedGrantToJson(grant.value) : undefined,
    receipt: signedReceiptToJson(receipt.value),
  }
}
