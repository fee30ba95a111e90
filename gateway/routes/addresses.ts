import { createRoute, z } from '@hono/zod-openapi'
import {
  type AddressEntry,
  AddressListSchema,
  CidSchema,
  CursorSchema,
  DEVICE_ADDRESS_MAX_ENTRIES,
  PAGE_DEFAULT_ITEMS,
  PAGE_MAX_ITEMS,
} from '@ioex/node/api'
import { shuffled } from '@ioex/node/base'
import type { Parts } from '../context.ts'
import { bearerIn, forAnyToken, mustOwn, notFound } from '../guards/bearer.ts'
import { ADDRESS_LIST_TTL_S, SEED_RECORD_TTL_MS } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { grantable } from '../publishing/grants.ts'
import { cursorOf, keyOfCursor, timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers } from './described.ts'

const show = createRoute({
  method: 'get',
  path: '/v1/releases/{id}/addresses',
  summary: 'Where the copies of a release are',
  description:
    'One entry per copy. A device gets at most 32 at random and keeps them for ttlS; a vendor pages through all.',
  ...forAnyToken,
  request: {
    params: z.object({ id: CidSchema }),
    query: z.object({
      after: CursorSchema.optional(),
      limit: z.coerce.number().int().min(1).max(PAGE_MAX_ITEMS).default(PAGE_DEFAULT_ITEMS),
    }),
  },
  responses: answers(200, AddressListSchema, 'the list', [
    'not-found',
    'token-scope-missing',
    'release-withdrawn',
  ]),
})

export function addressRoutes(parts: Parts) {
  const { db, clock, random } = parts

  /** Copies whose seed has lately said where it is; those of silent seeds only when there are no others. */
  const copiesOf = async (release: string) => {
    const nowMs = clock.nowMs()
    const rows = await db
      .selectFrom('copies')
      .innerJoin('seeds', 'seeds.peer_id', 'copies.peer_id')
      .selectAll('seeds')
      .select('copies.until_ms')
      .where('copies.release', '=', release)
      .where('copies.until_ms', '>', nowMs)
      .orderBy('seeds.peer_id')
      .execute()
    const heard = rows.filter((row) => row.seen_ms + SEED_RECORD_TTL_MS > nowMs)
    return (heard.length > 0 ? heard : rows).map(
      (row): AddressEntry => ({
        server: row.server as AddressEntry['server'],
        peerId: row.peer_id,
        multiaddrs: JSON.parse(row.multiaddrs) as string[],
        ...(row.http === null ? {} : { http: row.http }),
        ...(row.region === null ? {} : { region: row.region }),
        pinUntil: timeOf(row.until_ms),
      }),
    )
  }

  return createAppPart().openapi(show, async (c) => {
    const { id } = c.req.valid('param')
    const { after, limit } = c.req.valid('query')
    const bearer = bearerIn(c)
    const issued = { release: id, issuedAt: timeOf(clock.nowMs()), ttlS: ADDRESS_LIST_TTL_S }
    c.header('cache-control', 'no-store')
    if (bearer.kind === 'device' && bearer.device !== undefined) {
      await grantable(parts, bearer.device, id)
      const entries = shuffled(await copiesOf(id), random).slice(0, DEVICE_ADDRESS_MAX_ENTRIES)
      return c.json({ ...issued, entries }, 200)
    }
    const scopes: readonly string[] = bearer.scopes
    const mayRead =
      bearer.kind === 'operator' || scopes.includes('read') || scopes.includes('admin')
    if (!mayRead) {
      throw new ProblemError('token-scope-missing', 'this call needs the scope "read"', {
        fix: 'Use a token that has it.',
      })
    }
    const release = await db
      .selectFrom('releases')
      .select('vendor')
      .where('id', '=', id)
      .executeTakeFirst()
    if (release === undefined) throw notFound(`release ${id}`)
    mustOwn(c, release.vendor, `release ${id}`)
    const all = await copiesOf(id)
    const key = after === undefined ? undefined : keyOfCursor(after)?.[0]
    const start = key === undefined ? 0 : all.findIndex((entry) => entry.peerId > String(key))
    const page = start < 0 ? [] : all.slice(start, start + limit)
    const last = page.at(-1)
    const isMore = last !== undefined && start + limit < all.length
    return c.json({ ...issued, entries: page, next: isMore ? cursorOf(last.peerId) : null }, 200)
  })
}
