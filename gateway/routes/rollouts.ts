import { createRoute, z } from '@hono/zod-openapi'
import {
  CidSchema,
  RolloutActionSchema,
  RolloutCreateSchema,
  RolloutPageSchema,
  RolloutSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import type { AppContext } from '../env.ts'
import { forVendor, mustOwn, notFound, vendorOf } from '../guards/bearer.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

/** Newest first; who has more looks at one by its release. */
const ROLLOUTS_LISTED = 50

const create = createRoute({
  method: 'post',
  path: '/v1/rollouts',
  summary: 'Begin the rollout that the metadata of a release prescribes',
  ...forVendor('publish'),
  request: { body: jsonBody(RolloutCreateSchema) },
  responses: answers(201, RolloutSchema, 'the rollout', [
    'not-found',
    'rollout-invalid',
    'rollout-exists',
  ]),
})
const list = createRoute({
  method: 'get',
  path: '/v1/rollouts',
  summary: 'The newest rollouts of a vendor',
  ...forVendor('read'),
  request: { query: z.object({ vendor: z.string().optional() }) },
  responses: answers(200, RolloutPageSchema, 'at most 50, the newest first'),
})
const show = createRoute({
  method: 'get',
  path: '/v1/rollouts/{release}',
  summary: 'Where a rollout is, phase by phase',
  ...forVendor('read'),
  request: { params: z.object({ release: CidSchema }) },
  responses: answers(200, RolloutSchema, 'the rollout', ['not-found']),
})
const act = createRoute({
  method: 'post',
  path: '/v1/rollouts/{release}/actions',
  summary: 'Start, pause, resume, approve, abort, retry or roll back',
  ...forVendor('publish'),
  request: { params: z.object({ release: CidSchema }), body: jsonBody(RolloutActionSchema) },
  responses: answers(200, RolloutSchema, 'the rollout after it', [
    'not-found',
    'rollout-state-wrong',
  ]),
})

export function rolloutRoutes({ db, rollouts }: Pick<Parts, 'db' | 'rollouts'>) {
  const mine = async (c: AppContext, release: string) => {
    const row = await db
      .selectFrom('rollouts')
      .selectAll()
      .where('release', '=', release)
      .executeTakeFirst()
    if (row === undefined) throw notFound(`rollout of ${release}`)
    mustOwn(c, row.vendor, `rollout of ${release}`)
    return row
  }
  return createAppPart()
    .openapi(create, async (c) => {
      const what = c.req.valid('json')
      const release = await db
        .selectFrom('releases')
        .selectAll()
        .where('id', '=', what.release)
        .executeTakeFirst()
      if (release === undefined) throw notFound(`release ${what.release}`)
      mustOwn(c, release.vendor, `release ${what.release}`)
      return c.json(await rollouts.show(await rollouts.create(release, what)), 201)
    })
    .openapi(list, async (c) => {
      const vendor = vendorOf(c, c.req.valid('query').vendor)
      const rows = await db
        .selectFrom('rollouts')
        .selectAll()
        .where('vendor', '=', vendor)
        .orderBy('changed_ms', 'desc')
        .limit(ROLLOUTS_LISTED)
        .execute()
      return c.json({ items: await Promise.all(rows.map(rollouts.show)), next: null }, 200)
    })
    .openapi(show, async (c) =>
      c.json(await rollouts.show(await mine(c, c.req.valid('param').release)), 200),
    )
    .openapi(act, async (c) => {
      const row = await mine(c, c.req.valid('param').release)
      return c.json(await rollouts.show(await rollouts.act(row, c.req.valid('json').action)), 200)
    })
}
