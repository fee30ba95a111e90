import { z } from 'zod'
import { NODE_MAX_MULTIADDRS } from './limits.ts'
import {
  AmountSchema,
  hexOf,
  MultiaddrSchema,
  PeerIdSchema,
  SignatureSchema,
  TimeSchema,
} from './scalars.ts'

const AddressText = z.string().regex(/^0x[0-9a-fA-F]{40}$/) as z.ZodType<`0x${string}`>
const DigestText = z.string().regex(/^0x[0-9a-fA-F]{64}$/)

/**
 * The same shape as in the room network, a sibling; checked again there before it is trusted. Loose and
 * without any change of case, since the signature covers what the operator wrote, to the letter.
 */
export const SignedNetworkFileSchema = z
  .object({
    signed: z.looseObject({
      version: z.int().min(0),
      issuedAt: TimeSchema,
      expires: TimeSchema,
      ledger: z.looseObject({
        chainId: z.int().min(1),
        verifyingContract: AddressText,
        token: AddressText,
        gas: AddressText,
      }),
      prices: z.array(
        z.looseObject({
          version: z.int().min(0),
          service: DigestText,
          priceGas18: AmountSchema,
          unitBytes: AmountSchema,
        }),
      ),
      bootstraps: z.array(
        z.looseObject({ peerId: PeerIdSchema, multiaddrs: z.array(MultiaddrSchema) }),
      ),
      announcers: z.array(z.looseObject({ peerId: PeerIdSchema, signer: AddressText })),
      seeds: z.array(z.looseObject({ peerId: PeerIdSchema, payout: AddressText.optional() })),
    }),
    signature: SignatureSchema,
  })
  .meta({ id: 'SignedNetworkFile' })
export type SignedNetworkFileJson = z.infer<typeof SignedNetworkFileSchema>

export const NetworkFiguresSchema = z
  .object({
    countedAt: TimeSchema,
    nodes: z.int().meta({ description: 'bootstraps, seeds and devices heard of in the last hour' }),
    bootstraps: z.int().meta({ description: 'in the network file' }),
    seeds: z.int().meta({ description: 'that said where they are in the last hour' }),
    devices: z.int().meta({ description: 'enrolled, seen in the last hour' }),
    releases: z.int().meta({ description: 'published now' }),
    bytesServed: AmountSchema.meta({ description: 'proven by receipts, all time' }),
    receipts: z.int().meta({ description: 'grants and servers with proven bytes, all time' }),
    map: z
      .array(z.object({ region: z.string(), seeds: z.int() }))
      .meta({ description: 'seeds that named a region themselves; nobody else is placed' }),
  })
  .meta({ id: 'NetworkFigures' })
export type NetworkFigures = z.infer<typeof NetworkFiguresSchema>

export const SEED_RECORD_PURPOSE = 'seed-record'

/** A seed says where it is; signed with its own key, taken only from seeds of the network file. */
export const SeedRecordSchema = z
  .object({
    publicKey: hexOf(33, 'compressed secp256k1 key of the seed'),
    multiaddrs: z.array(MultiaddrSchema).min(1).max(NODE_MAX_MULTIADDRS),
    http: z
      .url({ protocol: /^https?$/ })
      .max(200)
      .optional(),
    region: z
      .string()
      .regex(/^[A-Z]{2}$/, 'use a country code of two letters')
      .optional()
      .meta({ description: 'country code; leave it out to stay off the map' }),
    issuedAtMs: z.int().min(0),
    signature: SignatureSchema.meta({
      description: 'signMessage("seed-record", seedRecordMessage(…))',
    }),
  })
  .meta({ id: 'SeedRecord' })
export type SeedRecord = z.infer<typeof SeedRecordSchema>

export const SeedRecordAnswerSchema = z
  .object({ peerId: PeerIdSchema, validUntil: TimeSchema })
  .meta({ id: 'SeedRecordAnswer' })

/** What a seed signs: the record without its signature, fields in this order, as JSON. */
export function seedRecordMessage(record: Omit<SeedRecord, 'signature'>): Uint8Array {
  const { publicKey, multiaddrs, http, region, issuedAtMs } = record
  return new TextEncoder().encode(
    JSON.stringify([publicKey, multiaddrs, http ?? '', region ?? '', issuedAtMs]),
  )
}
