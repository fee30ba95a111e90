import type { Hex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'

/** Which signers may grant which root until when: what the accepted pin orders say. */
export interface TrustedSigners {
  trust(root: Hex, signers: readonly EvmAddress[], untilSeconds: number, nowSeconds: number): void
  knows(root: Hex, nowSeconds: number): boolean
  mayGrant(root: Hex, signer: EvmAddress, nowSeconds: number): boolean
}

/** Expired roots are looked for when there are twice as many as after the last time. */
const FIRST_SWEEP = 1024

export function createTrustedSigners(): TrustedSigners {
  const roots = new Map<Hex, Map<EvmAddress, number>>()
  let sweepAbove = FIRST_SWEEP

  const forgetExpired = (root: Hex, nowSeconds: number) => {
    const known = roots.get(root)
    for (const [signer, until] of known ?? []) if (until < nowSeconds) known?.delete(signer)
    if (known?.size === 0) roots.delete(root)
  }
  return {
    trust(root, signers, untilSeconds, nowSeconds) {
      if (roots.size >= sweepAbove) {
        for (const old of roots.keys()) forgetExpired(old, nowSeconds)
        sweepAbove = Math.max(FIRST_SWEEP, 2 * roots.size)
      }
      const known = roots.get(root) ?? new Map<EvmAddress, number>()
      roots.set(root, known)
      for (const signer of signers) {
        known.set(signer, Math.max(known.get(signer) ?? 0, untilSeconds))
      }
    },
    knows(root, nowSeconds) {
      forgetExpired(root, nowSeconds)
      return roots.has(root)
    },
    mayGrant(root, signer, nowSeconds) {
      return (roots.get(root)?.get(signer) ?? -1) >= nowSeconds
    },
  }
}
