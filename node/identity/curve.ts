/**
 * The secp256k1 arithmetic behind one narrow interface. Where the npm package `secp256k1` has a prebuilt
 * addon for this platform, that is libsecp256k1 in C; elsewhere (linux-arm64, win32-arm64) it is
 * @noble/curves, not the `elliptic` that the package itself would fall back to: that one is no longer kept,
 * and an advisory on how it computes nonces has no fixed version (CVE-2025-14505).
 */
import { createRequire } from 'node:module'
import type * as NativeSecp256k1 from 'secp256k1'
import { asError } from '../base/index.ts'
import { type Curve, pureCurve } from './curve-pure.ts'

export interface CurveBackend {
  readonly kind: 'native' | 'pure'
  /** One sentence for the log when the slow implementation is in use. */
  readonly warning: string | undefined
}

function nativeCurve(native: typeof NativeSecp256k1): Curve {
  return {
    isPrivateKey: (privateKey) => native.privateKeyVerify(privateKey),
    publicKeyOf: (privateKey) => native.publicKeyCreate(privateKey, true),
    uncompressed: (publicKey) =>
      native.publicKeyVerify(publicKey) ? native.publicKeyConvert(publicKey, false) : undefined,
    sign(digest, privateKey) {
      const signed = native.ecdsaSign(digest, privateKey)
      return { signature: signed.signature, recoveryId: signed.recid }
    },
    agree(privateKey, publicKey) {
      if (!native.privateKeyVerify(privateKey) || !native.publicKeyVerify(publicKey)) {
        return undefined
      }
      return native.ecdh(publicKey, privateKey, {}, new Uint8Array(32))
    },
    recover(digest, signature, recoveryId) {
      try {
        return native.ecdsaRecover(signature, recoveryId, digest, false)
      } catch (thrown) {
        // Lengths were checked by the caller, so a plain Error says only that there is no such key.
        if (thrown instanceof TypeError) throw thrown
        return undefined
      }
    },
  }
}

function load(): { curve: Curve; backend: CurveBackend } {
  const require = createRequire(import.meta.url)
  try {
    const native = require('secp256k1/bindings') as typeof NativeSecp256k1
    return { curve: nativeCurve(native), backend: { kind: 'native', warning: undefined } }
  } catch (thrown) {
    const warning =
      `no prebuilt secp256k1 for ${process.platform}-${process.arch}: signatures are made and checked in ` +
      `JavaScript, about 30 times slower (${asError(thrown).message.split('\n')[0]})`
    return { curve: pureCurve, backend: { kind: 'pure', warning } }
  }
}

const loaded = load()

export const curve: Curve = loaded.curve
/** Which implementation is in use. A process logs `warning` once at start when there is one. */
export const curveBackend: CurveBackend = loaded.backend
