import { z } from 'zod'
import { Base64Schema, EvmAddressSchema, hexOf, TimeSchema } from './scalars.ts'

export const CUSTODIES = ['managed', 'own'] as const
/** Where the TUF root and targets keys and the content secret are: with the gateway, or with the vendor. */
export const CustodySchema = z.enum(CUSTODIES).meta({ id: 'Custody' })

export const SCOPES = ['publish', 'read', 'devices', 'billing', 'admin'] as const
export const ScopeSchema = z.enum(SCOPES).meta({
  id: 'Scope',
  description:
    'publish: releases; read: everything but money; devices: enrolment codes; billing: bills; admin: all and tokens',
})
export type Scope = z.infer<typeof ScopeSchema>

export const VendorCreateSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(100),
    custody: CustodySchema.default('managed'),
    account: EvmAddressSchema.optional().meta({
      description:
        'the account that pays on chain; needed with custody "own", made by the gateway otherwise',
    }),
  })
  .meta({ id: 'VendorCreate' })

export const VendorSchema = z
  .object({
    vendor: EvmAddressSchema,
    name: z.string(),
    custody: CustodySchema,
    createdAt: TimeSchema,
    /** Whose signature grants and epoch roots carry; the account authorises it on chain. */
    voucherSigner: EvmAddressSchema,
    /** Whose signature announcements carry; named in TUF targets. */
    announceSigner: EvmAddressSchema,
    /** Raw ed25519 public key that the vendor's root.json names for snapshot and timestamp. */
    onlineTufKey: hexOf(32, 'ed25519 public key, 32 bytes'),
    tufReady: z.boolean().meta({ description: 'false until a root.json is there' }),
    renewBy: TimeSchema.nullable().meta({
      description:
        'when the first of root, targets and lines ends; the gateway renews them with managed keys, the vendor with its own',
    }),
  })
  .meta({ id: 'Vendor' })
export type Vendor = z.infer<typeof VendorSchema>

export const VendorCreatedSchema = VendorSchema.extend({
  token: z.string().meta({ description: 'scope admin; shown this once' }),
}).meta({ id: 'VendorCreated' })

/**
 * TUF files that an own-keys vendor signed, as their exact bytes: the first root and targets, a rotation, a
 * renewal, or the line of a model with a release more or less. Files that did not change are left out.
 */
export const TufMetadataUploadSchema = z
  .strictObject({
    root: Base64Schema.optional(),
    targets: Base64Schema.optional(),
    lines: z
      .record(z.string().max(80), Base64Schema)
      .optional()
      .meta({ description: 'by role, such as line-pump-s3' }),
  })
  .meta({ id: 'TufMetadataUpload' })

export const TokenCreateSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(100),
    scopes: z.array(ScopeSchema).min(1).max(SCOPES.length),
    expiresAt: TimeSchema.optional().meta({ description: 'never, when left out' }),
  })
  .meta({ id: 'TokenCreate' })

export const TokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(ScopeSchema),
    createdAt: TimeSchema,
    expiresAt: TimeSchema.nullable(),
    lastUsedAt: TimeSchema.nullable().meta({ description: 'exact to the minute' }),
  })
  .meta({ id: 'Token' })
export const TokenListSchema = z.object({ items: z.array(TokenSchema) }).meta({ id: 'TokenList' })
export const TokenCreatedSchema = TokenSchema.extend({
  token: z.string().meta({ description: 'shown this once' }),
}).meta({ id: 'TokenCreated' })

/** Who the bearer of a token is: what a console asks first. */
export const WhoAmISchema = z
  .object({
    kind: z.enum(['operator', 'bridge', 'vendor', 'device']),
    scopes: z.array(ScopeSchema),
    vendor: EvmAddressSchema.nullable(),
    device: EvmAddressSchema.nullable(),
  })
  .meta({ id: 'WhoAmI' })
export type WhoAmI = z.infer<typeof WhoAmISchema>
