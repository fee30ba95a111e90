/** How a vendor lets devices in that speak hawkBit's DDI. What they say themselves is in the room ddi. */
import { z } from 'zod'
import { EvmAddressSchema, ModelSchema, pageOf, TimeSchema } from './scalars.ts'

/** Below this a token could be guessed; hawkBit's own have 32 letters. */
const TOKEN_MIN_CHARS = 16
const TOKEN_MAX_CHARS = 256

/** A token that a stock client is configured with. */
export const DdiTokenTextSchema = z
  .string()
  .regex(
    new RegExp(`^[\\x21-\\x7e]{${TOKEN_MIN_CHARS},${TOKEN_MAX_CHARS}}$`),
    `use ${TOKEN_MIN_CHARS} to ${TOKEN_MAX_CHARS} letters, digits and signs without blanks`,
  )

export const DdiControllerSchema = z
  .string()
  .min(1)
  .max(256)
  .regex(/^(?!\.{1,2}$)[^/\\\p{C}]+$/u, 'use neither slashes nor control characters')
  .meta({
    id: 'DdiController',
    description: 'the name by which a stock client speaks, such as a serial number',
    example: 'pump-0042',
  })

const DdiGroupSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)

export const DdiDeviceCreateSchema = z
  .strictObject({
    controllerId: DdiControllerSchema,
    model: ModelSchema,
    token: DdiTokenTextSchema.optional().meta({
      description: 'the TargetToken that the device has already; a new one is made when left out',
    }),
    confirm: z.boolean().default(false).meta({
      description: 'the person at the device is asked before each update',
    }),
    groups: z.array(DdiGroupSchema).max(16).default([]).meta({
      description: 'groups that it is in; a rollout may be for some only',
    }),
  })
  .meta({ id: 'DdiDeviceCreate' })

export const DdiDeviceSchema = z
  .object({
    device: EvmAddressSchema.meta({ description: 'its id in /v1/devices' }),
    controllerId: DdiControllerSchema,
    model: ModelSchema,
    confirm: z.boolean(),
    groups: z.array(DdiGroupSchema),
    attributes: z.record(z.string(), z.string()).nullable().meta({
      description: 'what it said of itself with configData; null before it has',
    }),
    lastSeenAt: TimeSchema.nullable(),
  })
  .meta({ id: 'DdiDevice' })
export const DdiDevicePageSchema = pageOf(DdiDeviceSchema, 'DdiDevicePage')

/** For the client's configuration. */
const address = {
  url: z.string().meta({ description: 'what clients call the URL or host of hawkBit' }),
  tenant: z.string().meta({ description: 'what clients call the tenant' }),
}

export const DdiDeviceCreatedSchema = DdiDeviceSchema.extend({
  token: z.string().meta({ description: 'its TargetToken; shown this once' }),
  ...address,
}).meta({ id: 'DdiDeviceCreated' })

export const DdiGatewayTokenCreateSchema = z
  .strictObject({
    name: z.string().trim().min(1).max(100),
    model: ModelSchema,
    count: z.int().min(1).max(1_000_000).meta({
      description: 'devices that may make themselves known with it',
    }),
    token: DdiTokenTextSchema.optional(),
  })
  .meta({ id: 'DdiGatewayTokenCreate' })

export const DdiTokenSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['target', 'gateway']),
    name: z.string(),
    model: ModelSchema,
    device: EvmAddressSchema.nullable(),
    remaining: z.int().meta({ description: 'devices that a GatewayToken may still make known' }),
    createdAt: TimeSchema,
  })
  .meta({ id: 'DdiToken' })
export const DdiTokenPageSchema = pageOf(DdiTokenSchema, 'DdiTokenPage')

export const DdiGatewayTokenCreatedSchema = DdiTokenSchema.extend({
  token: z.string().meta({ description: 'the GatewayToken; shown this once' }),
  ...address,
}).meta({ id: 'DdiGatewayTokenCreated' })
