import type { Random } from '../base/index.ts'
import { shuffled } from '../base/index.ts'
import type { Reach, ToldPeer } from './fellow-frames.ts'
import { MAX_PEERS_TOLD } from './limits.ts'
import type { Key } from './protocol.ts'
import type { PeerId } from '@libp2p/interface'

/**
 * Who serves which root besides us: those who showed us a grant for it on a stream that is open now, and said
 * HERE. Whoever comes is told of some of them, and they of him. What is told is a hint: each lets the other in
 * by the grant that it shows, as if we had said nothing.
 */
export interface Fellows {
  /** `tell` is called with others, now and when others come. Returns the function that ends it. */
  join(
    root: Key,
    peerId: PeerId,
    reach: Reach,
    tell: (peers: readonly ToldPeer[]) => void,
  ): () => void
}

interface Member {
  readonly peer: ToldPeer
  readonly tell: (peers: readonly ToldPeer[]) => void
}

export function createFellows(random: Random): Fellows {
  const roots = new Map<Key, Map<string, Member>>()
  return {
    join(root, peerId, reach, tell) {
      const id = peerId.toString()
      const members = roots.get(root) ?? new Map<string, Member>()
      roots.set(root, members)
      const member: Member = { peer: { ...reach, peerId }, tell }
      members.delete(id)
      const chosen = shuffled([...members.values()], random).slice(0, MAX_PEERS_TOLD)
      members.set(id, member)
      if (chosen.length > 0) tell(chosen.map(({ peer }) => peer))
      for (const other of chosen) other.tell([member.peer])
      return () => {
        if (members.get(id) !== member) return
        members.delete(id)
        if (members.size === 0) roots.delete(root)
      }
    },
  }
}
