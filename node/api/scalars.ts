import { z } from 'zod'

export const EvmAddressSchema = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'write it as 0x and 40 hexadecimal digits')
  .transform((text) => text.toLowerCase() as `0x${string}`)
  .meta({
    id: 'EvmAddress',
    description: '20 bytes as 0x and 40 hexadecimal digits; answers have lower case',
    example: '0x52908400098527886e0f7030069857d2e4169ee7',
  })

/** `0x` plus lower-case hexadecimal of exactly so many bytes. */
export function hexOf(bytes: number, description: string) {
  return z
    .string()
    .regex(
      new RegExp(`^0x[0-9a-fA-F]{${bytes * 2}}$`),
      `write it as 0x and ${bytes * 2} hexadecimal digits`,
    )
    .transform((text) => text.toLowerCase() as `0x${string}`)
    .meta({ description })
}

/** 32 bytes. */
export const DigestSchema = hexOf(32, '32 bytes as 0x and 64 hexadecimal digits')
/** r || s || v. */
export const SignatureSchema = hexOf(65, 'r || s || v as 0x and 130 hexadecimal digits')

export const CidSchema = z
  .string()
  .regex(/^b[a-z2-7]{40,120}$/, 'write it as a CIDv1 in base32, such as bafyrei…')
  .meta({
    id: 'Cid',
    description: 'CIDv1 in base32',
    example: 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi',
  })

export const PeerIdSchema = z
  .string()
  .regex(/^[1-9A-HJ-NP-Za-km-z]{40,64}$/, 'write it in base58btc, such as 16Uiu2HA…')
  .meta({ id: 'PeerId', description: 'libp2p PeerId in base58btc' })

export const MultiaddrSchema = z
  .string()
  .regex(/^\/[\x21-\x7e]{1,400}$/, 'write it as a multiaddr, such as /ip4/192.0.2.7/tcp/4001')
  .meta({ id: 'Multiaddr', example: '/ip4/192.0.2.7/tcp/4001' })

/** A whole number that may not fit a JSON number. */
export const AmountSchema = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,77})$/, 'write it as a decimal whole number in quotes')
  .meta({
    id: 'Amount',
    description: 'a whole number of the smallest unit, as decimal text',
    example: '1000000000000000000',
  })

/** A 64-bit unsigned whole number as decimal text. */
export const Uint64Schema = AmountSchema.refine((text) => BigInt(text) < 1n << 64n, {
  message: 'must be below 2^64',
}).meta({ id: 'Uint64', description: 'a 64-bit unsigned whole number as decimal text' })

export const TimeSchema = z.iso
  .datetime({ offset: true })
  .meta({ id: 'Time', description: 'RFC 3339', example: '2026-11-24T02:30:00.000Z' })

export const UnixSecondsSchema = z
  .int()
  .min(0)
  .meta({ description: 'Unix seconds, as on the chain' })

export const ByteCountSchema = z.int().min(0).meta({ description: 'bytes' })

export const ModelSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'use 1 to 64 letters, digits, dots, dashes or underscores, the first a letter or digit',
  )
  .meta({ id: 'Model', description: 'what kind of device an image is for', example: 'pump-s3' })

export const VersionSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/,
    'use 1 to 64 letters, digits, dots, dashes, underscores or plus signs',
  )
  .meta({ id: 'Version', example: '1.5.0' })

/** Standard base64 with padding. */
export const Base64Schema = z
  .base64()
  .meta({ id: 'Base64', description: 'bytes in standard base64 with padding' })

export const CursorSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,200}$/, 'pass the "next" of the page before, unchanged')
  .meta({ description: 'where the page starts: the "next" of the page before' })

/** One page of a list: `next` is null on the last one. */
export function pageOf<Item extends z.ZodType>(item: Item, id: string) {
  return z
    .object({
      items: z.array(item),
      next: CursorSchema.nullable().meta({ description: 'pass it as "after" for the next page' }),
    })
    .meta({ id })
}
