import { hash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import { CidSchema, ROLLOUT_EVIDENCE_MAX_REPORTS, ROLLOUT_WITNESSES_MAX } from '../api/index.ts'
import { concat, fromHex, type Hex, utf8 } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { ROLLOUT_BUCKETS, ROLLOUT_MAX_GROUPS, ROLLOUT_MAX_PHASES } from './limits.ts'

/** One in ten thousand: TUF metadata is canonical JSON, which has whole numbers only. */
const BASIS_POINTS = 10_000

const digest = z.custom<Hex>((text) => typeof text === 'string' && /^0x[0-9a-f]{64}$/.test(text))
const share = z.int().min(0).max(BASIS_POINTS)

export const GroupNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)

const RolloutPhaseSchema = z.strictObject({
  /** Devices whose bucket lies below are in this phase or an earlier one. */
  buckets: z.int().min(1).max(ROLLOUT_BUCKETS),
  /** Unix seconds before which the phase stays shut, whoever orders otherwise. */
  notBeforeS: z.int().min(0),
  /** Devices of this phase that must have ended, well or badly, before anything is concluded. */
  minSample: z.int().min(1).max(ROLLOUT_WITNESSES_MAX),
  /** Of those that ended, in basis points: at least so many well, for the next phase to open. */
  minSuccess: share,
  /** More than so many badly, in basis points, ends the rollout. */
  maxError: share,
  /** The devices whose signed reports count as evidence that this phase went well. */
  witnesses: z.strictObject({ count: z.int().min(0).max(ROLLOUT_WITNESSES_MAX), sha256: digest }),
})

export type RolloutPhase = z.infer<typeof RolloutPhaseSchema>

/**
 * What a vendor signs with a release, in the `custom` of its TUF target. Strict: a policy that a device does not
 * understand whole is none, and the release is not installed.
 */
export const RolloutPolicySchema = z
  .strictObject({
    v: z.literal(1),
    /** Raw ed25519 public key of the rollout role: orders are signed with it and with no other. */
    orderKey: digest,
    /** The one release that a rollback may lead to; null when there is no way back. */
    rollbackTo: CidSchema.nullable(),
    /** Only devices that are in one of these groups; all of them when empty. */
    groups: z.array(GroupNameSchema).max(ROLLOUT_MAX_GROUPS),
    phases: z.array(RolloutPhaseSchema).min(1).max(ROLLOUT_MAX_PHASES),
  })
  .refine(({ phases }) => phases.every(isWider), {
    error: 'each phase is wider than the one before',
  })
  .refine(({ phases }) => phases.every(canBeProven), {
    error: 'a phase before another has at least as many witnesses as its evidence needs',
  })
export type RolloutPolicy = z.infer<typeof RolloutPolicySchema>

function isWider(phase: RolloutPhase, index: number, phases: readonly RolloutPhase[]): boolean {
  return phase.buckets > (phases[index - 1]?.buckets ?? 0)
}

function canBeProven(phase: RolloutPhase, index: number, phases: readonly RolloutPhase[]): boolean {
  if (index === phases.length - 1) return true
  const needed = evidenceNeeded(phase)
  return needed >= 1 && needed <= Math.min(phase.witnesses.count, ROLLOUT_EVIDENCE_MAX_REPORTS)
}

/** Success reports of witnesses that must be shown before the phase after this one opens. */
export function evidenceNeeded(phase: Pick<RolloutPhase, 'minSample' | 'minSuccess'>): number {
  return Math.ceil((phase.minSample * phase.minSuccess) / BASIS_POINTS)
}

/**
 * Where a device stands in the order in which a release reaches the fleet, 0 to 9,999: SHA-256 of
 * 'ioex/rollout-bucket/1' || digest of the release root || device. Other devices are first for each release, and
 * nobody who does not choose the release root's bytes chooses who.
 */
export function rolloutBucket(root: CID, device: EvmAddress): number {
  const id = fromHex(device) ?? new Uint8Array()
  const bytes = hash(
    'sha256',
    concat([utf8('ioex/rollout-bucket/1'), root.multihash.digest, id]),
    'buffer',
  )
  // 48 bits over 10,000 buckets: their shares differ by less than one in ten thousand million.
  return bytes.readUIntBE(0, 6) % ROLLOUT_BUCKETS
}

/** The phase in which a device's turn comes; undefined when the policy does not reach it. */
export function phaseOfBucket(
  policy: Pick<RolloutPolicy, 'phases'>,
  bucket: number,
): number | undefined {
  const index = policy.phases.findIndex((phase) => bucket < phase.buckets)
  return index === -1 ? undefined : index
}

/** What `witnesses.sha256` is: SHA-256 of 'ioex/rollout-witnesses/1' and the 20-byte ids, lowest first. */
export function witnessesDigest(witnesses: readonly EvmAddress[]): Hex {
  const ids = witnesses.map((device) => fromHex(device) ?? new Uint8Array())
  return `0x${hash('sha256', concat([utf8('ioex/rollout-witnesses/1'), ...ids]), 'hex')}`
}

/** What a vendor decides of a phase; the rest of `RolloutPhase` follows from the fleet. */
export type PlannedPhase = Omit<RolloutPhase, 'witnesses'>

/**
 * The policy of one release, and who its witnesses are, by phase. `fleet` are the devices that the vendor itself
 * knows to be real: an invented one among them could speak for itself. Which of them are witnesses follows from
 * their buckets, so that the choice is nobody's.
 */
export function planRollout(
  plan: Omit<RolloutPolicy, 'v' | 'phases'> & { readonly phases: readonly PlannedPhase[] },
  root: CID,
  fleet: readonly EvmAddress[],
): { readonly policy: RolloutPolicy; readonly witnesses: readonly (readonly EvmAddress[])[] } {
  const ranked = [...new Set(fleet)].map((device) => ({
    device,
    bucket: rolloutBucket(root, device),
  }))
  ranked.sort((a, b) => a.bucket - b.bucket || (a.device < b.device ? -1 : 1))
  const witnesses = plan.phases.map((phase, index) => {
    const from = plan.phases[index - 1]?.buckets ?? 0
    return ranked
      .filter(({ bucket }) => bucket >= from && bucket < phase.buckets)
      .slice(0, ROLLOUT_WITNESSES_MAX)
      .map(({ device }) => device)
      .sort()
  })
  const phases = plan.phases.map((phase, index) => ({
    ...phase,
    witnesses: {
      count: witnesses[index]?.length ?? 0,
      sha256: witnessesDigest(witnesses[index] ?? []),
    },
  }))
  return { policy: { ...plan, v: 1, phases }, witnesses }
}
