import type { PeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import type { AbortOptions } from '../base/index.ts'
import type { Exchange } from '../exchange/index.ts'
import type { Records } from '../storage/index.ts'
import { UNPIN_ATTEMPTS } from './limits.ts'

/** Roots that peers shall let go of, written down with the catalog that no longer names them. */
const TABLE = 'drive-unpins'

interface UnpinNeeds {
  readonly storage: { readonly records: Records }
  readonly exchange: Pick<Exchange, 'askToUnpin'>
}

export function noteUnpins(
  roots: readonly CID[],
  peers: readonly PeerId[],
  { storage }: UnpinNeeds,
): void {
  for (const peer of peers) {
    for (const root of roots) {
      storage.records.put(TABLE, `${peer.toString()} ${root.toString()}`, new Uint8Array([0]))
    }
  }
}

/**
 * Asks those peers to let go. Only those that took the newest head: whoever keeps an older one may be the
 * only place from which its snapshots can still be read.
 */
export async function settleUnpins(
  peers: readonly PeerId[],
  needs: UnpinNeeds,
  options: AbortOptions,
): Promise<void> {
  const { records } = needs.storage
  await Promise.all(
    peers.map(async (peer) => {
      for (const { key, value } of [...records.list(TABLE)]) {
        const [name, root] = key.split(' ')
        if (name !== peer.toString() || root === undefined) continue
        const gone = await needs.exchange.askToUnpin(peer, CID.parse(root), options)
        const attempts = (value[0] ?? 0) + 1
        // It answered a moment ago, so "no" means that it has none, unless it went away in between.
        if (gone || attempts >= UNPIN_ATTEMPTS) records.delete(TABLE, key)
        else records.put(TABLE, key, new Uint8Array([attempts]))
      }
    }),
  )
}

/** How many roots wait at how many peers. Those of peers that are no friends any more are dropped. */
export function pendingUnpins(friends: readonly PeerId[], { storage }: UnpinNeeds): number {
  const names = new Set(friends.map((peer) => peer.toString()))
  let pending = 0
  for (const { key } of [...storage.records.list(TABLE)]) {
    if (names.has(key.split(' ')[0] ?? '')) pending++
    else storage.records.delete(TABLE, key)
  }
  return pending
}
