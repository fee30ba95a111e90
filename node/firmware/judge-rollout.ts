import type { CID } from 'multiformats/cid'
import type { EvmAddress } from '../identity/index.ts'
import type { FollowedOrder } from './rollout-order.ts'
import { phaseOfBucket, type RolloutPolicy, rolloutBucket } from './rollout-policy.ts'

export const ROLLOUT_WAITS = [
  /** The vendor means it for other groups of devices. */
  'rollout-other-group',
  /** The phases together do not reach this device. */
  'rollout-not-for-this-device',
  /** Its phase has a time, which has not come. */
  'rollout-too-early',
  /** Nobody has opened a phase yet, or what opened it is no longer valid. */
  'rollout-no-order',
  'rollout-phase-shut',
  'rollout-held',
  'rollout-aborted',
  'rollout-rolled-back',
] as const
export type RolloutWait = (typeof ROLLOUT_WAITS)[number]

export type RolloutVerdict =
  | { readonly verdict: 'install' }
  | { readonly verdict: 'wait'; readonly reason: RolloutWait }
  /** This release runs here and has to give way to exactly that one. */
  | { readonly verdict: 'roll-back'; readonly to: string }

/**
 * May this device install this release now? Policy and order must have been verified: the policy by TUF, the order
 * by `acceptRolloutOrder`. No order means no.
 */
export function judgeRollout(question: {
  readonly root: CID
  readonly policy: RolloutPolicy
  /** The newest that was accepted for this release. */
  readonly order: FollowedOrder | null
  readonly device: EvmAddress
  /** As this device was told on the spot, not by a gateway. */
  readonly groups: readonly string[]
  /** Is it this release that runs here? */
  readonly runs: boolean
  readonly nowMs: number
}): RolloutVerdict {
  const { root, policy, order, nowMs } = question
  const nowS = Math.floor(nowMs / 1000)
  // What has ended stays ended, however old the word is.
  if (order?.action === 'rollback') {
    const { rollbackTo: to } = policy
    return question.runs && to !== null ? { verdict: 'roll-back', to } : wait('rollout-rolled-back')
  }
  if (order?.action === 'abort') return wait('rollout-aborted')
  const { groups } = policy
  if (groups.length > 0 && !groups.some((group) => question.groups.includes(group))) {
    return wait('rollout-other-group')
  }
  const mine = phaseOfBucket(policy, rolloutBucket(root, question.device))
  const phase = mine === undefined ? undefined : policy.phases[mine]
  if (mine === undefined || phase === undefined) return wait('rollout-not-for-this-device')
  if (nowS < phase.notBeforeS) return wait('rollout-too-early')
  if (order === null || order.expiresS <= nowS) return wait('rollout-no-order')
  if (order.action === 'hold') return wait('rollout-held')
  return mine <= order.phase ? { verdict: 'install' } : wait('rollout-phase-shut')
}

function wait(reason: RolloutWait): RolloutVerdict {
  return { verdict: 'wait', reason }
}
