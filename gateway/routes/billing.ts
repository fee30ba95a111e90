import { createRoute, z } from '@hono/zod-openapi'
import {
  BillingSchema,
  EpochRequestSchema,
  EpochSignedSchema,
  EpochStatusSchema,
  EvmAddressSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { forBridge, forVendor, notFound, vendorOf } from '../guards/bearer.ts'
import { ProblemError } from '../problems.ts'
import { signEpochRoot } from '../publishing/epoch-root.ts'
import { ledgerOf } from '../publishing/ledger.ts'
import { forgetOvertaken, totalOf } from '../store/billing.ts'
import type { EpochRow } from '../store/tables.ts'
import { timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const show = createRoute({
  method: 'get',
  path: '/v1/billing',
  summary: 'What the vendor owes and paid',
  ...forVendor('billing'),
  request: { query: z.object({ vendor: EvmAddressSchema.optional() }) },
  responses: answers(200, BillingSchema, 'totals, an estimate of what is unsettled, and bills'),
})
const sign = createRoute({
  method: 'post',
  path: '/v1/billing/epochs',
  summary: 'Bridge: have an epoch root signed',
  description:
    'The gateway adds up its own receipts and signs only the same total. Asking for the same epoch again gives the same signature.',
  ...forBridge,
  request: { body: jsonBody(EpochRequestSchema) },
  responses: answers(201, EpochSignedSchema, 'the signature', [
    'not-found',
    'epoch-not-next',
    'epoch-total-wrong',
  ]),
})
const settle = createRoute({
  method: 'post',
  path: '/v1/billing/status',
  summary: 'Bridge: say what became of an epoch, and the balance',
  ...forBridge,
  request: { body: jsonBody(EpochStatusSchema) },
  responses: answers(200, z.object({ stored: z.boolean() }), 'noted', ['not-found']),
})

/** Bills of one answer, newest first: three years of daily epochs. */
const MAX_BILLS = 1_000
const EVERYTHING = Number.MAX_SAFE_INTEGER

export function billingRoutes(parts: Parts) {
  const { db, clock, node, keys } = parts

  const lastEpoch = (vendor: string) =>
    db
      .selectFrom('epochs')
      .selectAll()
      .where('vendor', '=', vendor)
      .orderBy('epoch', 'desc')
      .limit(1)
      .executeTakeFirst()

  return createAppPart()
    .openapi(show, async (c) => {
      const vendor = vendorOf(c, c.req.valid('query').vendor)
      const epochs = await db
        .selectFrom('epochs')
        .selectAll()
        .where('vendor', '=', vendor)
        .orderBy('epoch', 'desc')
        .limit(MAX_BILLS)
        .execute()
      const [last] = epochs
      const total = await totalOf(parts, vendor, EVERYTHING)
      const settled = await totalOf(parts, vendor, last?.through_cursor ?? 0)
      const balance = await db
        .selectFrom('balances')
        .selectAll()
        .where('vendor', '=', vendor)
        .executeTakeFirst()
      const billed = BigInt(last?.total_gas18 ?? '0')
      const { count } = await db
        .selectFrom('receipts')
        .select((expression) => expression.fn.countAll<number>().as('count'))
        .where('vendor', '=', vendor)
        .where('cursor', '>', last?.through_cursor ?? 0)
        .executeTakeFirstOrThrow()
      return c.json(
        {
          vendor,
          cumulativeGas18: String(total.cumulativeGas18),
          billedGas18: String(billed),
          unsettledGas18: String(total.cumulativeGas18 - billed),
          unsettledBytes: String(total.bytes - settled.bytes),
          unsettledReceipts: Number(count),
          balanceGas18: balance?.gas18 ?? null,
          balanceAt: timeOf(balance?.at_ms ?? null),
          bills: epochs.map((row) => billOf(row)),
        },
        200,
      )
    })
    .openapi(sign, async (c) => {
      const wanted = c.req.valid('json')
      const { vendor, epoch, root, throughCursor } = wanted
      const known = await db
        .selectFrom('vendors')
        .select('voucher_signer')
        .where('id', '=', vendor)
        .executeTakeFirst()
      if (known === undefined) throw notFound(`vendor ${vendor}`)
      const signer = known.voucher_signer as `0x${string}`
      const last = await lastEpoch(vendor)
      if (last?.epoch === epoch && isSame(last, wanted)) {
        return c.json(signedOf(last, signer), 201)
      }
      const next = (last?.epoch ?? 0) + 1
      if (epoch !== next || throughCursor < (last?.through_cursor ?? 0)) {
        throw new ProblemError('epoch-not-next', `the next epoch is ${next}`, {
          fix: `Go on after epoch ${next - 1}, which covers the receipts up to ${last?.through_cursor ?? 0}.`,
        })
      }
      const total = await totalOf(parts, vendor, throughCursor)
      if (total.cumulativeGas18 !== BigInt(wanted.totalCumulativeGas18)) {
        throw new ProblemError(
          'epoch-total-wrong',
          `the receipts up to ${throughCursor} come to ${total.cumulativeGas18}, not ${wanted.totalCumulativeGas18}`,
          { fix: 'Read the receipts again from the start and add them up by the price table.' },
        )
      }
      const before = await totalOf(parts, vendor, last?.through_cursor ?? 0)
      const row: EpochRow = {
        vendor,
        epoch,
        root,
        total_gas18: String(total.cumulativeGas18),
        gas18: String(total.cumulativeGas18 - BigInt(last?.total_gas18 ?? '0')),
        through_cursor: throughCursor,
        receipts: total.receipts,
        bytes: String(total.bytes - before.bytes),
        signature: signEpochRoot(await keys.voucherSigner(vendor), ledgerOf(node), {
          vendor,
          epoch,
          totalCumulativeGas18: total.cumulativeGas18,
          root,
        }),
        signed_ms: clock.nowMs(),
        settled_ms: null,
        transaction_hash: null,
      }
      // The primary key lets one of two requests at once win; the other gets a conflict, never a second root.
      const inserted = await db
        .insertInto('epochs')
        .values(row)
        .onConflict((conflict) => conflict.columns(['vendor', 'epoch']).doNothing())
        .executeTakeFirst()
      if ((inserted.numInsertedOrUpdatedRows ?? 0n) === 0n) {
        throw new ProblemError('epoch-not-next', `epoch ${epoch} was signed meanwhile`, {
          fix: 'Ask for the next one.',
        })
      }
      await forgetOvertaken(db, vendor, last?.through_cursor ?? 0)
      return c.json(signedOf(row, signer), 201)
    })
    .openapi(settle, async (c) => {
      const { vendor, epoch, transaction, settledAt, balanceGas18 } = c.req.valid('json')
      if (epoch !== undefined) {
        const updated = await db
          .updateTable('epochs')
          .set({
            ...(transaction === undefined ? {} : { transaction_hash: transaction }),
            settled_ms: settledAt === undefined ? null : Date.parse(settledAt),
          })
          .where('vendor', '=', vendor)
          .where('epoch', '=', epoch)
          .executeTakeFirst()
        if (updated.numUpdatedRows === 0n) throw notFound(`epoch ${epoch} of ${vendor}`)
      }
      if (balanceGas18 !== undefined) {
        const at = { gas18: balanceGas18, at_ms: clock.nowMs() }
        await db
          .insertInto('balances')
          .values({ vendor, ...at })
          .onConflict((conflict) => conflict.column('vendor').doUpdateSet(at))
          .execute()
      }
      return c.json({ stored: true }, 200)
    })
}

function isSame(row: EpochRow, wanted: z.infer<typeof EpochRequestSchema>): boolean {
  return (
    row.root === wanted.root &&
    row.total_gas18 === wanted.totalCumulativeGas18 &&
    row.through_cursor === wanted.throughCursor
  )
}

function signedOf(row: EpochRow, signer: `0x${string}`) {
  return {
    vendor: row.vendor as `0x${string}`,
    epoch: row.epoch,
    totalCumulativeGas18: row.total_gas18,
    root: row.root as `0x${string}`,
    signer,
    signature: row.signature as `0x${string}`,
  }
}

function billOf(row: EpochRow) {
  return {
    epoch: row.epoch,
    vendor: row.vendor as `0x${string}`,
    root: row.root as `0x${string}`,
    cumulativeGas18: row.total_gas18,
    gas18: row.gas18,
    receipts: row.receipts,
    bytes: row.bytes,
    signedAt: timeOf(row.signed_ms),
    settledAt: timeOf(row.settled_ms),
    transaction: row.transaction_hash as `0x${string}` | null,
  }
}
