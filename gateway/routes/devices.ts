import { createRoute, z } from '@hono/zod-openapi'
import {
  CursorSchema,
  DeviceDetailSchema,
  DevicePageSchema,
  DeviceStateSchema,
  EvmAddressSchema,
  ModelSchema,
  PAGE_DEFAULT_ITEMS,
  PAGE_MAX_ITEMS,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { forVendor, mustOwn, notFound, vendorOf } from '../guards/bearer.ts'
import { DEVICE_HISTORY_MAX_EVENTS } from '../limits.ts'
import { deviceOf } from '../store/devices.ts'
import { cursorOf, keyOfCursor, timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers } from './described.ts'

const list = createRoute({
  method: 'get',
  path: '/v1/devices',
  summary: 'Devices of the vendor, by id',
  ...forVendor('read'),
  request: {
    query: z.object({
      vendor: EvmAddressSchema.optional(),
      model: ModelSchema.optional(),
      state: DeviceStateSchema.optional(),
      after: CursorSchema.optional(),
      limit: z.coerce.number().int().min(1).max(PAGE_MAX_ITEMS).default(PAGE_DEFAULT_ITEMS),
    }),
  },
  responses: answers(200, DevicePageSchema, 'a page'),
})
const show = createRoute({
  method: 'get',
  path: '/v1/devices/{id}',
  summary: 'One device and its history',
  ...forVendor('read'),
  request: { params: z.object({ id: EvmAddressSchema }) },
  responses: answers(200, DeviceDetailSchema, 'the device', ['not-found']),
})
const remove = createRoute({
  method: 'delete',
  path: '/v1/devices/{id}',
  summary: 'Take a device off: no more grants and keys',
  description:
    'Its token ends at once and no later release is wrapped for it. What it has stays on it: removing protects what changes from now on.',
  ...forVendor('devices'),
  request: { params: z.object({ id: EvmAddressSchema }) },
  responses: answers(200, z.object({ removed: z.string() }), 'the id', ['not-found']),
})

export function deviceRoutes({ db }: Parts) {
  const deviceBy = async (id: string) => {
    const row = await db.selectFrom('devices').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) throw notFound(`device ${id}`)
    return row
  }
  return createAppPart()
    .openapi(list, async (c) => {
      const { vendor, model, state, after, limit } = c.req.valid('query')
      let query = db
        .selectFrom('devices')
        .selectAll()
        .where('vendor', '=', vendorOf(c, vendor))
        .orderBy('id')
        .limit(limit + 1)
      if (model !== undefined) query = query.where('model', '=', model)
      if (state !== undefined) query = query.where('state', '=', state)
      const key = after === undefined ? undefined : keyOfCursor(after)?.[0]
      if (key !== undefined) query = query.where('id', '>', String(key))
      const rows = await query.execute()
      const last = rows.length > limit ? rows[limit - 1] : undefined
      return c.json(
        {
          items: rows.slice(0, limit).map(deviceOf),
          next: last === undefined ? null : cursorOf(last.id),
        },
        200,
      )
    })
    .openapi(show, async (c) => {
      const row = await deviceBy(c.req.valid('param').id)
      mustOwn(c, row.vendor, `device ${row.id}`)
      const events = await db
        .selectFrom('device_events')
        .selectAll()
        .where('device', '=', row.id)
        .orderBy('id', 'desc')
        .limit(DEVICE_HISTORY_MAX_EVENTS)
        .execute()
      const history = events.map((event) => ({
        at: timeOf(event.at_ms),
        event: event.event,
        release: event.release,
        detail: event.detail,
        sha256: event.sha256 as `0x${string}` | null,
        fetchedBytes: event.fetched_bytes,
        sources: JSON.parse(event.sources) as { peerId: string; bytes: number }[],
      }))
      return c.json({ ...deviceOf(row), history }, 200)
    })
    .openapi(remove, async (c) => {
      const row = await deviceBy(c.req.valid('param').id)
      mustOwn(c, row.vendor, `device ${row.id}`)
      await db.transaction().execute(async (transaction) => {
        await transaction.deleteFrom('tokens').where('device', '=', row.id).execute()
        await transaction.deleteFrom('wrap_members').where('device', '=', row.id).execute()
        await transaction.deleteFrom('device_events').where('device', '=', row.id).execute()
        await transaction.deleteFrom('device_reports').where('device', '=', row.id).execute()
        await transaction.deleteFrom('rollout_devices').where('device', '=', row.id).execute()
        await transaction.deleteFrom('devices').where('id', '=', row.id).execute()
      })
      return c.json({ removed: row.id }, 200)
    })
}
