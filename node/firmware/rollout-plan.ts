import type { CID } from 'multiformats/cid'
import type { RolloutPlan } from '../api/index.ts'
import type { Hex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { ROLLOUT_BUCKETS } from './limits.ts'
import { planRollout, RolloutPolicySchema } from './rollout-policy.ts'
import { firmwareError, type ReleaseTarget } from './types.ts'

const PER_PERCENT = ROLLOUT_BUCKETS / 100

/**
 * What a person wrote, as the policy of one release. `earlier` are the releases that may be gone back to, `fleet`
 * the devices that the vendor knows to be real. Throws release-options-invalid.
 */
export function rolloutOfPlan(
  plan: RolloutPlan,
  release: {
    readonly root: CID
    readonly orderKey: Hex
    readonly earlier: readonly Pick<ReleaseTarget, 'root' | 'version'>[]
    readonly fleet: readonly EvmAddress[]
    readonly nowMs: number
  },
): ReturnType<typeof planRollout> {
  const { rollbackTo: version } = plan
  const back = release.earlier.find((one) => one.version === version)
  if (version !== null && back === undefined) {
    throw invalid(
      `there is no release ${version} to go back to`,
      'Name the version of a release that is published, or null.',
    )
  }
  const planned = planRollout(
    {
      orderKey: release.orderKey,
      rollbackTo: back === undefined ? null : back.root.toString(),
      groups: plan.groups,
      phases: plan.phases.map((phase) => ({
        buckets: Math.round(phase.percent * PER_PERCENT),
        notBeforeS: Math.floor(
          (phase.notBefore === undefined ? release.nowMs : Date.parse(phase.notBefore)) / 1000,
        ),
        minSample: phase.minSample,
        minSuccess: Math.round(phase.minSuccessPercent * 100),
        maxError: Math.round(phase.maxErrorPercent * 100),
      })),
    },
    release.root,
    release.fleet,
  )
  const checked = RolloutPolicySchema.safeParse(planned.policy)
  if (checked.success) return planned
  const [issue] = checked.error.issues
  throw invalid(
    `the rollout cannot be done with ${release.fleet.length} devices: ${issue?.message ?? ''}`,
    'Widen the early phases, or ask for a smaller sample: phase n opens on reports of devices in phase n-1 only.',
  )
}

function invalid(message: string, fix: string) {
  return firmwareError('release-options-invalid', message, { blame: 'caller', fix })
}
