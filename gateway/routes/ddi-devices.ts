import { createRoute, z } from '@hono/zod-openapi'
import {
  CursorSchema,
  DdiControllerSchema,
  DdiDeviceCreatedSchema,
  DdiDeviceCreateSchema,
  DdiDevicePageSchema,
  DdiGatewayTokenCreatedSchema,
  DdiGatewayTokenCreateSchema,
  DdiTokenPageSchema,
  EvmAddressSchema,
  PAGE_DEFAULT_ITEMS,
  PAGE_MAX_ITEMS,
} from '@ioex/node/api'
import { onTakeBack } from '@ioex/node/ddi'
import type { Parts } from '../context.ts'
import { currentAction, stepAction } from '../ddi/actions.ts'
import { findDevice, type KnownDevice, putDevice, putToken } from '../ddi/credentials.ts'
import type { AppContext } from '../env.ts'
import { forVendor, notFound, vendorOf } from '../guards/bearer.ts'
import { DDI_GATEWAY_TOKENS_PER_VENDOR } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import type { DdiTokenRow } from '../store/ddi-tables.ts'
import { cursorOf, keyOfCursor, timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { DDI_PATH, originOf } from './ddi.ts'
import { answers, jsonBody } from './described.ts'

const params = z.object({ vendor: EvmAddressSchema })
const query = z.object({
  after: CursorSchema.optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX_ITEMS).default(PAGE_DEFAULT_ITEMS),
})

const put = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/ddi/devices',
  summary: "Let a device in that speaks hawkBit's DDI, or give it a new token",
  description:
    'For vendors whose keys the gateway keeps. The token before ends at once; a device that has one of its own may keep it.',
  ...forVendor('devices'),
  request: { params, body: jsonBody(DdiDeviceCreateSchema) },
  responses: answers(201, DdiDeviceCreatedSchema, 'the token, and what to configure', [
    'custody-wrong',
    'not-found',
  ]),
})
const list = createRoute({
  method: 'get',
  path: '/v1/vendors/{vendor}/ddi/devices',
  summary: "Devices that speak hawkBit's DDI, by their own names",
  ...forVendor('read'),
  request: { params, query },
  responses: answers(200, DdiDevicePageSchema, 'a page'),
})
const takeBack = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/ddi/devices/{controllerId}/cancel',
  summary: 'Take the running update of one device back',
  description: 'The device has to agree; one that has begun to install may go on.',
  ...forVendor('devices'),
  request: { params: params.extend({ controllerId: DdiControllerSchema }) },
  responses: answers(200, z.object({ action: z.int(), state: z.string() }), 'the action', [
    'not-found',
  ]),
})
const putGateway = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/ddi/gateway-tokens',
  summary: 'Make a GatewayToken, with which devices of a model make themselves known',
  ...forVendor('devices'),
  request: { params, body: jsonBody(DdiGatewayTokenCreateSchema) },
  responses: answers(201, DdiGatewayTokenCreatedSchema, 'the token, and what to configure', [
    'custody-wrong',
    'not-found',
    'too-many',
  ]),
})
const listTokens = createRoute({
  method: 'get',
  path: '/v1/vendors/{vendor}/ddi/tokens',
  summary: 'TargetTokens and GatewayTokens, without their secrets',
  ...forVendor('devices'),
  request: { params, query },
  responses: answers(200, DdiTokenPageSchema, 'a page'),
})
const revoke = createRoute({
  method: 'delete',
  path: '/v1/vendors/{vendor}/ddi/tokens/{token}',
  summary: 'Revoke a TargetToken or GatewayToken at once',
  ...forVendor('devices'),
  request: { params: params.extend({ token: z.string().regex(/^[0-9a-f]{16}$/) }) },
  responses: answers(200, z.object({ revoked: z.string() }), 'the id', ['not-found']),
})

export function ddiDeviceRoutes(parts: Parts) {
  const { db } = parts

  const addressOf = (c: AppContext, vendor: string) => ({
    url: `${originOf(c, parts)}${DDI_PATH}`,
    tenant: vendor,
  })
  const deviceBy = async (vendor: string, controller: string) => {
    const device = await findDevice(db, vendor, controller)
    if (device === undefined) throw notFound(`device ${controller}`)
    return device
  }

  return createAppPart()
    .openapi(put, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { controllerId: controller, model, token: given, confirm, groups } = c.req.valid('json')
      const { token } = await db.transaction().execute(async (transaction) => {
        const device = await putDevice(parts, transaction, {
          vendor,
          controller,
          model,
          confirm,
          groups,
        })
        const what = { vendor, model, device, name: controller, remaining: 0 }
        return putToken(parts, transaction, what, given)
      })
      const device = await deviceBy(vendor, controller)
      return c.json({ ...deviceOf(device), token, ...addressOf(c, vendor) }, 201)
    })
    .openapi(list, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { after, limit } = c.req.valid('query')
      let rows = db
        .selectFrom('ddi_devices')
        .innerJoin('devices', 'devices.id', 'ddi_devices.device')
        .selectAll('devices')
        .select(['controller', 'confirm', 'groups', 'auto_confirm', 'attributes'])
        .where('ddi_devices.vendor', '=', vendor)
        .orderBy('controller')
        .limit(limit + 1)
      const key = after === undefined ? undefined : keyOfCursor(after)?.[0]
      if (key !== undefined) rows = rows.where('controller', '>', String(key))
      const found = await rows.execute()
      const last = found.length > limit ? found[limit - 1] : undefined
      const items = found.slice(0, limit).map(deviceOf)
      return c.json({ items, next: last === undefined ? null : cursorOf(last.controller) }, 200)
    })
    .openapi(takeBack, async (c) => {
      const { controllerId, vendor: named } = c.req.valid('param')
      const device = await deviceBy(vendorOf(c, named), controllerId)
      const action = await currentAction(parts, device)
      if (action === undefined) throw notFound(`running update of ${controllerId}`)
      const step = await stepAction(parts, device, action.id, onTakeBack)
      if (step?.ok !== true) throw notFound(`running update of ${controllerId}`)
      return c.json({ action: action.id, state: step.state }, 200)
    })
    .openapi(putGateway, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { name, model, count, token: given } = c.req.valid('json')
      const open = await db
        .selectFrom('ddi_tokens')
        .select((expression) => expression.fn.countAll<number>().as('count'))
        .where('vendor', '=', vendor)
        .where('device', 'is', null)
        .executeTakeFirstOrThrow()
      if (Number(open.count) >= DDI_GATEWAY_TOKENS_PER_VENDOR) {
        throw new ProblemError('too-many', `${open.count} GatewayTokens are there`, {
          fix: 'Revoke those that are no longer used.',
        })
      }
      const what = { vendor, model, name, device: null, remaining: count }
      const { row, token } = await putToken(parts, db, what, given)
      return c.json({ ...tokenOf(row), token, ...addressOf(c, vendor) }, 201)
    })
    .openapi(listTokens, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { after, limit } = c.req.valid('query')
      let rows = db
        .selectFrom('ddi_tokens')
        .selectAll()
        .where('vendor', '=', vendor)
        .orderBy('id')
        .limit(limit + 1)
      const key = after === undefined ? undefined : keyOfCursor(after)?.[0]
      if (key !== undefined) rows = rows.where('id', '>', String(key))
      const found = await rows.execute()
      const last = found.length > limit ? found[limit - 1] : undefined
      const items = found.slice(0, limit).map(tokenOf)
      return c.json({ items, next: last === undefined ? null : cursorOf(last.id) }, 200)
    })
    .openapi(revoke, async (c) => {
      const { vendor, token } = c.req.valid('param')
      const gone = await db
        .deleteFrom('ddi_tokens')
        .where('vendor', '=', vendorOf(c, vendor))
        .where('id', '=', token)
        .executeTakeFirst()
      if (gone.numDeletedRows === 0n) throw notFound(`token ${token}`)
      return c.json({ revoked: token }, 200)
    })
}

function deviceOf(device: KnownDevice) {
  return {
    device: device.id as `0x${string}`,
    controllerId: device.controller,
    model: device.model,
    confirm: device.confirm === 1,
    groups: JSON.parse(device.groups) as string[],
    attributes:
      device.attributes === null ? null : (JSON.parse(device.attributes) as Record<string, string>),
    lastSeenAt: timeOf(device.seen_ms),
  }
}

function tokenOf(row: DdiTokenRow) {
  return {
    id: row.id,
    kind: row.device === null ? ('gateway' as const) : ('target' as const),
    name: row.name,
    model: row.model,
    device: row.device as `0x${string}` | null,
    remaining: row.remaining,
    createdAt: timeOf(row.created_ms),
  }
}
