import { createRoute, z } from '@hono/zod-openapi'
import {
  BlocksStoredSchema,
  CidSchema,
  CursorSchema,
  EvmAddressSchema,
  ModelSchema,
  RECIPIENT_PAGE_ITEMS,
  RecipientPageSchema,
  ReleaseCreateSchema,
  ReleaseSchema,
  VersionSchema,
  WrapPageSchema,
  WrapsUploadSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { forVendor, mustOwn, notFound, vendorOf } from '../guards/bearer.ts'
import { BLOCKS_MAX_BYTES, IMAGE_MAX_BYTES, WRAPS_PAGE_ITEMS } from '../limits.ts'
import { invalidParts } from '../middleware/problem.ts'
import { ProblemError } from '../problems.ts'
import { type Body, bodyOf } from '../publishing/body-source.ts'
import { createOwnReleases } from '../publishing/own-releases.ts'
import { storeWrap, unwrapped, wrapForLate, wrapsOf } from '../publishing/wraps.ts'
import { releaseOf } from '../store/releases.ts'
import type { ReleaseRow } from '../store/tables.ts'
import { cursorOf, keyOfCursor } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'
import { contextOf } from './uploads.ts'

const vendorParam = z.object({ vendor: EvmAddressSchema })
const binary = z.string().meta({ format: 'binary' })

const publish = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/releases',
  summary: 'Publish: an image in one call, or a release that was packed elsewhere',
  description: `With the bytes of an image as the body (curl -T FILE, at most ${IMAGE_MAX_BYTES} bytes): packs, seals, signs and hands out, with the keys that the gateway keeps. With JSON: takes a release whose blocks are here and whose metadata the vendor has signed.`,
  ...forVendor('publish'),
  request: {
    params: vendorParam,
    query: z.object({
      model: ModelSchema.optional().meta({ description: 'with an image' }),
      version: VersionSchema.optional().meta({ description: 'with an image' }),
      notes: z.string().max(10_000).optional().meta({ description: 'with an image' }),
    }),
    body: {
      content: {
        // No zod schema here: with one, zod-openapi refuses every other type of body, curl's own among them.
        'application/json': { schema: { $ref: '#/components/schemas/ReleaseCreate' } },
        'application/octet-stream': { schema: binary },
      },
      required: false,
    },
  },
  responses: {
    ...answers(201, ReleaseSchema, 'published', [
      'version-exists',
      'custody-wrong',
      'upload-broken',
      'upload-empty',
      'body-too-large',
      'media-type-unsupported',
      'blocks-missing',
      'tuf-invalid',
      'storage-full',
      'busy',
    ]),
    202: {
      content: { 'application/json': { schema: ReleaseSchema } },
      description: 'stored; published as soon as enough seeds have it',
    },
  },
})
const sendBlocks = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/blocks',
  summary: 'Own keys: send sealed blocks of a release, as a CAR (version 1)',
  description: `Any number of times for one root, at most ${BLOCKS_MAX_BYTES} bytes each; blocks that are here already cost nothing. They are kept for an hour without their release.`,
  ...forVendor('publish'),
  request: {
    params: vendorParam,
    query: z.object({ root: CidSchema }),
    body: { content: { 'application/vnd.ipld.car': { schema: binary } }, required: true },
  },
  responses: answers(200, BlocksStoredSchema, 'what is durable now', [
    'custody-wrong',
    'block-invalid',
    'upload-broken',
    'body-too-large',
    'storage-full',
  ]),
})
const recipients = createRoute({
  method: 'get',
  path: '/v1/releases/{id}/recipients',
  summary: 'Own keys: devices that have no wrap of the release key yet',
  ...forVendor('publish'),
  request: {
    params: z.object({ id: CidSchema }),
    query: z.object({ after: CursorSchema.optional() }),
  },
  responses: answers(200, RecipientPageSchema, `at most ${RECIPIENT_PAGE_ITEMS}`, ['not-found']),
})
const devicesOfModel = createRoute({
  method: 'get',
  path: '/v1/vendors/{vendor}/recipients',
  summary: 'Own keys: devices of a model, to wrap the key of a new release for',
  ...forVendor('publish'),
  request: {
    params: vendorParam,
    query: z.object({ model: ModelSchema, after: CursorSchema.optional() }),
  },
  responses: answers(200, RecipientPageSchema, `at most ${RECIPIENT_PAGE_ITEMS}`),
})
const sendWraps = createRoute({
  method: 'post',
  path: '/v1/releases/{id}/wraps',
  summary: 'Own keys: hand in wraps of the release key for more devices',
  ...forVendor('publish'),
  request: { params: z.object({ id: CidSchema }), body: jsonBody(WrapsUploadSchema) },
  responses: answers(200, z.object({ stored: z.int() }), 'how many wraps', ['not-found']),
})

const listWraps = createRoute({
  method: 'get',
  path: '/v1/releases/{id}/wraps',
  summary: 'The release key as it was wrapped for each cohort, to be carried to devices in a file',
  ...forVendor('publish'),
  request: {
    params: z.object({ id: CidSchema }),
    query: z.object({ after: CursorSchema.optional() }),
  },
  responses: answers(200, WrapPageSchema, `at most ${WRAPS_PAGE_ITEMS}`, ['not-found']),
})

export function ownReleaseRoutes(parts: Parts) {
  const { db, publishing } = parts
  const own = createOwnReleases(parts)

  const releaseBy = async (release: string) => {
    const row = await db
      .selectFrom('releases')
      .selectAll()
      .where('id', '=', release)
      .executeTakeFirst()
    if (row === undefined) throw notFound(`release ${release}`)
    return row
  }

  const publishImage = async (
    vendor: string,
    query: Parameters<typeof namesOf>[0],
    body: Body,
  ): Promise<ReleaseRow> =>
    publishing.receive(await publishing.open({ vendor, ...namesOf(query) }), body)

  const part = createAppPart()
  // A copy made here knows `.openapi`, which schemas that are older than zod-openapi's import do not.
  part.openAPIRegistry.register('ReleaseCreate', ReleaseCreateSchema.extend({}))
  return part
    .openapi(publish, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const isJson = c.req.header('content-type')?.includes('json') === true
      const release = isJson
        ? await own.publish(vendor, await signedRelease(c.req.json()))
        : await publishImage(vendor, c.req.valid('query'), bodyOf(c.req.raw, IMAGE_MAX_BYTES))
      const body = await releaseOf(db, release, contextOf(parts))
      return release.state === 'draft' ? c.json(body, 202) : c.json(body, 201)
    })
    .openapi(sendBlocks, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { root } = c.req.valid('query')
      const stored = await own.storeBlocks(vendor, root, bodyOf(c.req.raw, BLOCKS_MAX_BYTES))
      return c.json({ ...stored, root }, 200)
    })
    .openapi(recipients, async (c) => {
      const row = await releaseBy(c.req.valid('param').id)
      mustOwn(c, row.vendor, `release ${row.id}`)
      const after = afterOf(c.req.valid('query').after)
      return c.json(
        recipientPage(await unwrapped(db, row, { limit: RECIPIENT_PAGE_ITEMS, ...after })),
        200,
      )
    })
    .openapi(devicesOfModel, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { model, after } = c.req.valid('query')
      // No release has this id, so no device has a wrap of it.
      const nothing = { id: '', vendor, model }
      const page = await unwrapped(db, nothing, { limit: RECIPIENT_PAGE_ITEMS, ...afterOf(after) })
      return c.json(recipientPage(page), 200)
    })
    .openapi(sendWraps, async (c) => {
      const row = await releaseBy(c.req.valid('param').id)
      mustOwn(c, row.vendor, `release ${row.id}`)
      const { wraps } = c.req.valid('json')
      await db.transaction().execute(async (transaction) => {
        for (const { devices, wrap } of wraps) {
          const bytes = new Uint8Array(Buffer.from(wrap, 'base64'))
          await storeWrap({ ...parts, db: transaction }, row.id, bytes, devices)
        }
      })
      return c.json({ stored: wraps.length }, 200)
    })
    .openapi(listWraps, async (c) => {
      const row = await releaseBy(c.req.valid('param').id)
      mustOwn(c, row.vendor, `release ${row.id}`)
      const after = afterOf(c.req.valid('query').after)
      if (after.after === undefined) await wrapForLate(parts, row)
      const wraps = await wrapsOf(db, row.id, { limit: WRAPS_PAGE_ITEMS, ...after })
      const last = wraps.at(-1)
      return c.json(
        {
          items: wraps.map(({ bytes }) => ({ wrap: Buffer.from(bytes).toString('base64') })),
          next: last !== undefined && wraps.length === WRAPS_PAGE_ITEMS ? cursorOf(last.id) : null,
        },
        200,
      )
    })
}

async function signedRelease(json: Promise<unknown>) {
  let body: unknown
  try {
    body = await json
  } catch (cause) {
    throw new ProblemError('json-invalid', 'the body is not JSON', {
      fix: 'Send a JSON document, or an image with "Content-Type: application/octet-stream".',
      cause,
    })
  }
  const result = ReleaseCreateSchema.safeParse(body)
  if (result.success) return result.data
  throw invalidParts('json', result.error)
}

function namesOf(query: {
  readonly model?: string | undefined
  readonly version?: string | undefined
  readonly notes?: string | undefined
}) {
  const { model, version, notes } = query
  if (model !== undefined && version !== undefined) return { model, version, notes: notes ?? '' }
  throw new ProblemError('request-invalid', 'model and version are missing', {
    fix: 'Add ?model=M&version=V to the address.',
  })
}

function afterOf(cursor: string | undefined): { after?: string } {
  const key = cursor === undefined ? undefined : keyOfCursor(cursor)?.[0]
  return key === undefined ? {} : { after: String(key) }
}

function recipientPage(rows: readonly { readonly id: string; readonly age_recipient: string }[]) {
  const last = rows.at(-1)
  return {
    items: rows.map((row) => ({
      device: row.id as `0x${string}`,
      ageRecipient: row.age_recipient,
    })),
    next: last !== undefined && rows.length === RECIPIENT_PAGE_ITEMS ? cursorOf(last.id) : null,
  }
}
