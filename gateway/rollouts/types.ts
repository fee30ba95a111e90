import type { Rollout, ROLLOUT_ACTIONS, RolloutCreateSchema, RolloutOrder } from '@ioex/node/api'
import type { z } from 'zod'
import type { Database } from '../store/open.ts'
import type { ReleaseRow, RolloutRow } from '../store/tables.ts'

export type RolloutAction = (typeof ROLLOUT_ACTIONS)[number]

export interface Rollouts {
  /** Throws `rollout-invalid`, `rollout-exists`. */
  create(release: ReleaseRow, what: z.infer<typeof RolloutCreateSchema>): Promise<RolloutRow>
  /** Throws `rollout-state-wrong`. */
  act(row: RolloutRow, action: RolloutAction): Promise<RolloutRow>
  show(row: RolloutRow): Promise<Rollout>
  /** The newest order of a release above `have`. */
  order(release: string, vendor: string, have: number): Promise<RolloutOrder | undefined>
  /** Notes how a device ended, in the transaction that takes its report. */
  ended(
    into: Database,
    end: { release: string; device: string; seq: number; isWell: boolean },
  ): Promise<void>
  /** Looks whether the reports so far lead to something. */
  decide(release: string): Promise<void>
  start(): void
  stop(): Promise<void>
}
