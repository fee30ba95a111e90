import { createRoute } from '@hono/zod-openapi'
import {
  type NetworkFigures,
  NetworkFiguresSchema,
  SEED_RECORD_PURPOSE,
  type SeedRecord,
  SeedRecordAnswerSchema,
  SeedRecordSchema,
  SignedNetworkFileSchema,
  seedRecordMessage,
} from '@ioex/node/api'
import { fromHex } from '@ioex/node/base'
import { evmAddressOfPeerId, recoverMessageSigner } from '@ioex/node/identity'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { sql } from 'kysely'
import type { Parts } from '../context.ts'
import { RECENTLY_SEEN_MS, SEED_CLOCK_SKEW_MS, SEED_RECORD_TTL_MS } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import { timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const figures = createRoute({
  method: 'get',
  path: '/v1/network',
  summary: 'Public figures of the network',
  responses: answers(200, NetworkFiguresSchema, 'counted at most 10 s ago'),
})
const file = createRoute({
  method: 'get',
  path: '/v1/network/file',
  summary: "The operator's signed network file",
  responses: answers(200, SignedNetworkFileSchema, 'check its signature before use'),
})
const record = createRoute({
  method: 'post',
  path: '/v1/seeds/records',
  summary: 'Seed: say where it is',
  description: 'Signed by the seed itself; taken only from seeds that the network file lists.',
  request: { body: jsonBody(SeedRecordSchema) },
  responses: answers(200, SeedRecordAnswerSchema, 'until when it holds', [
    'seed-unknown',
    'proof-invalid',
    'record-outdated',
  ]),
})

/** The figures are counted at most so often, however many look at the page. */
const FIGURES_TTL_MS = 10_000

export function networkRoutes(parts: Parts) {
  const { db, clock, node } = parts
  const seedsByAddress = new Map(
    node.networkFile.signed.seeds.map(({ peerId }) => {
      const id = peerIdFromString(peerId)
      return [evmAddressOfPeerId(id), id]
    }),
  )
  let counted: { readonly figures: NetworkFigures; readonly atMs: number } | undefined

  return createAppPart()
    .openapi(figures, async (c) => {
      if (counted === undefined || counted.atMs + FIGURES_TTL_MS <= clock.nowMs()) {
        counted = { figures: await countFigures(parts), atMs: clock.nowMs() }
      }
      c.header('cache-control', 'public, max-age=10')
      return c.json(counted.figures, 200)
    })
    .openapi(file, (c) => {
      c.header('cache-control', 'public, max-age=60')
      return c.json(node.networkFile, 200)
    })
    .openapi(record, async (c) => {
      const said = c.req.valid('json')
      const server = signerOf(said)
      const peerId = seedsByAddress.get(server)
      if (peerId === undefined) {
        throw new ProblemError('seed-unknown', 'the network file lists no such seed', {
          fix: 'The operator adds seeds to the network file.',
        })
      }
      const nowMs = clock.nowMs()
      if (said.issuedAtMs > nowMs + SEED_CLOCK_SKEW_MS) {
        throw new ProblemError('record-outdated', 'the record comes from the future', {
          fix: 'Set the clock of the seed.',
        })
      }
      const row = {
        server,
        multiaddrs: JSON.stringify(checkedAddresses(said.multiaddrs)),
        http: said.http?.replace(/\/+$/, '') ?? null,
        region: said.region ?? null,
        issued_ms: said.issuedAtMs,
        seen_ms: nowMs,
      }
      const stored = await db
        .insertInto('seeds')
        .values({ peer_id: peerId.toString(), ...row })
        .onConflict((conflict) =>
          conflict
            .column('peer_id')
            .doUpdateSet(row)
            .where('seeds.issued_ms', '<', said.issuedAtMs),
        )
        .returning('peer_id')
        .executeTakeFirst()
      if (stored === undefined) {
        throw new ProblemError(
          'record-outdated',
          'a record of this moment or a later one is here',
          {
            fix: 'Sign a new one with the present time.',
          },
        )
      }
      const multiaddrs = said.multiaddrs.map((text) => multiaddr(text))
      node.friends.add(peerId, { name: `seed ${peerId.toString()}`, multiaddrs })
      parts.publishing.wake()
      return c.json(
        { peerId: peerId.toString(), validUntil: timeOf(nowMs + SEED_RECORD_TTL_MS) },
        200,
      )
    })
}

function signerOf(record: SeedRecord): `0x${string}` {
  const { signature, ...said } = record
  const signer = recoverMessageSigner(
    SEED_RECORD_PURPOSE,
    seedRecordMessage(said),
    fromHex(signature) ?? new Uint8Array(),
  )
  if (signer !== undefined) return signer
  throw new ProblemError('proof-invalid', 'the signature does not fit the record', {
    fix: 'Sign the record with the key of the seed.',
  })
}

function checkedAddresses(texts: readonly string[]): readonly string[] {
  for (const text of texts) {
    try {
      multiaddr(text)
    } catch (cause) {
      throw new ProblemError('request-invalid', `"${text}" is no multiaddr`, {
        fix: 'Write it as /ip4/192.0.2.7/tcp/4001.',
        cause,
      })
    }
  }
  return texts
}

async function countFigures({ db, clock, node }: Parts): Promise<NetworkFigures> {
  const nowMs = clock.nowMs()
  const since = nowMs - RECENTLY_SEEN_MS
  const seeds = await db.selectFrom('seeds').select('region').where('seen_ms', '>', since).execute()
  const { devices } = await db
    .selectFrom('devices')
    .select((expression) => expression.fn.countAll<number>().as('devices'))
    .where('seen_ms', '>', since)
    .executeTakeFirstOrThrow()
  const { releases } = await db
    .selectFrom('releases')
    .select((expression) => expression.fn.countAll<number>().as('releases'))
    .where('state', '=', 'published')
    .executeTakeFirstOrThrow()
  const served = await servedBytes(db)
  const regions = new Map<string, number>()
  for (const { region } of seeds) {
    if (region !== null) regions.set(region, (regions.get(region) ?? 0) + 1)
  }
  const bootstraps = node.networkFile.signed.bootstraps.length
  return {
    countedAt: timeOf(nowMs),
    nodes: bootstraps + seeds.length + Number(devices),
    bootstraps,
    seeds: seeds.length,
    devices: Number(devices),
    releases: Number(releases),
    bytesServed: String(served.bytes),
    receipts: served.receipts,
    map: [...regions].sort().map(([region, count]) => ({ region, seeds: count })),
  }
}

/** The highest receipt of each (grant, server), summed. */
async function servedBytes(
  db: Parts['db'],
): Promise<{ readonly bytes: bigint; readonly receipts: number }> {
  const row = await db
    .selectFrom('receipts as newest')
    .select((expression) => expression.fn.countAll<number>().as('receipts'))
    .select(sql<string | null>`cast(sum(cast(server_bytes as numeric)) as text)`.as('bytes'))
    .where((where) =>
      where.not(
        where.exists(
          where
            .selectFrom('receipts as later')
            .select('later.cursor')
            .whereRef('later.grant_id', '=', 'newest.grant_id')
            .whereRef('later.server', '=', 'newest.server')
            .whereRef('later.cursor', '>', 'newest.cursor'),
        ),
      ),
    )
    .executeTakeFirstOrThrow()
  return { bytes: BigInt(row.bytes ?? '0'), receipts: Number(row.receipts) }
}
