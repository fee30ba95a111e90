import {
  grantFromJson,
  receiptFromJson,
  type SignedGrantJson,
  type SignedReceiptJson,
} from '@ioex/node/api'
import { type TallyEntry, tally } from '@ioex/node/receipts'
import type { GatewayNode } from '../context.ts'
import { priceOf } from '../publishing/ledger.ts'
import type { Database } from './open.ts'

/** Rows read at once: about 2 MiB of JSON. */
const ROWS_AT_ONCE = 1_000

export interface VendorTotal {
  readonly cumulativeGas18: bigint
  readonly bytes: bigint
  /** (grant, server) pairs. */
  readonly receipts: number
  /** Per server, what its bytes come to: the parts that sum to the total. */
  readonly perServer: ReadonlyMap<string, bigint>
}

/**
 * What a vendor owes for all receipts up to a cursor, by the formula of design 2.11: per grant
 * floor(cumulative bytes x priceGas18 / unitBytes) at the grant's price version, then summed. Reads grant by
 * grant, so memory does not grow with the fleet.
 */
export async function totalOf(
  needs: { readonly db: Database; readonly node: Pick<GatewayNode, 'networkFile'> },
  vendor: string,
  throughCursor: number,
): Promise<VendorTotal> {
  const perServer = new Map<string, bigint>()
  let cumulativeGas18 = 0n
  let bytes = 0n
  let receipts = 0
  let group: { id: string; entries: TallyEntry[] } = { id: '', entries: [] }

  const close = () => {
    if (group.entries.length === 0) return
    const result = tally(group.entries, {
      priceOf: (service, version) => priceOf(needs.node, service, version),
    })
    cumulativeGas18 += result.totalGas18
    bytes += result.totalBytes
    receipts += new Set(group.entries.map(({ receipt }) => receipt.server)).size
    for (const [server, amount] of result.perServer) {
      perServer.set(server, (perServer.get(server) ?? 0n) + amount)
    }
  }

  for await (const row of rowsByGrant(needs.db, vendor, throughCursor)) {
    if (row.grant_id !== group.id) {
      close()
      group = { id: row.grant_id, entries: [] }
    }
    group.entries.push({
      grant: grantFromJson(JSON.parse(row.grant_json) as SignedGrantJson).message,
      receipt: receiptFromJson(JSON.parse(row.receipt_json) as SignedReceiptJson).message,
    })
  }
  close()
  return { cumulativeGas18, bytes, receipts, perServer }
}

interface FeedRow {
  readonly cursor: number
  readonly grant_id: string
  readonly grant_json: string
  readonly receipt_json: string
}

async function* rowsByGrant(
  db: Database,
  vendor: string,
  throughCursor: number,
): AsyncGenerator<FeedRow> {
  let after: { grant: string; cursor: number } | undefined
  for (;;) {
    let query = db
      .selectFrom('receipts')
      .select(['cursor', 'grant_id', 'grant_json', 'receipt_json'])
      .where('vendor', '=', vendor)
      .where('cursor', '<=', throughCursor)
      .orderBy('grant_id')
      .orderBy('cursor')
      .limit(ROWS_AT_ONCE)
    if (after !== undefined) {
      const { grant, cursor } = after
      query = query.where((where) =>
        where.or([
          where('grant_id', '>', grant),
          where.and([where('grant_id', '=', grant), where('cursor', '>', cursor)]),
        ]),
      )
    }
    const rows = await query.execute()
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < ROWS_AT_ONCE) return
    after = { grant: last.grant_id, cursor: last.cursor }
  }
}

/** Deletes rows that a higher receipt up to the cursor has overtaken: no later epoch needs them. */
export async function forgetOvertaken(
  db: Database,
  vendor: string,
  throughCursor: number,
): Promise<void> {
  await db
    .deleteFrom('receipts')
    .where('vendor', '=', vendor)
    .where('cursor', 'in', (select) =>
      select
        .selectFrom('receipts as old')
        .innerJoin('receipts as new', (join) =>
          join
            .onRef('new.grant_id', '=', 'old.grant_id')
            .onRef('new.server', '=', 'old.server')
            .onRef('new.cursor', '>', 'old.cursor'),
        )
        .select('old.cursor')
        .where('old.vendor', '=', vendor)
        .where('new.cursor', '<=', throughCursor),
    )
    .execute()
}
