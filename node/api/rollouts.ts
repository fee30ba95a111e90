import { z } from 'zod'
import { ROLLOUT_EVIDENCE_MAX_REPORTS, ROLLOUT_WITNESSES_MAX } from './limits.ts'
import {
  CidSchema,
  DigestSchema,
  EvmAddressSchema,
  hexOf,
  ModelSchema,
  pageOf,
  SignatureSchema,
  TimeSchema,
  VersionSchema,
} from './scalars.ts'

export const ORDER_ACTIONS = ['go', 'resume', 'hold', 'abort', 'rollback'] as const

/** A `confirmed` report of a witness without what the order says already. */
export const EvidenceSchema = z.strictObject({
  witness: z.int().min(0).meta({ description: 'place in `witnesses`; rising' }),
  seq: z.int().min(1),
  prev: DigestSchema,
  atMs: z.int().min(0),
  body: DigestSchema,
  signature: SignatureSchema,
})

/** What the rollout role says of one release. The newest one stands for all before it. */
export const RolloutOrderSchema = z
  .strictObject({
    v: z.literal(1),
    root: CidSchema,
    version: z.int().min(1).meta({ description: 'rises with every order of a release' }),
    issuedAtS: z.int().min(0),
    expiresS: z.int().min(0),
    action: z.enum(ORDER_ACTIONS),
    phase: z.int().min(0).meta({ description: 'the last phase that is open; from 0' }),
    to: CidSchema.nullable().meta({ description: 'only of a rollback: the release to go back to' }),
    witnesses: z.array(EvmAddressSchema).max(ROLLOUT_WITNESSES_MAX).meta({
      description: 'of the phase before; what the digest in the policy is of',
    }),
    evidence: z.array(EvidenceSchema).max(ROLLOUT_EVIDENCE_MAX_REPORTS),
    signature: hexOf(64, 'ed25519 over rolloutOrderMessage(…)'),
  })
  .meta({ id: 'RolloutOrder' })
export type RolloutOrder = z.infer<typeof RolloutOrderSchema>

/** The bytes under an order's signature; begins unlike any TUF file, so that the key may sign both. */
export function rolloutOrderMessage(order: Omit<RolloutOrder, 'signature'>): Uint8Array {
  const { root, version, issuedAtS, expiresS, action, phase, to, witnesses, evidence } = order
  const shown = evidence.map(({ witness, seq, prev, atMs, body, signature }) => {
    return [witness, seq, prev, atMs, body, signature]
  })
  const fields = [root, version, issuedAtS, expiresS, action, phase, to, witnesses, shown]
  return new TextEncoder().encode(`ioeX rollout-order/1\0${JSON.stringify(fields)}`)
}

const percent = z.number().min(0).max(100)

/** What a vendor writes: `ioex firmware publish --rollout FILE.json`. */
export const RolloutPlanSchema = z
  .strictObject({
    phases: z
      .array(
        z.strictObject({
          percent: z.number().min(0.01).max(100).meta({ description: 'of the fleet, in all' }),
          notBefore: TimeSchema.optional().meta({ description: 'at once, when left out' }),
          minSample: z.int().min(1).max(ROLLOUT_WITNESSES_MAX),
          minSuccessPercent: percent.default(95),
          maxErrorPercent: percent.default(5),
        }),
      )
      .min(1)
      .max(16),
    rollbackTo: VersionSchema.nullable().meta({
      description: 'version that devices go back to when too many fail; null: it only stops',
    }),
    groups: z.array(z.string()).max(16).default([]),
    approval: z.enum(['automatic', 'manual']).default('automatic'),
  })
  .meta({ id: 'RolloutPlan' })
export type RolloutPlan = z.infer<typeof RolloutPlanSchema>

export const ROLLOUT_STATUSES = [
  'created',
  'running',
  'waiting-approval',
  'held',
  'aborted',
  'rolled-back',
] as const
export const RolloutStatusSchema = z.enum(ROLLOUT_STATUSES).meta({
  id: 'RolloutStatus',
  description:
    'created: nobody may install yet; running; waiting-approval: the phase went well and a person has to open the next; held: paused, by hand or by errors; aborted; rolled-back: devices go back to the release before',
})
export type RolloutStatus = z.infer<typeof RolloutStatusSchema>

/** Which devices go first is decided by the policy in the vendor's signed metadata; this is who says when. */
export const RolloutCreateSchema = z
  .strictObject({
    release: CidSchema,
    witnesses: z
      .array(z.array(EvmAddressSchema).max(ROLLOUT_WITNESSES_MAX))
      .max(16)
      .meta({ description: 'by phase: the lists whose digests the policy has' }),
    approval: z.enum(['automatic', 'manual']).default('automatic'),
    start: z.boolean().default(true),
  })
  .meta({ id: 'RolloutCreate' })

export const ROLLOUT_ACTIONS = [
  'start',
  'pause',
  'resume',
  'approve',
  'abort',
  'retry',
  'rollback',
] as const
export const RolloutActionSchema = z
  .strictObject({
    action: z.enum(ROLLOUT_ACTIONS).meta({
      description:
        'approve opens the next phase when this one is proven; retry goes on after too many errors and sets those so far aside',
    }),
  })
  .meta({ id: 'RolloutAction' })

export const RolloutSchema = z
  .object({
    release: CidSchema,
    model: ModelSchema,
    version: VersionSchema,
    status: RolloutStatusSchema,
    phase: z.int().meta({ description: 'the last that is open, from 0' }),
    approval: z.enum(['automatic', 'manual']),
    rollbackTo: CidSchema.nullable(),
    phases: z.array(
      z.object({
        buckets: z.int().meta({ description: 'of 10,000' }),
        notBefore: TimeSchema,
        minSample: z.int(),
        witnesses: z.int(),
        confirmed: z.int(),
        failed: z.int(),
      }),
    ),
    changedAt: TimeSchema,
  })
  .meta({ id: 'Rollout' })
export type Rollout = z.infer<typeof RolloutSchema>
export const RolloutPageSchema = pageOf(RolloutSchema, 'RolloutPage')
