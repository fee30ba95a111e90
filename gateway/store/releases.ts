import type { Release } from '@ioex/node/api'
import { sql } from 'kysely'
import { deltasOf } from './deltas.ts'
import type { Database } from './open.ts'
import type { ReleaseRow } from './tables.ts'
import { timeOf } from './times.ts'

export type DeviceCounts = Release['devices']

/** What the devices of the release's model last said of it; `waiting` are those that said nothing of it yet. */
export async function countDevices(
  db: Database,
  release: Pick<ReleaseRow, 'id' | 'vendor' | 'model'>,
): Promise<DeviceCounts> {
  const rows = await db
    .selectFrom('devices')
    .select(['state', sql<number>`case when target = ${release.id} then 1 else 0 end`.as('ours')])
    .select((expression) => expression.fn.countAll<number>().as('count'))
    .where('vendor', '=', release.vendor)
    .where('model', '=', release.model)
    .groupBy(['state', 'ours'])
    .execute()
  const counts = { waiting: 0, downloading: 0, written: 0, confirmed: 0, failed: 0, fellBack: 0 }
  for (const { state, ours, count } of rows)
    counts[Number(ours) === 1 ? NAMES[state] : 'waiting'] += Number(count)
  return counts
}

const NAMES = {
  enrolled: 'waiting',
  waiting: 'waiting',
  downloading: 'downloading',
  written: 'written',
  confirmed: 'confirmed',
  failed: 'failed',
  'fell-back': 'fellBack',
} as const

export async function releaseOf(
  db: Database,
  row: ReleaseRow,
  context: { readonly copiesWanted: number; readonly nowMs: number },
): Promise<Release> {
  const copies = await countCopies(db, row.id, context.nowMs)
  return {
    id: row.id,
    vendor: row.vendor as Release['vendor'],
    model: row.model,
    version: row.version,
    notes: row.notes,
    state: row.state,
    createdAt: timeOf(row.created_ms),
    publishedAt: timeOf(row.published_ms),
    withdrawnAt: timeOf(row.withdrawn_ms),
    imageBytes: row.image_bytes,
    imageSha256: row.image_sha256 as Release['imageSha256'],
    sealedBytes: row.sealed_bytes,
    chunks: row.chunks,
    newBytes: row.new_bytes,
    copies,
    copiesWanted: context.copiesWanted,
    devices: await countDevices(db, row),
    deltas: deltasOf(row).map(({ baseRoot, deltaRoot, bytes }) => ({ baseRoot, deltaRoot, bytes })),
  }
}

export async function countCopies(db: Database, release: string, nowMs: number): Promise<number> {
  const { count } = await db
    .selectFrom('copies')
    .select((expression) => expression.fn.countAll<number>().as('count'))
    .where('release', '=', release)
    .where('until_ms', '>', nowMs)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The release that devices of the model should run now. */
export function latestPublished(
  db: Database,
  vendor: string,
  model: string,
): Promise<ReleaseRow | undefined> {
  return db
    .selectFrom('releases')
    .selectAll()
    .where('vendor', '=', vendor)
    .where('model', '=', model)
    .where('state', '=', 'published')
    .orderBy('published_ms', 'desc')
    .limit(1)
    .executeTakeFirst()
}
