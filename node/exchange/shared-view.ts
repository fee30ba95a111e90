import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { Clock } from '../base/index.ts'
import type { Storage } from '../storage/index.ts'
import { MAX_VIEWED_FRIENDS, VIEW_KEPT_MS } from './limits.ts'
import { createShares, friendOwner } from './shares.ts'

/** Which blocks a friend may see, when he does not say of which root he wants them. */
export interface SharedView {
  shows(cid: CID, friend: PeerId): Promise<boolean>
}

interface Roots {
  readonly readMs: number
  /** The one that matched last comes first: a friend walks one tree at a time. */
  readonly roots: CID[]
}

export function createSharedView(needs: {
  readonly storage: Pick<Storage, 'pins' | 'records'>
  readonly clock: Clock
}): SharedView {
  const { storage, clock } = needs
  const { pins, records } = storage
  const shares = createShares({ pins, records })
  const views = new Map<string, Roots>()

  const rootsFor = async (friend: PeerId): Promise<CID[]> => {
    const name = friend.toString()
    const known = views.get(name)
    const nowMs = clock.monotonicMs()
    if (known !== undefined && nowMs - known.readMs < VIEW_KEPT_MS) return known.roots
    const roots = [...shares.rootsOf(friend)]
    const owner = friendOwner(friend)
    for await (const pin of pins.list()) {
      if (pin.owners.some((each) => each.owner === owner)) roots.push(pin.root)
    }
    views.delete(name)
    views.set(name, { readMs: nowMs, roots })
    const [oldest] = views.keys()
    if (views.size > MAX_VIEWED_FRIENDS && oldest !== undefined) views.delete(oldest)
    return roots
  }
  return {
    async shows(cid, friend) {
      const roots = await rootsFor(friend)
      for (const [at, root] of roots.entries()) {
        if (!(await pins.contains(root, cid))) continue
        roots.splice(at, 1)
        roots.unshift(root)
        return true
      }
      return false
    },
  }
}
