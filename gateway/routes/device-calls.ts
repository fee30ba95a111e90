import { createRoute, z } from '@hono/zod-openapi'
import {
  CheckInAnswerSchema,
  CheckInSchema,
  CidSchema,
  GrantRequestSchema,
  SignedGrantSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { deviceIn, forDevice } from '../guards/bearer.ts'
import { DEVICE_POLL_S } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { grantable, issueGrant } from '../publishing/grants.ts'
import { wrapFor } from '../publishing/wraps.ts'
import { latestPublished } from '../store/releases.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody, refusals } from './described.ts'

const checkIn = createRoute({
  method: 'post',
  path: '/v1/devices/me/check-in',
  summary: 'Device: say what runs, hear what is new',
  ...forDevice,
  request: { body: jsonBody(CheckInSchema) },
  responses: answers(200, CheckInAnswerSchema, 'a hint; only TUF metadata decides'),
})
const grant = createRoute({
  method: 'post',
  path: '/v1/devices/me/grants',
  summary: 'Device: get the authorization code for a release',
  ...forDevice,
  request: { body: jsonBody(GrantRequestSchema) },
  responses: answers(201, SignedGrantSchema, 'a signed grant', [
    'not-found',
    'release-withdrawn',
    'release-not-published',
    'release-for-another-model',
    'grants-used-up',
  ]),
})
const key = createRoute({
  method: 'get',
  path: '/v1/devices/me/releases/{root}/key',
  summary: 'Device: the release key, wrapped with age for its cohort',
  ...forDevice,
  request: { params: z.object({ root: CidSchema }) },
  responses: {
    200: {
      content: { 'application/octet-stream': { schema: z.string().meta({ format: 'binary' }) } },
      description: 'an age file',
    },
    ...refusals(['not-found', 'release-key-missing', 'release-withdrawn']),
  },
})
export function deviceCallRoutes(parts: Parts) {
  const { db, clock, node } = parts
  return createAppPart()
    .openapi(checkIn, async (c) => {
      const { device } = deviceIn(c)
      const { running, state } = c.req.valid('json')
      const row = await db
        .updateTable('devices')
        .set({
          seen_ms: clock.nowMs(),
          running_version: running.version,
          running_root: running.root ?? null,
          reason: state ?? null,
        })
        .where('id', '=', device)
        .returningAll()
        .executeTakeFirst()
      if (row === undefined) throw deviceGone()
      const latest = await latestPublished(db, row.vendor, row.model)
      return c.json(
        {
          pollAfterS: DEVICE_POLL_S,
          latest: latest === undefined ? null : { root: latest.id, version: latest.version },
          networkVersion: node.networkFile.signed.version,
        },
        200,
      )
    })
    .openapi(grant, async (c) =>
      c.json(await issueGrant(parts, deviceIn(c).device, c.req.valid('json')), 201),
    )
    .openapi(key, async (c) => {
      const { device } = deviceIn(c)
      const release = await grantable(parts, device, c.req.valid('param').root)
      const wrap = await wrapFor(parts, release, device)
      return new Response(new Uint8Array(wrap), {
        headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' },
      })
    })
}

function deviceGone(): ProblemError {
  return new ProblemError('token-refused', 'the device was taken off', {
    fix: 'Enrol it again with a new code.',
  })
}
