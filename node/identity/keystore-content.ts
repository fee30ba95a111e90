/** What stands in a keystore file: parsing with every figure bounded, sealing and opening. Touches no disk. */
import {
  createCipheriv,
  createDecipheriv,
  type ScryptOptions,
  scrypt as scryptCallback,
} from 'node:crypto'
import { promisify } from 'node:util'
import { z } from 'zod'
import { concat, type Random, utf8 } from '../base/index.ts'
import { NOSPAM_BYTES } from './contact-address.ts'
import { SEED_BYTES } from './create-identity.ts'
import { identityError } from './types.ts'

export interface KeystoreSecrets {
  /** 32 bytes. */
  readonly seed: Uint8Array
  /** 4 bytes. */
  readonly nospam: Uint8Array
}

const FORMAT = 'ioex-keystore'
/** OWASP's first choice for scrypt: 128 MiB and about half a second for every guess. */
const SCRYPT_N = 2 ** 17
const SCRYPT_R = 8
const SCRYPT_P = 1
/** A file that asks for more than 256 MiB is hostile: a device has 300 MiB for everything. */
const MAX_SCRYPT_N = 2 ** 18
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const SEALED_BYTES = SEED_BYTES + NOSPAM_BYTES + TAG_BYTES

const hexOf = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`))
const head = { format: z.literal(FORMAT), version: z.literal(1) }
const contentSchema = z.discriminatedUnion('protection', [
  z.strictObject({
    ...head,
    protection: z.literal('passphrase'),
    scrypt: z.strictObject({
      n: z
        .number()
        .int()
        .min(2 ** 14)
        .max(MAX_SCRYPT_N)
        .refine((n) => Number.isInteger(Math.log2(n))),
      r: z.literal(SCRYPT_R),
      p: z.literal(SCRYPT_P),
      salt: hexOf(SALT_BYTES),
    }),
    nonce: hexOf(NONCE_BYTES),
    sealed: hexOf(SEALED_BYTES),
  }),
  z.strictObject({
    ...head,
    protection: z.literal('file-mode'),
    seed: hexOf(SEED_BYTES),
    nospam: hexOf(NOSPAM_BYTES),
  }),
])

export type KeystoreContent = z.infer<typeof contentSchema>
type SealedContent = Extract<KeystoreContent, { protection: 'passphrase' }>
type ScryptParameters = SealedContent['scrypt']

const scrypt = promisify<string, Uint8Array, number, ScryptOptions, Buffer>(scryptCallback)

function deriveKey(passphrase: string, parameters: ScryptParameters): Promise<Buffer> {
  const { n, r, p } = parameters
  // Node refuses beyond 32 MiB unless told; 128 N r is what scrypt needs, the rest is OpenSSL's own.
  const maxmem = 128 * n * r + 1024 * 1024
  const salt = Uint8Array.fromHex(parameters.salt)
  return scrypt(passphrase.normalize('NFKC'), salt, KEY_BYTES, { N: n, r, p, maxmem })
}

/** Everything outside the sealed part, so that none of it can be changed without being noticed. */
function associatedData(parameters: ScryptParameters): Uint8Array {
  const { n, r, p, salt } = parameters
  return utf8([FORMAT, 1, 'passphrase', n, r, p, salt].join('/'))
}

/** Undefined when the text is not a keystore of this version. */
export function parseContent(text: string): KeystoreContent | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // The parser's error quotes the text, and the text may be a seed; the caller says "damaged".
    return undefined
  }
  const parsed = contentSchema.safeParse(json)
  return parsed.success ? parsed.data : undefined
}

export async function sealContent(
  secrets: KeystoreSecrets,
  passphrase: string | undefined,
  random: Random,
): Promise<string> {
  const content = await contentOf(secrets, passphrase, random)
  return `${JSON.stringify(content, undefined, 2)}\n`
}

async function contentOf(
  { seed, nospam }: KeystoreSecrets,
  passphrase: string | undefined,
  random: Random,
): Promise<KeystoreContent> {
  if (passphrase === undefined) {
    return {
      format: FORMAT,
      version: 1,
      protection: 'file-mode',
      seed: seed.toHex(),
      nospam: nospam.toHex(),
    }
  }
  const salt = random.bytes(SALT_BYTES).toHex()
  const parameters = { n: SCRYPT_N, r: SCRYPT_R, p: SCRYPT_P, salt } as const
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', await deriveKey(passphrase, parameters), nonce)
  cipher.setAAD(associatedData(parameters))
  const sealed = concat([
    cipher.update(concat([seed, nospam])),
    cipher.final(),
    cipher.getAuthTag(),
  ])
  return {
    format: FORMAT,
    version: 1,
    protection: 'passphrase',
    scrypt: parameters,
    nonce: nonce.toHex(),
    sealed: sealed.toHex(),
  }
}

/** Throws passphrase-wrong when the passphrase does not open it, or is given or left out against the file. */
export async function unsealContent(
  content: KeystoreContent,
  passphrase: string | undefined,
): Promise<KeystoreSecrets> {
  if (content.protection === 'file-mode') {
    if (passphrase !== undefined) {
      throw identityError(
        'passphrase-wrong',
        'this keystore has no passphrase, but one was given',
        {
          blame: 'caller',
          fix: 'Open it without a passphrase if you know that it was made so; otherwise it was replaced.',
        },
      )
    }
    return { seed: Uint8Array.fromHex(content.seed), nospam: Uint8Array.fromHex(content.nospam) }
  }
  if (passphrase === undefined) {
    throw identityError('passphrase-wrong', 'this keystore needs its passphrase', {
      blame: 'caller',
      fix: 'Give the passphrase with which it was made.',
    })
  }
  return unseal(content, await deriveKey(passphrase, content.scrypt))
}

function unseal(content: SealedContent, key: Uint8Array): KeystoreSecrets {
  const sealed = Uint8Array.fromHex(content.sealed)
  const decipher = createDecipheriv('aes-256-gcm', key, Uint8Array.fromHex(content.nonce))
  decipher.setAAD(associatedData(content.scrypt))
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  let opened: Uint8Array
  try {
    opened = concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()])
  } catch (thrown) {
    throw identityError('passphrase-wrong', 'the passphrase does not open this keystore', {
      blame: 'caller',
      fix: 'Try again; if it is surely right, the file was changed: restore from the 24 words.',
      cause: thrown,
    })
  }
  return { seed: opened.slice(0, SEED_BYTES), nospam: opened.slice(SEED_BYTES) }
}
