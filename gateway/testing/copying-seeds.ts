import type { Exchange } from '@ioex/node/exchange'
import { createIdentity, type Identity } from '@ioex/node/identity'
import { type LedgerDomain, pinOrderSigner } from '@ioex/node/receipts'
import type { Storage } from '@ioex/node/storage'
import { toHex } from '@ioex/node/base'

/**
 * Seeds without a network: asked to pin, each copies every block of the root out of the gateway's storage,
 * checks the order as a real seed does, and answers. `away` makes one unreachable.
 */
export interface CopyingSeed {
  readonly identity: Identity
  readonly kept: Map<string, Uint8Array>
  away: boolean
}

export function createCopyingSeeds(count: number): CopyingSeed[] {
  return Array.from({ length: count }, (_, index) => ({
    identity: createIdentity(new Uint8Array(32).fill(100 + index)),
    kept: new Map<string, Uint8Array>(),
    away: false,
  }))
}

export function copyingExchange(
  seeds: readonly CopyingSeed[],
  storage: Storage,
  ledger: LedgerDomain,
): Pick<Exchange, 'askToPin' | 'askToUnpin'> {
  return {
    async askToPin(peer, request, options) {
      const seed = seeds.find(({ identity }) => identity.peerId.equals(peer))
      if (seed === undefined || seed.away) return { ok: false, reason: 'unreachable' }
      const { order } = request
      const signer = order === undefined ? undefined : pinOrderSigner(ledger, order)
      if (signer === undefined || order?.message.signers.includes(signer) !== true) {
        return { ok: false, reason: 'order-invalid' }
      }
      let bytes = 0
      for await (const cid of storage.pins.blocks(request.root)) {
        options?.signal?.throwIfAborted()
        const block = await storage.blocks.get(cid)
        if (block === undefined) return { ok: false, reason: 'incomplete' }
        seed.kept.set(cid.toString(), block)
        bytes += block.byteLength
        options?.onProgress?.({ blocks: seed.kept.size, bytes })
      }
      const countersignature = toHex(seed.identity.signMessage('test', new Uint8Array()))
      return { ok: true, value: { countersignature } }
    },
    askToUnpin: () => Promise.resolve(true),
  }
}
