import { concat, utf8 } from '../base/index.ts'
import { curve } from './curve.ts'
import { addressOfUncompressed } from './evm-address.ts'
import { keccak256 } from './keccak.ts'
import { type EvmAddress, identityError } from './types.ts'

/** r || s || v */
export const SIGNATURE_BYTES = 65
const DIGEST_BYTES = 32

/** Half of the group order: a larger s is the same signature written a second way (EIP-2, BIP-62). */
const HALF_ORDER = Buffer.from(
  '7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0',
  'hex',
)

const NUL = Uint8Array.of(0)

/** Purposes are names in the code, not input: short printable ASCII, so that the 0x00 after them is the end. */
const PURPOSE = /^[\x20-\x7e]{1,64}$/

/** r || s || v with v 27 or 28 and s in the lower half, as `ecrecover` wants it. */
export function signDigestWith(privateKey: Uint8Array, digest: Uint8Array): Uint8Array {
  if (digest.byteLength !== DIGEST_BYTES) {
    throw identityError('key-invalid', `a digest has 32 bytes, not ${digest.byteLength}`, {
      blame: 'caller',
    })
  }
  const { signature, recoveryId } = curve.sign(digest, privateKey)
  const result = new Uint8Array(SIGNATURE_BYTES)
  result.set(signature)
  result[64] = 27 + recoveryId
  return result
}

/**
 * Who signed this digest; undefined when nobody can have: wrong length, v other than 27 and 28, s in the
 * upper half, r or s out of range. So each (digest, signer) has one signature form only, as on chain.
 */
export function recoverSigner(digest: Uint8Array, signature: Uint8Array): EvmAddress | undefined {
  if (digest.byteLength !== DIGEST_BYTES || signature.byteLength !== SIGNATURE_BYTES) {
    return undefined
  }
  const recoveryId = (signature[64] ?? 0) - 27
  if (recoveryId !== 0 && recoveryId !== 1) return undefined
  if (HALF_ORDER.compare(signature, 32, 64) < 0) return undefined
  const publicKey = curve.recover(digest, signature.subarray(0, 64), recoveryId)
  return publicKey === undefined ? undefined : addressOfUncompressed(publicKey)
}

/** keccak256("ioeX " || purpose || 0x00 || message): a signature for one purpose says nothing in another. */
export function messageDigest(purpose: string, message: Uint8Array): Uint8Array {
  if (!PURPOSE.test(purpose)) {
    throw identityError('key-invalid', 'a signing purpose is 1 to 64 printable ASCII characters', {
      blame: 'caller',
    })
  }
  return keccak256(concat([utf8(`ioeX ${purpose}`), NUL, message]))
}

/** Who signed this message for this purpose; undefined as in `recoverSigner`. */
export function recoverMessageSigner(
  purpose: string,
  message: Uint8Array,
  signature: Uint8Array,
): EvmAddress | undefined {
  return recoverSigner(messageDigest(purpose, message), signature)
}
