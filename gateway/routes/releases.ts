import { createRoute, z } from '@hono/zod-openapi'
import {
  CidSchema,
  CursorSchema,
  EvmAddressSchema,
  ModelSchema,
  ReleasePageSchema,
  ReleaseProgressSchema,
  type ReleaseProgress,
  ReleaseSchema,
  ReleaseStateSchema,
  ReleaseWithdrawSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import type { AppContext } from '../env.ts'
import { forVendor, mustOwn, notFound, vendorOf } from '../guards/bearer.ts'
import { decodeMetadata } from '../publishing/tuf-repository.ts'
import { withdraw } from '../publishing/publish.ts'
import type { DeviceWord } from '../publishing/release-events.ts'
import { countCopies, countDevices, releaseOf } from '../store/releases.ts'
import { cursorOf, keyOfCursor, timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, refusals } from './described.ts'
import { streamState } from './event-stream.ts'
import { contextOf } from './uploads.ts'

/** Each item counts the devices of its model, so pages are small. */
const PAGE_ITEMS = { default: 20, max: 100 }
const id = z.object({ id: CidSchema })

const list = createRoute({
  method: 'get',
  path: '/v1/vendors/{vendor}/releases',
  summary: 'Releases of a vendor, newest first',
  ...forVendor('read'),
  request: {
    params: z.object({ vendor: EvmAddressSchema }),
    query: z.object({
      model: ModelSchema.optional(),
      state: ReleaseStateSchema.optional(),
      after: CursorSchema.optional(),
      limit: z.coerce.number().int().min(1).max(PAGE_ITEMS.max).default(PAGE_ITEMS.default),
    }),
  },
  responses: answers(200, ReleasePageSchema, 'a page'),
})
const show = createRoute({
  method: 'get',
  path: '/v1/releases/{id}',
  summary: 'One release',
  ...forVendor('read'),
  request: { params: id },
  responses: answers(200, ReleaseSchema, 'the release', ['not-found']),
})
const takeBack = createRoute({
  method: 'post',
  path: '/v1/releases/{id}/withdraw',
  summary: 'Withdraw a release: no more grants from now on',
  description:
    'Devices that have it keep it until a newer one is published. Own-keys vendors send the line without it.',
  ...forVendor('publish'),
  request: {
    params: id,
    body: { content: { 'application/json': { schema: ReleaseWithdrawSchema } }, required: false },
  },
  responses: answers(200, ReleaseSchema, 'the release, withdrawn', ['not-found', 'tuf-invalid']),
})
const events = createRoute({
  method: 'get',
  path: '/v1/releases/{id}/events',
  summary: 'What the devices do with a release, as server-sent events',
  ...forVendor('read'),
  request: { params: id },
  responses: {
    200: {
      content: { 'text/event-stream': { schema: ReleaseProgressSchema } },
      description: 'the counts each time, and the device whose word changed them',
    },
    ...refusals(['not-found', 'busy']),
  },
})

export function releaseRoutes(parts: Parts) {
  const { db, options, clock, releaseEvents } = parts
  const open = { listeners: 0 }

  const releaseBy = async (c: AppContext, release: string) => {
    const row = await db
      .selectFrom('releases')
      .selectAll()
      .where('id', '=', release)
      .executeTakeFirst()
    if (row === undefined) throw notFound(`release ${release}`)
    mustOwn(c, row.vendor, `release ${release}`)
    return row
  }

  return createAppPart()
    .openapi(list, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { model, state, after, limit } = c.req.valid('query')
      let query = db
        .selectFrom('releases')
        .selectAll()
        .where('vendor', '=', vendor)
        .orderBy('created_ms', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1)
      if (model !== undefined) query = query.where('model', '=', model)
      if (state !== undefined) query = query.where('state', '=', state)
      const [beforeMs, beforeId] = (after === undefined ? undefined : keyOfCursor(after)) ?? []
      if (typeof beforeMs === 'number') {
        query = query.where((where) =>
          where.or([
            where('created_ms', '<', beforeMs),
            where.and([where('created_ms', '=', beforeMs), where('id', '<', String(beforeId))]),
          ]),
        )
      }
      const rows = await query.execute()
      const last = rows.length > limit ? rows[limit - 1] : undefined
      const items = []
      for (const row of rows.slice(0, limit)) items.push(await releaseOf(db, row, contextOf(parts)))
      return c.json(
        { items, next: last === undefined ? null : cursorOf(last.created_ms, last.id) },
        200,
      )
    })
    .openapi(show, async (c) => {
      const row = await releaseBy(c, c.req.valid('param').id)
      return c.json(await releaseOf(db, row, contextOf(parts)), 200)
    })
    .openapi(takeBack, async (c) => {
      const row = await releaseBy(c, c.req.valid('param').id)
      const isJson = c.req.header('content-type')?.includes('json') === true
      const { metadata } = isJson ? c.req.valid('json') : {}
      if (row.state !== 'withdrawn') {
        await withdraw(parts, row, metadata === undefined ? undefined : decodeMetadata(metadata))
      }
      return c.json(await releaseOf(db, await releaseBy(c, row.id), contextOf(parts)), 200)
    })
    .openapi(events, async (c) => {
      const { id: release } = await releaseBy(c, c.req.valid('param').id)
      let word: DeviceWord | undefined
      return streamState(c, parts, open, {
        async read(): Promise<ReleaseProgress> {
          const row = await releaseBy(c, release)
          const said = word
          word = undefined
          return {
            release,
            state: row.state,
            copies: await countCopies(db, release, clock.nowMs()),
            copiesWanted: options.copiesWanted,
            devices: await countDevices(db, row),
            device:
              said === undefined
                ? null
                : {
                    device: said.device,
                    event: said.event,
                    at: timeOf(said.atMs),
                    percent: said.percent,
                  },
          }
        },
        watch: (changed) =>
          releaseEvents.watch(release, (said) => {
            word = said
            changed()
          }),
        isLast: () => false,
      })
    })
}
