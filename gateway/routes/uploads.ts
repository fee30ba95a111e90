import { createRoute, z } from '@hono/zod-openapi'
import {
  EvmAddressSchema,
  ReleaseSchema,
  UploadCreateSchema,
  UploadProgressSchema,
  UploadSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import type { AppContext } from '../env.ts'
import { forVendor, mustOwn, notFound, vendorOf } from '../guards/bearer.ts'
import { IMAGE_MAX_BYTES } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { bodyOf } from '../publishing/body-source.ts'
import { isEnded } from '../publishing/upload-progress.ts'
import { releaseOf } from '../store/releases.ts'
import { timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody, refusals } from './described.ts'
import { streamState } from './event-stream.ts'

const params = z.object({
  upload: z.string().regex(/^[0-9a-f]{32}$/, 'this is no id of an upload'),
})
const image = {
  'application/octet-stream': { schema: z.string().meta({ format: 'binary' }) },
} as const

const create = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/uploads',
  summary: 'Announce an upload, so that its progress can be watched',
  ...forVendor('publish'),
  request: { params: z.object({ vendor: EvmAddressSchema }), body: jsonBody(UploadCreateSchema) },
  responses: answers(201, UploadSchema, 'the upload; PUT its body next', [
    'version-exists',
    'too-many',
    'custody-wrong',
  ]),
})
const show = createRoute({
  method: 'get',
  path: '/v1/uploads/{upload}',
  summary: 'How far an upload is',
  ...forVendor('publish'),
  request: { params },
  responses: answers(200, UploadProgressSchema, 'the state', ['not-found']),
})
const send = createRoute({
  method: 'put',
  path: '/v1/uploads/{upload}',
  summary: 'Send the image of an announced upload',
  description: `The bytes of the image, at most ${IMAGE_MAX_BYTES}; streamed, with or without a length.`,
  ...forVendor('publish'),
  request: { params, body: { content: image, required: true } },
  responses: {
    ...answers(201, ReleaseSchema, 'published', [
      'upload-not-open',
      'upload-broken',
      'upload-empty',
      'body-too-large',
      'storage-full',
      'busy',
    ]),
    202: {
      content: { 'application/json': { schema: ReleaseSchema } },
      description: 'stored; published as soon as enough seeds have it',
    },
  },
})
const events = createRoute({
  method: 'get',
  path: '/v1/uploads/{upload}/events',
  summary: 'Progress of an upload as server-sent events',
  ...forVendor('publish'),
  request: { params },
  responses: {
    200: {
      content: { 'text/event-stream': { schema: UploadProgressSchema } },
      description: 'the whole state each time; ends with published or failed',
    },
    ...refusals(['not-found', 'busy']),
  },
})

export function uploadRoutes(parts: Parts) {
  const { db, publishing } = parts
  const open = { listeners: 0 }
  const owners = new Map<string, string>()

  const trackerOf = (c: AppContext, upload: string) => {
    const tracker = publishing.trackers.get(upload)
    if (tracker === undefined) throw notFound(`upload ${upload}`)
    mustOwn(c, owners.get(upload) ?? '', `upload ${upload}`)
    return tracker
  }

  return createAppPart()
    .openapi(create, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { model, version, notes, rollout } = c.req.valid('json')
      const row = await publishing.open({ vendor, model, version, notes, rollout })
      for (const id of owners.keys())
        if (publishing.trackers.get(id) === undefined) owners.delete(id)
      owners.set(row.id, vendor)
      const progress = trackerOf(c, row.id).state
      const createdAt = timeOf(row.created_ms)
      return c.json({ upload: row.id, vendor, model, version, createdAt, progress }, 201)
    })
    .openapi(show, (c) => c.json(trackerOf(c, c.req.valid('param').upload).state, 200))
    .openapi(send, async (c) => {
      const { upload } = c.req.valid('param')
      const tracker = trackerOf(c, upload)
      const row = await db
        .selectFrom('uploads')
        .selectAll()
        .where('id', '=', upload)
        .where('kind', '=', 'image')
        .executeTakeFirst()
      const body = bodyOf(c.req.raw, IMAGE_MAX_BYTES)
      if (row === undefined || !tracker.take()) {
        throw new ProblemError('upload-not-open', 'a body has come for this upload already', {
          fix: 'Announce another upload.',
        })
      }
      const release = await publishing.receive(row, body)
      const answer = await releaseOf(db, release, contextOf(parts))
      return release.state === 'draft' ? c.json(answer, 202) : c.json(answer, 201)
    })
    .openapi(events, (c) => {
      const tracker = trackerOf(c, c.req.valid('param').upload)
      return streamState(c, parts, open, {
        read: () => Promise.resolve(tracker.state),
        watch: (changed) => tracker.watch(changed),
        isLast: isEnded,
      })
    })
}

export function contextOf({ options, clock }: Pick<Parts, 'options' | 'clock'>) {
  return { copiesWanted: options.copiesWanted, nowMs: clock.nowMs() }
}
