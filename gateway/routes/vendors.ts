import { createRoute, z } from '@hono/zod-openapi'
import {
  EvmAddressSchema,
  type Vendor,
  VendorCreatedSchema,
  VendorCreateSchema,
  VendorSchema,
  TufMetadataUploadSchema,
  WhoAmISchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { createVendor } from '../custody/create-vendor.ts'
import {
  bearerIn,
  forAnyToken,
  forOperator,
  forVendor,
  notFound,
  vendorOf,
} from '../guards/bearer.ts'
import { ProblemError } from '../problems.ts'
import { createTufRepository, decodeMetadata } from '../publishing/tuf-repository.ts'
import { timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const params = z.object({ vendor: EvmAddressSchema })

const create = createRoute({
  method: 'post',
  path: '/v1/vendors',
  summary: 'Register a vendor',
  ...forOperator,
  request: { body: jsonBody(VendorCreateSchema) },
  responses: answers(201, VendorCreatedSchema, 'the vendor, and its first token', [
    'vendor-exists',
    'request-invalid',
  ]),
})
const list = createRoute({
  method: 'get',
  path: '/v1/vendors',
  summary: 'All vendors',
  ...forOperator,
  responses: answers(200, z.object({ items: z.array(VendorSchema) }), 'at most 1,000, by age'),
})
const show = createRoute({
  method: 'get',
  path: '/v1/vendors/{vendor}',
  summary: 'One vendor',
  ...forVendor('read'),
  request: { params },
  responses: answers(200, VendorSchema, 'the vendor', ['not-found', 'not-yours']),
})
const acceptMetadata = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/tuf-metadata',
  summary: 'Hand in TUF files that an own-keys vendor signed: first root, rotation, renewal',
  ...forVendor('publish'),
  request: { params, body: jsonBody(TufMetadataUploadSchema) },
  responses: answers(200, VendorSchema, 'the vendor, ready to publish', [
    'custody-wrong',
    'tuf-invalid',
  ]),
})
const whoAmI = createRoute({
  method: 'get',
  path: '/v1/me',
  summary: 'Who the token belongs to',
  ...forAnyToken,
  responses: answers(200, WhoAmISchema, 'kind, scopes, vendor and device of the token'),
})

/** Rows of one answer; more vendors than this live on one gateway only behind an operator's own tools. */
const MAX_LISTED = 1_000

export function vendorRoutes(parts: Parts) {
  const vendorBy = async (id: string): Promise<Vendor> => {
    const row = await parts.db
      .selectFrom('vendors')
      .selectAll()
      .select((vendors) =>
        vendors
          .selectFrom('tuf_files')
          .whereRef('tuf_files.vendor', '=', 'vendors.id')
          .where('tuf_files.name', '=', '1.root.json')
          .select('tuf_files.name')
          .as('root'),
      )
      .where('id', '=', id)
      .executeTakeFirst()
    if (row === undefined) throw notFound(`vendor ${id}`)
    const renewMs = await renewByMs(parts.db, id)
    return {
      vendor: row.id as Vendor['vendor'],
      name: row.name,
      custody: row.custody,
      createdAt: timeOf(row.created_ms),
      voucherSigner: row.voucher_signer as Vendor['voucherSigner'],
      announceSigner: parts.node.identity.evmAddress,
      onlineTufKey: row.online_tuf_key as Vendor['onlineTufKey'],
      tufReady: row.root !== null,
      renewBy: renewMs === undefined ? null : timeOf(renewMs),
    }
  }

  return createAppPart()
    .openapi(create, async (c) => {
      const { vendor, token } = await createVendor(parts, c.req.valid('json'))
      return c.json({ ...(await vendorBy(vendor)), token }, 201)
    })
    .openapi(list, async (c) => {
      const rows = await parts.db
        .selectFrom('vendors')
        .select('id')
        .orderBy('created_ms')
        .limit(MAX_LISTED)
        .execute()
      return c.json({ items: await Promise.all(rows.map(({ id }) => vendorBy(id))) }, 200)
    })
    .openapi(show, async (c) =>
      c.json(await vendorBy(vendorOf(c, c.req.valid('param').vendor)), 200),
    )
    .openapi(acceptMetadata, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      if ((await vendorBy(vendor)).custody === 'managed') {
        throw new ProblemError('custody-wrong', 'the gateway signs for this vendor', {
          fix: 'Nothing has to be sent; releases are signed when they are published.',
        })
      }
      await createTufRepository(parts).accept(vendor, decodeMetadata(c.req.valid('json')))
      return c.json(await vendorBy(vendor), 200)
    })
    .openapi(whoAmI, (c) => {
      const { kind, scopes, vendor, device } = bearerIn(c)
      return c.json(
        { kind, scopes: [...scopes], vendor: vendor ?? null, device: device ?? null },
        200,
      )
    })
}

/** When the first of the files that are signed offline ends: of each role only the newest counts. */
async function renewByMs(db: Parts['db'], vendor: string): Promise<number | undefined> {
  const rows = await db
    .selectFrom('tuf_files')
    .select(['name', 'version', 'expires_ms'])
    .where('vendor', '=', vendor)
    .execute()
  const newest = new Map<string, (typeof rows)[number]>()
  for (const row of rows) {
    const role = row.name.replace(/^\d+\./, '')
    if (role === 'timestamp.json' || role === 'snapshot.json') continue
    if (row.version > (newest.get(role)?.version ?? 0)) newest.set(role, row)
  }
  const ends = [...newest.values()].map(({ expires_ms }) => expires_ms)
  return ends.length === 0 ? undefined : Math.min(...ends)
}
