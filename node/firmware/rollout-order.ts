import { createPublicKey, hash, verify } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { z } from 'zod'
import {
  CidSchema,
  DigestSchema,
  ORDER_ACTIONS,
  RolloutOrderSchema,
  type RolloutOrder,
  rolloutOrderMessage,
} from '../api/index.ts'
import { accepted, concat, fromHex, type Hex, type Result, refused, toHex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { ROLLOUT_CLOCK_SKEW_S, ROLLOUT_ORDER_MAX_LIFETIME_S } from './limits.ts'
import { isReportOf } from './report-chain.ts'
import {
  evidenceNeeded,
  phaseOfBucket,
  type RolloutPolicy,
  rolloutBucket,
  witnessesDigest,
} from './rollout-policy.ts'
import type { TufSigner } from './tuf-keys.ts'

/** RFC 8410: SubjectPublicKeyInfo of an Ed25519 key without its 32 bytes. */
const SPKI_PREFIX = Uint8Array.fromHex('302a300506032b6570032100')

export const ORDER_REFUSALS = [
  'order-malformed',
  /** Not signed with the key that the vendor's policy names. */
  'order-unsigned',
  'order-for-another-release',
  'order-expired',
  /** Issued in the future, or for longer than any order may live. */
  'order-not-yet-valid',
  /** Older than one that was followed before. */
  'order-replayed',
  /** Another one of the same version was followed before: the role says two things. */
  'order-equivocated',
  /** The rollout was aborted or rolled back; nothing opens it again. */
  'rollout-ended',
  'phase-unknown',
  /** Too few success reports of the phase before. */
  'evidence-missing',
  /** A report that its device has not signed like this. */
  'evidence-forged',
  /** A report of a device that the vendor has not named for the phase before. */
  'evidence-not-witness',
  /** Not the list of witnesses that the vendor signed. */
  'witnesses-changed',
  'rollback-not-in-policy',
] as const
export type OrderRefusal = (typeof ORDER_REFUSALS)[number]

/** What a device remembers of the orders of a release; durable before an order has any effect. */
export const FollowedOrderSchema = z.object({
  root: CidSchema,
  version: z.int().min(1),
  /** SHA-256 of the signed bytes. */
  digest: DigestSchema,
  action: z.enum(ORDER_ACTIONS),
  phase: z.int().min(0),
  expiresS: z.int().min(0),
})
export type FollowedOrder = z.infer<typeof FollowedOrderSchema>

/** Signs what is left to sign of an order, as the rollout role. */
export function signRolloutOrder(
  order: Omit<RolloutOrder, 'signature'>,
  signer: Pick<TufSigner, 'sign'>,
): RolloutOrder {
  return { ...order, signature: toHex(signer.sign(rolloutOrderMessage(order))) }
}

/**
 * Everything about an order that does not depend on who reads it: signature, release, time, sequence, and that a go
 * shows enough success reports of witnesses of the phase before. What it opens then follows from `judgeRollout`.
 */
export function acceptRolloutOrder(
  json: unknown,
  context: {
    readonly root: CID
    readonly policy: RolloutPolicy
    /** Of this release; null before the first. */
    readonly followed: FollowedOrder | null
    readonly nowMs: number
  },
): Result<FollowedOrder, OrderRefusal> {
  const { root, policy, followed } = context
  const parsed = RolloutOrderSchema.safeParse(json)
  if (!parsed.success) return refused('order-malformed')
  const order = parsed.data
  const message = rolloutOrderMessage(order)
  if (!isSigned(policy.orderKey, message, order.signature)) return refused('order-unsigned')
  if (order.root !== root.toString()) return refused('order-for-another-release')
  const untimely = refusalOfTime(order, context.nowMs)
  if (untimely !== undefined) return refused(untimely)
  const digest: Hex = `0x${hash('sha256', message, 'hex')}`
  if (followed !== null) {
    if (order.version < followed.version) return refused('order-replayed')
    if (order.version === followed.version && digest !== followed.digest) {
      return refused('order-equivocated')
    }
    // A rollback is the one step beyond an abort; nothing leads out of a rollback.
    const ended = followed.action === 'rollback' || followed.action === 'abort'
    const goesOn = order.action === followed.action || order.action === 'rollback'
    if (ended && !goesOn) return refused('rollout-ended')
  }
  const untrue = refusalOfContent(order, root, policy)
  if (untrue !== undefined) return refused(untrue)
  const { version, action, phase, expiresS } = order
  return accepted({ root: order.root, version, digest, action, phase, expiresS })
}

function refusalOfTime(order: RolloutOrder, nowMs: number): OrderRefusal | undefined {
  const nowS = Math.floor(nowMs / 1000)
  if (order.expiresS <= nowS) return 'order-expired'
  if (order.issuedAtS > nowS + ROLLOUT_CLOCK_SKEW_S) return 'order-not-yet-valid'
  const lifetimeS = order.expiresS - order.issuedAtS
  return lifetimeS > ROLLOUT_ORDER_MAX_LIFETIME_S ? 'order-not-yet-valid' : undefined
}

function refusalOfContent(
  order: RolloutOrder,
  root: CID,
  policy: RolloutPolicy,
): OrderRefusal | undefined {
  switch (order.action) {
    case 'hold':
    case 'abort':
      return undefined
    case 'rollback':
      return policy.rollbackTo !== null && order.to === policy.rollbackTo
        ? undefined
        : 'rollback-not-in-policy'
    case 'go':
    case 'resume':
      return refusalOfGo(order, root, policy)
  }
}

function refusalOfGo(
  order: RolloutOrder,
  root: CID,
  policy: RolloutPolicy,
): OrderRefusal | undefined {
  if (order.phase >= policy.phases.length) return 'phase-unknown'
  const before = policy.phases[order.phase - 1]
  if (before === undefined) return undefined
  if (order.evidence.length < evidenceNeeded(before)) return 'evidence-missing'
  const { witnesses } = order
  const isTheList =
    witnesses.length === before.witnesses.count &&
    witnessesDigest(witnesses) === before.witnesses.sha256
  if (!isTheList) return 'witnesses-changed'
  let last = -1
  for (const { witness, seq, prev, atMs, body, signature } of order.evidence) {
    const device = witnesses[witness]
    // Rising, so that each speaks once.
    if (device === undefined || witness <= last) return 'evidence-not-witness'
    last = witness
    if (phaseOfBucket(policy, rolloutBucket(root, device)) !== order.phase - 1) {
      return 'evidence-not-witness'
    }
    const head = { device, seq, prev, root: order.root, event: 'confirmed' as const, atMs, body }
    if (!isReportOf(device, head, signature)) return 'evidence-forged'
  }
  return undefined
}

function isSigned(orderKey: Hex, message: Uint8Array, signature: Hex): boolean {
  const raw = fromHex(orderKey)
  const bytes = fromHex(signature)
  if (raw?.byteLength !== 32 || bytes?.byteLength !== 64) return false
  const der = Buffer.from(concat([SPKI_PREFIX, raw]))
  try {
    return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), bytes)
  } catch (thrown) {
    // Bytes that are no point of the curve: nobody can have signed with that key.
    if (thrown instanceof Error) return false
    throw thrown
  }
}

/** The reports that a go for the phase after `phase` shows: of its witnesses, each once, as many as are needed. */
export function evidenceOf(
  phase: RolloutPolicy['phases'][number],
  witnesses: readonly EvmAddress[],
  successes: ReadonlyMap<EvmAddress, Omit<RolloutOrder['evidence'][number], 'witness'>>,
): RolloutOrder['evidence'] {
  const evidence: RolloutOrder['evidence'] = []
  for (const [witness, device] of witnesses.entries()) {
    if (evidence.length >= evidenceNeeded(phase)) break
    const report = successes.get(device)
    if (report !== undefined) evidence.push({ witness, ...report })
  }
  return evidence
}
