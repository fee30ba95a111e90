import { signedPinOrderToJson, serviceId, signPinOrder } from '@ioex/node/receipts'
import { type Clock, type Random, shuffled, unixSeconds } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import { PIN_VALIDITY_S, PINS_AT_ONCE } from '../limits.ts'
import { digestOf } from '../store/cids.ts'
import { deltasOf } from '../store/deltas.ts'
import type { ReleaseRow, SeedRow } from '../store/tables.ts'
import { BANDWIDTH_SERVICE } from './grants.ts'
import { ledgerOf, priceNow } from './ledger.ts'

const STORAGE_SERVICE = 'ioex/storage'

type Needs = Pick<Parts, 'db' | 'node' | 'keys' | 'log'> & {
  readonly clock: Clock
  readonly random: Random
}

/**
 * Asks seeds to keep a release until as many as wanted have all of it; resolves to how many have. A seed
 * that refuses or cannot be reached is passed over this time. Each copy is noted as soon as it is there.
 */
export async function pinAtSeeds(
  needs: Needs,
  release: ReleaseRow,
  options: {
    readonly copiesWanted: number
    readonly signal: AbortSignal
    /** Sum over the seeds that are at it. */
    readonly onProgress?: (pinnedBytes: number) => void
    readonly onCopy?: (copies: number) => void
  },
): Promise<number> {
  const { db, clock } = needs
  const holders = await db
    .selectFrom('copies')
    .select('peer_id')
    .where('release', '=', release.id)
    .where('until_ms', '>', clock.nowMs())
    .execute()
  const held = new Set(holders.map(({ peer_id }) => peer_id))
  const seeds = await db.selectFrom('seeds').selectAll().execute()
  const candidates = shuffled(
    seeds.filter(({ peer_id }) => !held.has(peer_id)),
    needs.random,
  )
  let copies = held.size
  const moved = new Map<string, number>()
  const report = (seed: SeedRow, bytes: number) => {
    moved.set(seed.peer_id, bytes)
    options.onProgress?.([...moved.values()].reduce((sum, part) => sum + part, 0))
  }
  let running = 0
  const work = async () => {
    for (;;) {
      // No more seeds than copies are missing: what two keep, a third need not be paid for.
      if (options.signal.aborted || copies + running >= options.copiesWanted) return
      const seed = candidates.pop()
      if (seed === undefined) return
      running++
      try {
        if (await pinAt(needs, release, seed, options, (bytes) => report(seed, bytes))) {
          copies++
          options.onCopy?.(copies)
        } else {
          moved.delete(seed.peer_id)
        }
      } finally {
        running--
      }
    }
  }
  while (copies < options.copiesWanted && candidates.length > 0 && !options.signal.aborted) {
    await Promise.all(Array.from({ length: PINS_AT_ONCE }, work))
  }
  return copies
}

async function pinAt(
  needs: Needs,
  release: ReleaseRow,
  seed: SeedRow,
  options: { readonly signal: AbortSignal; readonly copiesWanted: number },
  onBytes: (bytes: number) => void,
): Promise<boolean> {
  const { db, clock, node, keys, log } = needs
  const signer = await keys.voucherSigner(release.vendor)
  const deltas = deltasOf(release)
  const kept = [
    { root: CID.parse(release.id), bytes: release.sealed_bytes },
    ...deltas.map(({ deltaRoot, pinBytes }) => ({ root: CID.parse(deltaRoot), bytes: pinBytes })),
  ]
  const fromS = unixSeconds(clock)
  const untilMs = (fromS + PIN_VALIDITY_S) * 1000
  const service = serviceId(STORAGE_SERVICE)
  const order = signPinOrder(signer, ledgerOf(node), {
    payer: release.vendor as EvmAddress,
    roots: kept.map(({ root }) => digestOf(root)),
    bytes: BigInt(kept.reduce((sum, { bytes }) => sum + bytes, 0)),
    from: fromS,
    until: fromS + PIN_VALIDITY_S,
    copies: options.copiesWanted,
    service,
    priceVersion: storagePrice(needs, service),
    signers: [signer.evmAddress],
  })
  const named = { release: release.id, seed: seed.peer_id }
  try {
    const multiaddrs = (JSON.parse(seed.multiaddrs) as string[]).map((text) => multiaddr(text))
    let countersignature: string | undefined
    let doneBytes = 0
    for (const { root, bytes } of kept) {
      const answer = await node.exchange.askToPin(
        peerIdFromString(seed.peer_id),
        { root, bytes, order, untilMs },
        {
          signal: options.signal,
          multiaddrs,
          onProgress: (now) => onBytes(doneBytes + now.bytes),
        },
      )
      if (!answer.ok) {
        log.warn({ ...named, reason: answer.reason }, 'a seed does not keep the release')
        return false
      }
      doneBytes += bytes
      countersignature ??= answer.value.countersignature
    }
    const copy = {
      until_ms: untilMs,
      pin_order: JSON.stringify(signedPinOrderToJson(order)),
      countersignature: countersignature ?? null,
    }
    await db
      .insertInto('copies')
      .values({ release: release.id, peer_id: seed.peer_id, ...copy })
      .onConflict((conflict) => conflict.columns(['release', 'peer_id']).doUpdateSet(copy))
      .execute()
    return true
  } catch (thrown) {
    if (options.signal.aborted) return false
    log.warn({ ...named, error: thrown }, 'a seed could not be asked to keep the release')
    return false
  }
}

/** Storage has a price of its own where the operator set one. */
function storagePrice({ node }: Pick<Needs, 'node'>, service: string): number {
  const own = node.networkFile.signed.prices.some((price) => price.service === service)
  return priceNow(node, own ? service : serviceId(BANDWIDTH_SERVICE))
}
