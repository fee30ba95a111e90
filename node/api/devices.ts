import { z } from 'zod'
import { SignedNetworkFileSchema } from './network.ts'
import {
  ByteCountSchema,
  CidSchema,
  EvmAddressSchema,
  hexOf,
  ModelSchema,
  PeerIdSchema,
  pageOf,
  SignatureSchema,
  TimeSchema,
  VersionSchema,
} from './scalars.ts'

/** Letters and digits that cannot be mistaken for one another when read aloud or typed. */
export const ENROLLMENT_ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'

export const EnrollmentCodeSchema = z
  .string()
  .transform((text) => text.trim().toUpperCase())
  .pipe(z.string().regex(/^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}$/, 'a code looks like 7F3K-92QD'))
  .meta({ id: 'EnrollmentCode', example: '7F3K-92QD' })

export const EnrollmentCreateSchema = z
  .strictObject({
    model: ModelSchema,
    count: z.int().min(1).max(10_000).default(1).meta({
      description: 'devices that may use the code before it is spent',
    }),
  })
  .meta({ id: 'EnrollmentCreate' })

export const EnrollmentCreatedSchema = z
  .object({
    code: z.string().meta({ example: '7F3K-92QD' }),
    model: ModelSchema,
    count: z.int(),
    expiresAt: TimeSchema,
  })
  .meta({ id: 'EnrollmentCreated' })

export const ENROLLMENT_PURPOSE = 'enrollment'

export const EnrollmentRedeemSchema = z
  .object({
    code: EnrollmentCodeSchema,
    publicKey: hexOf(33, 'compressed secp256k1 key of the device'),
    ageRecipient: z.string().regex(/^age1[02-9ac-hj-np-z]{58}$/, 'write it as age1…'),
    signature: SignatureSchema.meta({
      description: 'signMessage("enrollment", enrollmentMessage(…))',
    }),
  })
  .meta({ id: 'EnrollmentRedeem' })

/** What a device signs when it redeems a code: it holds the key, and the recipient is its own. */
export function enrollmentMessage(claim: {
  readonly code: string
  readonly publicKey: string
  readonly ageRecipient: string
}): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify([claim.code, claim.publicKey.toLowerCase(), claim.ageRecipient]),
  )
}

export const EnrollmentSchema = z
  .object({
    device: EvmAddressSchema,
    token: z.string().meta({ description: 'for the calls of the device; shown this once' }),
    vendor: EvmAddressSchema,
    model: ModelSchema,
    /** The first root.json of the vendor: where the device's trust starts. */
    tufRoot: z.record(z.string(), z.unknown()),
    network: SignedNetworkFileSchema,
    operator: EvmAddressSchema.meta({ description: 'who signs the network file' }),
  })
  .meta({ id: 'Enrollment' })
export type Enrollment = z.infer<typeof EnrollmentSchema>

export const REPORT_EVENTS = ['downloading', 'written', 'confirmed', 'failed', 'fell-back'] as const
export const ReportEventSchema = z.enum(REPORT_EVENTS).meta({
  id: 'ReportEvent',
  description:
    'downloading, written (installed, not yet booted), confirmed (runs and passed its check), failed, fell-back (the old one runs again)',
})
export type ReportEvent = z.infer<typeof ReportEventSchema>

export const DEVICE_STATES = ['enrolled', 'waiting', ...REPORT_EVENTS] as const
export const DeviceStateSchema = z.enum(DEVICE_STATES).meta({ id: 'DeviceState' })

export const PollSchema = z
  .object({
    version: VersionSchema.optional().meta({
      description: 'of what runs; left out when nothing of ours was installed yet',
    }),
    root: CidSchema.optional(),
    state: z.string().max(64).optional().meta({
      description: 'why it waits, such as no-source or window-opens-at',
    }),
  })
  .meta({ id: 'Poll' })
export type Poll = z.input<typeof PollSchema>

/**
 * A hint, not an order: only TUF metadata decides what is installed. While it stays the same there is nothing new
 * to be read, so a device need not fetch metadata with each poll.
 */
export const PollAnswerSchema = z
  .object({
    pollAfterS: z.int().min(1),
    latest: z.object({ root: CidSchema, version: VersionSchema }).nullable(),
    networkVersion: z.int().meta({
      description:
        'of the network file that is current, so that a device knows when to fetch it again',
    }),
    metadataExpiresMs: z.int().nullable().meta({
      description: 'of timestamp.json; changes whenever it is signed anew',
    }),
    orders: z.int().min(0).meta({
      description: 'rises with every order of a rollout of this model',
    }),
  })
  .meta({ id: 'PollAnswer' })
export type PollAnswer = z.infer<typeof PollAnswerSchema>

export const GrantRequestSchema = z
  .object({
    root: CidSchema,
    baseRoot: CidSchema.optional().meta({
      description: 'release that is on the device, so that less is granted',
    }),
  })
  .meta({ id: 'GrantRequest' })

export const ReportSchema = z
  .object({
    root: CidSchema,
    event: ReportEventSchema,
    detail: z.string().max(2_000).optional(),
    progress: z.number().min(0).max(100).optional().meta({ description: 'percent' }),
    sha256: hexOf(32, 'sha-256 of what was installed').optional(),
    fetchedBytes: ByteCountSchema.optional(),
    reusedBlocks: z.int().min(0).optional(),
    sources: z
      .array(z.object({ peerId: PeerIdSchema, bytes: ByteCountSchema }))
      .max(256)
      .optional(),
  })
  .meta({ id: 'Report' })
export type Report = z.input<typeof ReportSchema>

export const DeviceSchema = z
  .object({
    device: EvmAddressSchema,
    vendor: EvmAddressSchema,
    model: ModelSchema,
    protocol: z.enum(['ioex', 'ddi']).meta({
      description: "ddi: hawkBit's; what such a device says is not signed by it",
    }),
    state: DeviceStateSchema,
    reason: z
      .string()
      .nullable()
      .meta({ description: 'why it waits or failed, as it said itself' }),
    running: z.object({ version: VersionSchema.nullable(), root: CidSchema.nullable() }),
    target: CidSchema.nullable().meta({ description: 'the release its last report was about' }),
    percent: z.number().nullable(),
    enrolledAt: TimeSchema,
    lastSeenAt: TimeSchema.nullable(),
  })
  .meta({ id: 'Device' })
export type Device = z.infer<typeof DeviceSchema>
export const DevicePageSchema = pageOf(DeviceSchema, 'DevicePage')

export const DeviceEventSchema = z
  .object({
    at: TimeSchema,
    event: z.string(),
    release: CidSchema.nullable(),
    detail: z.string().nullable(),
    sha256: hexOf(32, 'sha-256 of what was installed').nullable(),
    fetchedBytes: ByteCountSchema.nullable(),
    sources: z.array(z.object({ peerId: PeerIdSchema, bytes: ByteCountSchema })),
  })
  .meta({ id: 'DeviceEvent' })

export const DeviceDetailSchema = DeviceSchema.extend({
  history: z.array(DeviceEventSchema).meta({ description: 'newest first, at most 200' }),
}).meta({ id: 'DeviceDetail' })
