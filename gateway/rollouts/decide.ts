import type { RolloutOrder, RolloutStatus } from '@ioex/node/api'
import { unixSeconds, type Clock } from '@ioex/node/base'
import {
  evidenceNeeded,
  evidenceOf,
  type RolloutPhase,
  type RolloutPolicy,
} from '@ioex/node/firmware'
import type { EvmAddress } from '@ioex/node/identity'
import { ROLLOUT_ORDER_LIFETIME_S } from '../limits.ts'

const BASIS_POINTS = 10_000

/** Where a rollout is: what the next order says. */
export interface RolloutPlace {
  readonly status: RolloutStatus
  /** The last phase that is open, from 0. */
  readonly phase: number
  /** Does a person open each phase? */
  readonly approval: 'automatic' | 'manual'
}

/** How the devices of one phase have ended. */
export interface PhaseCounts {
  readonly confirmed: number
  readonly failed: number
  /** Of the confirmed ones, those that the vendor named as witnesses. */
  readonly witnessed: number
}

export type RolloutMove =
  | { readonly move: 'stay' }
  | { readonly move: 'open'; readonly phase: number }
  | { readonly move: 'ask' }
  | { readonly move: 'roll-back' }
  /** There is no release to go back to: it stops, and a person decides. */
  | { readonly move: 'hold' }

/** What reports lead to, by the policy that the vendor signed. Devices check the same again. */
export function decideRollout(
  policy: RolloutPolicy,
  place: RolloutPlace,
  counts: readonly PhaseCounts[],
  nowMs: number,
): RolloutMove {
  if (place.status !== 'running') return { move: 'stay' }
  const open = policy.phases.slice(0, place.phase + 1)
  const isBad = open.some((phase, index) => hasTooManyErrors(phase, counts[index]))
  if (isBad) return { move: policy.rollbackTo === null ? 'hold' : 'roll-back' }
  const next = policy.phases[place.phase + 1]
  const current = policy.phases[place.phase]
  if (next === undefined || current === undefined) return { move: 'stay' }
  if (nowMs < next.notBeforeS * 1000) return { move: 'stay' }
  if (!isProven(current, counts[place.phase])) return { move: 'stay' }
  return place.approval === 'manual' ? { move: 'ask' } : { move: 'open', phase: place.phase + 1 }
}

/** Told as soon as no later report could mend it, not only when the sample is full. */
function hasTooManyErrors(phase: RolloutPhase, counts: PhaseCounts | undefined): boolean {
  if (counts === undefined) return false
  const ended = counts.confirmed + counts.failed
  return counts.failed * BASIS_POINTS > phase.maxError * Math.max(phase.minSample, ended)
}

export function isProven(phase: RolloutPhase, counts: PhaseCounts | undefined): boolean {
  if (counts === undefined) return false
  const ended = counts.confirmed + counts.failed
  const isEnough = ended >= phase.minSample
  const isGood = counts.confirmed * BASIS_POINTS >= phase.minSuccess * ended
  return isEnough && isGood && counts.witnessed >= evidenceNeeded(phase)
}

/** The success reports of the phase before, by device. */
export type Successes = Parameters<typeof evidenceOf>[2]

/** What the rollout role has to say where a rollout is; still to be signed. */
export function rolloutOrder(
  clock: Pick<Clock, 'nowMs'>,
  rollout: {
    readonly root: string
    readonly version: number
    readonly policy: RolloutPolicy
    readonly place: RolloutPlace
    /** By phase, as the vendor named them. */
    readonly witnesses: readonly (readonly EvmAddress[])[]
    readonly successes: Successes
    /** Was the order before this one a hold? */
    readonly isResumed?: boolean
  },
): Omit<RolloutOrder, 'signature'> {
  const { root, version, policy, place } = rollout
  const nowS = unixSeconds(clock)
  const action = actionOf(place.status, rollout.isResumed === true)
  const goes = action === 'go' || action === 'resume'
  const before = goes ? policy.phases[place.phase - 1] : undefined
  const witnesses = before === undefined ? [] : (rollout.witnesses[place.phase - 1] ?? [])
  return {
    v: 1,
    root,
    version,
    issuedAtS: nowS,
    expiresS: nowS + ROLLOUT_ORDER_LIFETIME_S,
    action,
    phase: place.phase,
    to: action === 'rollback' ? policy.rollbackTo : null,
    witnesses: [...witnesses],
    evidence: before === undefined ? [] : evidenceOf(before, witnesses, rollout.successes),
  }
}

function actionOf(status: RolloutStatus, isResumed: boolean): RolloutOrder['action'] {
  switch (status) {
    case 'running':
      return isResumed ? 'resume' : 'go'
    case 'waiting-approval':
      return 'go'
    case 'created':
    case 'held':
      return 'hold'
    case 'aborted':
      return 'abort'
    case 'rolled-back':
      return 'rollback'
  }
}
