import { createRoute, z } from '@hono/zod-openapi'
import {
  grantFromJson,
  ReceiptBatchResultSchema,
  ReceiptBatchSchema,
  ReceiptFeedSchema,
  receiptFromJson,
  type SignedGrantJson,
  type SignedReceiptJson,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { forBridge } from '../guards/bearer.ts'
import { RECEIPT_FEED_MAX_ITEMS } from '../limits.ts'
import { createReceiptStore } from '../store/receipts.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const send = createRoute({
  method: 'post',
  path: '/v1/receipts',
  summary: 'Seed: hand in receipts with their grants',
  description:
    'Receipts prove themselves, so no token is needed. Sending one again, or one that a higher one has overtaken, changes nothing.',
  request: { body: jsonBody(ReceiptBatchSchema) },
  responses: answers(200, ReceiptBatchResultSchema, 'what was stored and what was refused'),
})
const feed = createRoute({
  method: 'get',
  path: '/v1/receipts',
  summary: 'Bridge: receipts in the order of their arrival',
  ...forBridge,
  request: {
    query: z.object({
      after: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(RECEIPT_FEED_MAX_ITEMS).default(500),
    }),
  },
  responses: answers(200, ReceiptFeedSchema, 'a page of the feed'),
})

export function receiptRoutes(parts: Parts) {
  const store = createReceiptStore(parts)
  return createAppPart()
    .openapi(send, async (c) => {
      const items = c.req.valid('json').items.map(({ grant, receipt }) => ({
        grant: grantFromJson(grant),
        receipt: receiptFromJson(receipt),
      }))
      const result = await store.add(items)
      parts.metrics.receiptsStored.inc(result.stored)
      return c.json(result, 200)
    })
    .openapi(feed, async (c) => {
      const { after, limit } = c.req.valid('query')
      const rows = await parts.db
        .selectFrom('receipts')
        .select(['cursor', 'grant_json', 'receipt_json'])
        .where('cursor', '>', after)
        .orderBy('cursor')
        .limit(limit)
        .execute()
      const items = rows.map((row) => ({
        cursor: row.cursor,
        grant: JSON.parse(row.grant_json) as SignedGrantJson,
        receipt: JSON.parse(row.receipt_json) as SignedReceiptJson,
      }))
      return c.json({ items, next: items.at(-1)?.cursor ?? after }, 200)
    })
}
