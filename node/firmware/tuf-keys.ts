import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'
import { concat, fromHex, type Hex, type Random, toHex } from '../base/index.ts'
import { firmwareError } from './types.ts'

const TUF_SEED_BYTES = 32
/** RFC 8410: PrivateKeyInfo of an Ed25519 seed without its 32 bytes. */
const PKCS8_PREFIX = Uint8Array.fromHex('302e020100300506032b657004220420')

/** An ed25519 key as TUF metadata names it; every TUF client knows this type. */
export interface TufPublicKey {
  /** SHA-256 of the key's canonical JSON, 64 digits (TUF specification 4.2). */
  readonly keyId: string
  /** Raw, 32 bytes. */
  readonly publicKey: Hex
}

/** A key that signs. What holds the seed (a file, a vault, a machine that is offline) is the caller's affair. */
export interface TufSigner extends TufPublicKey {
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

export interface TufKeyJson {
  readonly keytype: 'ed25519'
  readonly scheme: 'ed25519'
  readonly keyval: { readonly public: string }
}

/** The private part of a key: 32 bytes, to be kept encrypted. */
export function createTufSeed(random: Pick<Random, 'bytes'>): Uint8Array {
  return random.bytes(TUF_SEED_BYTES)
}

export function createTufSigner(seed: Uint8Array): TufSigner {
  if (seed.byteLength !== TUF_SEED_BYTES) throw invalid('the seed of a TUF key has 32 bytes')
  const key = createPrivateKey({
    key: Buffer.from(concat([PKCS8_PREFIX, seed])),
    format: 'der',
    type: 'pkcs8',
  })
  // The last 32 bytes of a SubjectPublicKeyInfo (RFC 8410) are the raw key.
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return {
    ...tufPublicKey(toHex(spki.subarray(-32))),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  }
}

export function tufPublicKey(publicKey: Hex): TufPublicKey {
  if (fromHex(publicKey)?.byteLength !== 32) throw invalid('an ed25519 public key has 32 bytes')
  const digits = publicKey.slice(2).toLowerCase()
  // Canonical JSON: members in the order of their names, no white space.
  const json = `{"keytype":"ed25519","keyval":{"public":"${digits}"},"scheme":"ed25519"}`
  return { keyId: hash('sha256', json, 'hex'), publicKey: `0x${digits}` }
}

export function tufKeyJson(key: TufPublicKey): TufKeyJson {
  return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: key.publicKey.slice(2) } }
}

function invalid(message: string) {
  return firmwareError('metadata-change-invalid', message, {
    blame: 'caller',
    fix: 'Make keys with createTufSeed and createTufSigner.',
  })
}
