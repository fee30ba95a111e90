import { hkdfSync } from 'node:crypto'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { x25519 } from '@noble/curves/ed25519.js'
import { bech32 } from '@scure/base'
import { concat, type Random, utf8 } from '../base/index.ts'
import { curve } from './curve.ts'
import { evmAddressOfPublicKey, peerIdOfPublicKey } from './evm-address.ts'
import { messageDigest, signDigestWith } from './signatures.ts'
import { type EvmAddress, type Identity, identityError } from './types.ts'

export const SEED_BYTES = 32

/** One string per key, so that no key can be derived from another. Changing one changes who everybody is. */
const INFO = {
  signing: 'ioex/identity/secp256k1/1',
  age: 'ioex/identity/age-x25519/1',
  drive: 'ioex/identity/drive/1',
} as const

const EMPTY = new Uint8Array()

/** HKDF-SHA256 (RFC 5869) without salt: the seed is uniform already. */
export function deriveFromSeed(seed: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', seed, EMPTY, info, length))
}

export function generateSeed(random: Pick<Random, 'bytes'>): Uint8Array {
  return random.bytes(SEED_BYTES)
}

export function checkSeed(seed: Uint8Array): void {
  if (seed.byteLength === SEED_BYTES) return
  throw identityError('key-invalid', `a seed has 32 bytes, not ${seed.byteLength}`, {
    blame: 'caller',
    fix: 'Make one with generateSeed, or get it back from its 24 words with phraseToSeed.',
  })
}

/** One in 2^128 strings of 32 bytes is no private key; then the next counter's is taken. */
function deriveSigningKey(seed: Uint8Array): Uint8Array {
  for (let counter = 0; counter < 256; counter++) {
    const key = deriveFromSeed(seed, concat([utf8(INFO.signing), Uint8Array.of(counter)]), 32)
    if (curve.isPrivateKey(key)) return key
  }
  throw identityError('key-invalid', 'no private key comes of this seed', { blame: 'caller' })
}

/** Secrets sit behind `#` and getters, so that neither a log line nor JSON nor `console.log` shows them. */
class SeededIdentity implements Identity {
  readonly peerId: PeerId
  readonly publicKey: Uint8Array
  readonly evmAddress: EvmAddress
  readonly ageRecipient: string
  readonly #signingKey: Uint8Array
  readonly #privateKey: PrivateKey
  readonly #ageIdentity: string
  readonly #driveSecret: Uint8Array

  constructor(seed: Uint8Array) {
    this.#signingKey = deriveSigningKey(seed)
    this.#privateKey = privateKeyFromRaw(this.#signingKey)
    this.publicKey = curve.publicKeyOf(this.#signingKey)
    this.peerId = peerIdOfPublicKey(this.publicKey)
    this.evmAddress = evmAddressOfPublicKey(this.publicKey)
    // The text forms of the age format's X25519 recipient type, as the age-encryption package reads them.
    const scalar = deriveFromSeed(seed, utf8(INFO.age), 32)
    this.#ageIdentity = bech32.encodeFromBytes('AGE-SECRET-KEY-', scalar).toUpperCase()
    this.ageRecipient = bech32.encodeFromBytes('age', x25519.getPublicKey(scalar))
    this.#driveSecret = deriveFromSeed(seed, utf8(INFO.drive), 32)
  }

  get privateKey(): PrivateKey {
    return this.#privateKey
  }

  get ageIdentity(): string {
    return this.#ageIdentity
  }

  get driveSecret(): Uint8Array {
    return this.#driveSecret
  }

  // Fields, not methods: rooms hand them on as plain functions.
  readonly signDigest = (digest: Uint8Array): Uint8Array => signDigestWith(this.#signingKey, digest)
  readonly signMessage = (purpose: string, message: Uint8Array): Uint8Array =>
    signDigestWith(this.#signingKey, messageDigest(purpose, message))
}

/** `seed`: 32 bytes. The same seed always gives the same identity. Throws key-invalid. */
export function createIdentity(seed: Uint8Array): Identity {
  checkSeed(seed)
  return new SeededIdentity(seed)
}
