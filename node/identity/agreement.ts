import type { Random } from '../base/index.ts'
import { curve } from './curve.ts'
import { identityError } from './types.ts'

const PRIVATE_KEY_BYTES = 32

/**
 * 32 bytes that only the holders of the two keys can make: SHA-256 of the compressed product (the ECDH of
 * libsecp256k1; native, 20 times as quick as that of OpenSSL for this curve). Undefined when the public key is none.
 */
export function agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  return curve.agree(privateKey, publicKey)
}

/** A key for one exchange. */
export function ephemeralKey(random: Pick<Random, 'bytes'>): {
  readonly privateKey: Uint8Array
  /** 33 bytes, compressed. */
  readonly publicKey: Uint8Array
} {
  const privateKey = random.bytes(PRIVATE_KEY_BYTES)
  // One in 2^128 strings of 32 bytes.
  if (!curve.isPrivateKey(privateKey)) {
    throw identityError('key-invalid', 'the random source gave no private key', { blame: 'local' })
  }
  return { privateKey, publicKey: curve.publicKeyOf(privateKey) }
}
