import { setImmediate as nextTurn } from 'node:timers/promises'
import { type GrantValue, grantToJson, type ReceiptValue, receiptToJson } from '@ioex/node/api'
import { grantId, grantSigner, type LedgerDomain, receiptSigner } from '@ioex/node/receipts'
import type { Parts } from '../context.ts'
import { ledgerOf } from '../publishing/ledger.ts'
import type { Database } from './open.ts'
import type { ReceiptRow } from './tables.ts'

export interface ReceiptItem {
  readonly grant: GrantValue
  readonly receipt: ReceiptValue
}

export interface BatchResult {
  stored: number
  known: number
  refused: { index: number; reason: string }[]
}

/** Checking one item costs two signature recoveries, about 0.2 ms; others get a turn in between. */
const ITEMS_PER_TURN = 25

/** Takes receipts in: each checked by itself, all that pass stored in one transaction. */
export function createReceiptStore(needs: Pick<Parts, 'db' | 'node'>): {
  add(items: readonly ReceiptItem[]): Promise<BatchResult>
} {
  return {
    async add(items) {
      const signers = await voucherSigners(needs.db, items)
      const ledger = ledgerOf(needs.node)
      const result: BatchResult = { stored: 0, known: 0, refused: [] }
      const good: Omit<ReceiptRow, 'cursor'>[] = []
      for (const [index, item] of items.entries()) {
        if (index > 0 && index % ITEMS_PER_TURN === 0) await nextTurn()
        const reason = faultOf(item, signers.get(item.grant.message.vendor), ledger)
        if (reason === undefined) good.push(rowOf(item))
        else result.refused.push({ index, reason })
      }
      if (good.length > 0) await insert(needs.db, good, result)
      return result
    },
  }
}

async function voucherSigners(
  db: Database,
  items: readonly ReceiptItem[],
): Promise<ReadonlyMap<string, string>> {
  const vendors = [...new Set(items.map(({ grant }) => grant.message.vendor))]
  const rows = await db
    .selectFrom('vendors')
    .select(['id', 'voucher_signer'])
    .where('id', 'in', vendors)
    .execute()
  return new Map(rows.map((row) => [row.id, row.voucher_signer]))
}

function faultOf(
  { grant, receipt }: ReceiptItem,
  voucherSigner: string | undefined,
  ledger: LedgerDomain,
): string | undefined {
  if (voucherSigner === undefined) return 'grant-vendor-unknown'
  const { serverBytes, grantBytes } = receipt.message
  if (grantId(grant.message) !== receipt.message.grantId) return 'receipt-for-another-grant'
  if (serverBytes === 0n || serverBytes > grantBytes) return 'receipt-malformed'
  if (grantBytes > grant.message.maxBytes) return 'receipt-beyond-grant'
  if (grantSigner(ledger, grant) !== voucherSigner) return 'grant-signer-unknown'
  if (receiptSigner(ledger, receipt) !== grant.message.device) return 'receipt-signer-wrong'
  return undefined
}

function rowOf({ grant, receipt }: ReceiptItem): Omit<ReceiptRow, 'cursor'> {
  return {
    grant_id: receipt.message.grantId,
    server: receipt.message.server,
    vendor: grant.message.vendor,
    grant_json: JSON.stringify(grantToJson(grant)),
    receipt_json: JSON.stringify(receiptToJson(receipt)),
    server_bytes: String(receipt.message.serverBytes),
    grant_bytes: String(receipt.message.grantBytes),
  }
}

async function insert(
  db: Database,
  rows: readonly Omit<ReceiptRow, 'cursor'>[],
  result: BatchResult,
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    // The counter's row lock makes batches follow one another, so no reader of the feed skips a row.
    const { value } = await transaction
      .updateTable('counters')
      .set((expression) => ({ value: expression('value', '+', rows.length) }))
      .where('name', '=', 'receipts')
      .returning('value')
      .executeTakeFirstOrThrow()
    let cursor = value - rows.length
    for (const row of rows) {
      const last = await transaction
        .selectFrom('receipts')
        .select('server_bytes')
        .where('grant_id', '=', row.grant_id)
        .where('server', '=', row.server)
        .orderBy('cursor', 'desc')
        .limit(1)
        .executeTakeFirst()
      if (last !== undefined && BigInt(last.server_bytes) >= BigInt(row.server_bytes)) {
        result.known++
        continue
      }
      await transaction
        .insertInto('receipts')
        .values({ ...row, cursor: ++cursor })
        .execute()
      result.stored++
    }
  })
}
