import { hash } from 'node:crypto'
import { secp256k1 } from '@noble/curves/secp256k1.js'

export interface Curve {
  isPrivateKey(privateKey: Uint8Array): boolean
  /** 33 bytes compressed, or 65 uncompressed. */
  publicKeyOf(privateKey: Uint8Array): Uint8Array
  /** 65 bytes from 33 or 65; undefined when they are no point of the curve. */
  uncompressed(publicKey: Uint8Array): Uint8Array | undefined
  /** RFC 6979 nonce, s in the lower half; `signature` is r || s. */
  sign(digest: Uint8Array, privateKey: Uint8Array): { signature: Uint8Array; recoveryId: number }
  /** SHA-256 of the compressed product, as libsecp256k1's ECDH has it; undefined when either is no key. */
  agree(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined
  /** The uncompressed public key, or undefined when no key can have made the signature. */
  recover(digest: Uint8Array, signature: Uint8Array, recoveryId: number): Uint8Array | undefined
}

/** Digests come hashed already. */
const AS_IS = { prehash: false } as const

export const pureCurve: Curve = {
  isPrivateKey: (privateKey) => secp256k1.utils.isValidSecretKey(privateKey),
  publicKeyOf: (privateKey) => secp256k1.getPublicKey(privateKey, true),
  uncompressed(publicKey) {
    if (!secp256k1.utils.isValidPublicKey(publicKey)) return undefined
    return secp256k1.Point.fromBytes(publicKey).toBytes(false)
  },
  sign(digest, privateKey) {
    const recovered = secp256k1.sign(digest, privateKey, {
      ...AS_IS,
      lowS: true,
      format: 'recovered',
    })
    return { signature: recovered.slice(1), recoveryId: recovered[0] ?? 0 }
  },
  agree(privateKey, publicKey) {
    const { isValidPublicKey, isValidSecretKey } = secp256k1.utils
    if (!isValidSecretKey(privateKey) || !isValidPublicKey(publicKey)) return undefined
    const shared = secp256k1.getSharedSecret(privateKey, publicKey, true)
    return new Uint8Array(hash('sha256', shared, 'buffer'))
  },
  recover(digest, signature, recoveryId) {
    const recovered = new Uint8Array(65)
    recovered[0] = recoveryId
    recovered.set(signature, 1)
    let compressed: Uint8Array
    try {
      compressed = secp256k1.recoverPublicKey(recovered, digest, AS_IS)
    } catch {
      // The library throws for r or s out of range and for an r that is no x of the curve: no such key.
      return undefined
    }
    return secp256k1.Point.fromBytes(compressed).toBytes(false)
  },
}
