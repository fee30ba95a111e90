import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../base/index.ts'
import type { Exchange } from '../exchange/index.ts'
import type { Friends } from '../friends/index.ts'
import { type Catalog, type CatalogNeeds, saveCatalog, type Spread, spreadHead } from './catalog.ts'
import { getHead } from './keeping.ts'
import { FIND_AGAIN_MS, HEAD_MAX_PEERS } from './limits.ts'
import type { CatalogEntry } from './snapshot.ts'
import type { PeerOutcome, PushOptions } from './types.ts'
import { noteUnpins, settleUnpins } from './unpins.ts'

export interface StoringNeeds extends CatalogNeeds {
  readonly exchange: CatalogNeeds['exchange'] & Pick<Exchange, 'askToPin' | 'askToUnpin'>
  readonly friends: CatalogNeeds['friends'] & Pick<Friends, 'list'>
}

/** Friends in the order in which they are asked: first those that keep this drive already. */
export function candidates(needs: StoringNeeds, before: Catalog | undefined): PeerId[] {
  const kept = new Set(before?.peers.map((peer) => peer.toString()))
  const friends = needs.friends.list().map((friend) => friend.peerId)
  const isKeeper = (peer: PeerId) => kept.has(peer.toString())
  return [...friends.filter(isKeeper), ...friends.filter((peer) => !isKeeper(peer))].slice(
    0,
    HEAD_MAX_PEERS,
  )
}

/** Those of them that answer now. Whoever is away is not waited for: he gets the next snapshot. */
export async function present(
  peers: readonly PeerId[],
  needs: StoringNeeds,
  options: AbortOptions,
): Promise<PeerId[]> {
  const asked = await Promise.all(
    peers.map(async (peer) => {
      if ((await getHead(needs, peer, options)) !== undefined) return [peer]
      // A connection that is just being made, over a relay for instance, gets a second chance.
      await needs.clock.sleep(FIND_AGAIN_MS, options)
      return (await getHead(needs, peer, options)) === undefined ? [] : [peer]
    }),
  )
  return asked.flat()
}

/** Each peer pulls the blocks that it lacks by itself, all at the same time. */
export async function storeAt(
  peers: readonly PeerId[],
  entry: CatalogEntry,
  options: PushOptions,
  needs: StoringNeeds,
): Promise<{ peer: PeerId; outcome: PeerOutcome }[]> {
  const here = new Set((await present(peers, needs, options)).map((peer) => peer.toString()))
  const has = new Map<PeerId, number>(
    peers.filter((peer) => here.has(peer.toString())).map((peer) => [peer, 0]),
  )
  const report = () => {
    const sum = [...has.values()].reduce((total, bytes) => total + bytes, 0)
    options.onProgress?.({
      phase: 'storing',
      files: entry.files,
      bytes: entry.bytes,
      storedBytes: Math.floor(sum / Math.max(1, has.size)),
      sealedBytes: entry.sealedBytes,
    })
  }
  return Promise.all(
    peers.map(async (peer) => {
      const peerId = peer.toString()
      if (!here.has(peerId))
        return { peer, outcome: { peerId, stored: false, reason: 'unreachable' } }
      const asked = await needs.exchange.askToPin(
        peer,
        { root: entry.root, bytes: entry.sealedBytes },
        {
          signal: options.signal,
          multiaddrs: addressesOf(peer, needs),
          onProgress: ({ bytes }) => {
            has.set(peer, bytes)
            report()
          },
        },
      )
      if (asked.ok) has.set(peer, entry.sealedBytes)
      else has.delete(peer)
      report()
      const outcome = asked.ok
        ? { peerId, stored: true }
        : { peerId, stored: false, reason: asked.reason }
      return { peer, outcome }
    }),
  )
}

function addressesOf(peer: PeerId, needs: StoringNeeds): readonly Multiaddr[] {
  return needs.friends.list().find((friend) => friend.peerId.equals(peer))?.multiaddrs ?? []
}

/**
 * New catalog first, what it no longer names away last: whoever reads meanwhile finds one of the two. `keepers`
 * have the newest snapshot; peers that keep older ones and could not be reached stay in the head.
 */
export async function publish(
  snapshots: readonly CatalogEntry[],
  keepers: readonly PeerId[],
  before: Catalog | undefined,
  options: AbortOptions,
  needs: StoringNeeds,
): Promise<Spread> {
  const earlier = (before?.peers ?? []).filter(
    (peer) =>
      !keepers.some((keeper) => keeper.equals(peer)) &&
      needs.friends.list().some((friend) => friend.peerId.equals(peer)),
  )
  const peers = [...keepers, ...earlier].slice(0, HEAD_MAX_PEERS)
  const kept = new Set(snapshots.map((one) => one.id))
  const gone = (before?.snapshots ?? []).filter((one) => !kept.has(one.id)).map((one) => one.root)
  const saved = await saveCatalog(snapshots, peers, before, needs, ({ cid }) => {
    if (before === undefined) return
    if (!before.ref.cid.equals(cid)) gone.push(before.ref.cid)
    noteUnpins(gone, before.peers, needs)
  })
  const pinned = await Promise.all(
    keepers.map(async (peer) => {
      const asked = await needs.exchange.askToPin(
        peer,
        { root: saved.ref.cid, bytes: saved.bytes },
        { signal: options.signal, multiaddrs: addressesOf(peer, needs) },
      )
      return asked.ok ? [peer] : []
    }),
  )
  const spread = await spreadHead(saved.record, pinned.flat(), needs, options)
  for (const root of gone) await needs.storage.pins.remove(root, 'drive')
  await settleUnpins(spread.takers, needs, options)
  return spread
}
