import type { RolloutPolicy } from '@ioex/node/firmware'
import type { Database } from './open.ts'
import type { ReleaseRow, RolloutRow } from './tables.ts'

/** Undefined when the release has one already. It has no order yet: nobody may install. */
export async function storeRollout(
  db: Database,
  release: Pick<ReleaseRow, 'id' | 'vendor'>,
  rollout: {
    readonly policy: RolloutPolicy
    readonly witnesses: readonly (readonly string[])[]
    readonly approval: RolloutRow['approval']
    readonly status?: RolloutRow['status']
  },
  nowMs: number,
): Promise<RolloutRow | undefined> {
  return db
    .insertInto('rollouts')
    .values({
      release: release.id,
      vendor: release.vendor,
      policy: JSON.stringify(rollout.policy),
      witnesses: JSON.stringify(rollout.witnesses),
      approval: rollout.approval,
      status: rollout.status ?? 'running',
      phase: 0,
      order_version: 0,
      order_json: null,
      order_expires_s: 0,
      changed_ms: nowMs,
    })
    .onConflict((conflict) => conflict.column('release').doNothing())
    .returningAll()
    .executeTakeFirst()
}
