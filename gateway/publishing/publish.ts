import { CID } from 'multiformats/cid'
import type { EvmAddress } from '@ioex/node/identity'
import type { Parts } from '../context.ts'
import { storeRollout } from '../store/rollouts.ts'
import type { ReleaseRow } from '../store/tables.ts'
import { unpinDeltas } from './deltas.ts'
import { pinOwnerOf } from './pin-names.ts'
import { createTufRepository, type UploadedMetadata } from './tuf-repository.ts'

type Needs = Pick<Parts, 'db' | 'node' | 'keys' | 'clock' | 'log' | 'releaseEvents' | 'metrics'>

/**
 * Makes a release that has its copies known: TUF metadata and the row change in one transaction, so devices
 * see both or neither. Then it is announced; who misses that hears of it at the next poll.
 */
export async function publish(needs: Needs, release: ReleaseRow): Promise<ReleaseRow> {
  const { db, clock } = needs
  const superseded = await db
    .selectFrom('releases')
    .select('id')
    .where('vendor', '=', release.vendor)
    .where('model', '=', release.model)
    .where('state', '=', 'published')
    .execute()
  const nowMs = clock.nowMs()
  await createTufRepository(needs).addRelease(release, async (transaction, sequence, rollout) => {
    await transaction
      .updateTable('releases')
      .set({ state: 'superseded' })
      .where('vendor', '=', release.vendor)
      .where('model', '=', release.model)
      .where('state', '=', 'published')
      .execute()
    await transaction
      .updateTable('releases')
      .set({ state: 'published', published_ms: nowMs, pending_metadata: null, sequence })
      .where('id', '=', release.id)
      .execute()
    if (rollout !== undefined) await storeRollout(transaction, release, rollout, nowMs)
  })
  needs.metrics.releasesPublished.inc()
  for (const { id } of superseded) needs.releaseEvents.changed(id)
  needs.releaseEvents.changed(release.id)
  await announce(needs, release, nowMs)
  return db
    .selectFrom('releases')
    .selectAll()
    .where('id', '=', release.id)
    .executeTakeFirstOrThrow()
}

/** Also what tells devices that a rollout has something to say. */
export async function announce(
  { node, log }: Pick<Needs, 'node' | 'log'>,
  release: ReleaseRow,
  issuedAtMs: number,
): Promise<void> {
  try {
    const routers = await node.network.announce({
      vendor: release.vendor as EvmAddress,
      root: release.id,
      model: release.model,
      version: release.version,
      issuedAtMs,
    })
    log.info({ release: release.id, routers }, 'announced')
  } catch (thrown) {
    log.warn({ release: release.id, error: thrown }, 'not announced; devices hear of it by asking')
  }
}

/**
 * No more grants from now on, even if the metadata that came along is refused afterwards. TUF metadata stops
 * naming the release: of managed vendors at once, of others when they send it.
 */
export async function withdraw(
  needs: Needs,
  release: ReleaseRow,
  metadata: UploadedMetadata | undefined,
): Promise<void> {
  const { db, clock, node, log } = needs
  await db
    .updateTable('releases')
    .set({ state: 'withdrawn', withdrawn_ms: clock.nowMs() })
    .where('id', '=', release.id)
    .execute()
  await createTufRepository(needs).removeRelease(release, metadata)
  needs.releaseEvents.changed(release.id)
  const root = CID.parse(release.id)
  await node.storage.pins.remove(root, pinOwnerOf(release.id))
  await unpinDeltas(needs, release)
  log.info({ release: release.id }, 'withdrawn')
}
