import { z } from 'zod'
import { COHORT_MAX_DEVICES, DEVICE_ADDRESS_MAX_ENTRIES, WRAPS_AT_ONCE } from './limits.ts'
import {
  Base64Schema,
  ByteCountSchema,
  CidSchema,
  EvmAddressSchema,
  hexOf,
  ModelSchema,
  MultiaddrSchema,
  PeerIdSchema,
  pageOf,
  TimeSchema,
  VersionSchema,
} from './scalars.ts'
import { RolloutPlanSchema } from './rollouts.ts'
import { TufMetadataUploadSchema } from './vendors.ts'

export const RELEASE_STATES = ['draft', 'published', 'superseded', 'withdrawn', 'expired'] as const
export const ReleaseStateSchema = z.enum(RELEASE_STATES).meta({
  id: 'ReleaseState',
  description:
    'draft: stored, but fewer copies than wanted; published: devices may fetch it; superseded: a newer one of the model is published; withdrawn: no more grants; expired: its copies are no longer paid for',
})
export type ReleaseState = z.infer<typeof ReleaseStateSchema>

export const DeviceCountsSchema = z
  .object({
    waiting: z.int(),
    downloading: z.int(),
    written: z.int(),
    confirmed: z.int(),
    failed: z.int(),
    fellBack: z.int(),
  })
  .meta({ id: 'DeviceCounts', description: 'devices of the model by what they last said of it' })

export const ReleaseSchema = z
  .object({
    id: CidSchema.meta({ description: 'CID of the release root' }),
    vendor: EvmAddressSchema,
    model: ModelSchema,
    version: VersionSchema,
    notes: z.string(),
    state: ReleaseStateSchema,
    createdAt: TimeSchema,
    publishedAt: TimeSchema.nullable(),
    withdrawnAt: TimeSchema.nullable(),
    imageBytes: ByteCountSchema.nullable().meta({
      description: 'plaintext; null when the vendor keeps it to himself',
    }),
    imageSha256: hexOf(32, 'sha-256 of the plaintext').nullable(),
    sealedBytes: ByteCountSchema.meta({ description: 'all blocks of the release together' }),
    chunks: z.int().nullable(),
    newBytes: ByteCountSchema.nullable().meta({
      description: 'of the sealed bytes, those that no earlier release of this vendor had',
    }),
    copies: z.int().meta({ description: 'seeds that hold all of it now' }),
    copiesWanted: z.int(),
    devices: DeviceCountsSchema,
    deltas: z.array(
      z.object({ baseRoot: CidSchema, deltaRoot: CidSchema, bytes: ByteCountSchema }),
    ),
  })
  .meta({ id: 'Release' })
export type Release = z.infer<typeof ReleaseSchema>
export const ReleasePageSchema = pageOf(ReleaseSchema, 'ReleasePage')

export const UploadCreateSchema = z
  .strictObject({
    model: ModelSchema,
    version: VersionSchema,
    notes: z.string().max(10_000).default(''),
    rollout: RolloutPlanSchema.optional().meta({
      description: 'in which order devices may take it; all at once when left out',
    }),
  })
  .meta({ id: 'UploadCreate' })

export const UPLOAD_PHASES = [
  'receiving',
  'packing',
  'sealing',
  'pinning',
  'signing',
  'published',
  'failed',
] as const

/** What the events of an upload carry: the whole state each time, so that none must be seen. */
export const UploadProgressSchema = z
  .object({
    upload: z.string(),
    phase: z.enum(UPLOAD_PHASES),
    percent: z.number().min(0).max(100),
    receivedBytes: ByteCountSchema,
    totalBytes: ByteCountSchema.nullable().meta({
      description: 'of the image; null when the sender did not say',
    }),
    copies: z.int(),
    copiesWanted: z.int(),
    release: CidSchema.nullable(),
    problem: z
      .object({ code: z.string(), detail: z.string(), fix: z.string().optional() })
      .nullable(),
  })
  .meta({ id: 'UploadProgress' })
export type UploadProgress = z.infer<typeof UploadProgressSchema>

export const UploadSchema = z
  .object({
    upload: z.string(),
    vendor: EvmAddressSchema,
    model: ModelSchema,
    version: VersionSchema,
    createdAt: TimeSchema,
    progress: UploadProgressSchema,
  })
  .meta({ id: 'Upload' })
export type Upload = z.infer<typeof UploadSchema>

/** A release key wrapped with age for at most COHORT_MAX_DEVICES devices. */
export const WrapSchema = z
  .strictObject({
    devices: z.array(EvmAddressSchema).min(1).max(COHORT_MAX_DEVICES),
    wrap: Base64Schema.meta({ description: 'an age file' }),
  })
  .meta({ id: 'Wrap' })
export const WrapsUploadSchema = z
  .strictObject({ wraps: z.array(WrapSchema).min(1).max(WRAPS_AT_ONCE) })
  .meta({ id: 'WrapsUpload' })

/** The release key for each cohort; which devices are in it does not stand in it. */
export const WrapPageSchema = pageOf(
  z.object({ wrap: Base64Schema.meta({ description: 'an age file' }) }),
  'WrapPage',
)

/** Devices of the release's model that hold no wrap of its key yet. */
export const RecipientPageSchema = pageOf(
  z.object({ device: EvmAddressSchema, ageRecipient: z.string() }),
  'RecipientPage',
)

/** Publishing with one's own keys: the blocks are here already, packed, sealed and signed elsewhere. */
export const ReleaseCreateSchema = z
  .strictObject({
    root: CidSchema,
    notes: z.string().max(10_000).default(''),
    metadata: TufMetadataUploadSchema.meta({
      description: 'adds exactly this release; the gateway signs snapshot and timestamp over it',
    }),
    wraps: z.array(WrapSchema).max(WRAPS_AT_ONCE).default([]),
  })
  .meta({ id: 'ReleaseCreate' })

/** Managed vendors send nothing; own-keys vendors the line without the release. */
export const ReleaseWithdrawSchema = z
  .strictObject({ metadata: TufMetadataUploadSchema.optional() })
  .meta({ id: 'ReleaseWithdraw' })

export const BlocksStoredSchema = z
  .object({
    blocks: z.int().meta({ description: 'blocks in the body' }),
    bytes: ByteCountSchema,
    root: CidSchema.meta({ description: 'the release that they wait for' }),
  })
  .meta({ id: 'BlocksStored' })

export const AddressEntrySchema = z
  .object({
    server: EvmAddressSchema,
    peerId: PeerIdSchema,
    multiaddrs: z.array(MultiaddrSchema),
    http: z.string().optional().meta({
      description: 'base URL where the seed has one; its knock is at /knock below it',
    }),
    region: z.string().optional(),
    pinUntil: TimeSchema,
  })
  .meta({ id: 'AddressEntry' })
export type AddressEntry = z.infer<typeof AddressEntrySchema>

/** One entry per copy. A device gets at most 32 at random; a vendor pages through all. */
export const AddressListSchema = z
  .object({
    release: CidSchema,
    issuedAt: TimeSchema,
    ttlS: z.int().meta({ description: 'how long to keep the list before asking again' }),
    entries: z.array(AddressEntrySchema).meta({
      description: `for devices at most ${DEVICE_ADDRESS_MAX_ENTRIES}`,
    }),
    next: z.string().nullable().optional(),
  })
  .meta({ id: 'AddressList' })
export type AddressList = z.infer<typeof AddressListSchema>

/** What the events of a release carry: counts, and the device whose word changed them. */
export const ReleaseProgressSchema = z
  .object({
    release: CidSchema,
    state: ReleaseStateSchema,
    copies: z.int(),
    copiesWanted: z.int(),
    devices: DeviceCountsSchema,
    device: z
      .object({
        device: EvmAddressSchema,
        event: z.string(),
        at: TimeSchema,
        percent: z.number().nullable(),
      })
      .nullable(),
  })
  .meta({ id: 'ReleaseProgress' })
export type ReleaseProgress = z.infer<typeof ReleaseProgressSchema>
