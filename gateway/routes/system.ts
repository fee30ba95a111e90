import { createRoute, z } from '@hono/zod-openapi'
import { sql } from 'kysely'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import { createAppPart } from './app-part.ts'
import { answers } from './described.ts'

const health = createRoute({
  method: 'get',
  path: '/healthz',
  summary: 'Is the process alive',
  responses: answers(200, z.object({ ok: z.boolean() }), 'it is'),
})
const ready = createRoute({
  method: 'get',
  path: '/readyz',
  summary: 'Can it work: database, and storage below its quota',
  responses: answers(200, z.object({ ok: z.boolean() }), 'it can', ['not-ready']),
})

export function systemRoutes({ db, node, metrics }: Parts) {
  return createAppPart()
    .openapi(health, (c) => c.json({ ok: true }, 200))
    .openapi(ready, async (c) => {
      try {
        await sql`select 1`.execute(db)
      } catch (cause) {
        throw new ProblemError('not-ready', 'the database does not answer', {
          fix: 'Look at the log of the database.',
          cause,
        })
      }
      const { usedBytes, quotaBytes } = node.storage.blocks
      if (usedBytes >= quotaBytes) {
        throw new ProblemError('not-ready', 'the block storage is full', {
          fix: 'Withdraw old releases, or raise the quota.',
        })
      }
      return c.json({ ok: true }, 200)
    })
    .get('/metrics', async () => {
      const text = await metrics.registry.metrics()
      return new Response(text, { headers: { 'content-type': metrics.registry.contentType } })
    })
}
