import type { PeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import type { PinSet, Records } from '../storage/index.ts'

/** Which friend may fetch which root. Durable. */
export interface Shares {
  /** `asked` holds only while that friend has been asked to pin the root. */
  add(root: CID, friend: PeerId, kind: ShareKind): void
  remove(root: CID, friend: PeerId, kind: ShareKind): void
  /** By a share, or since it is the friend's own root that is kept here. */
  allows(root: CID, friend: PeerId): Promise<boolean>
  /** Roots that were shared with this friend. */
  rootsOf(friend: PeerId): readonly CID[]
}

type ShareKind = 'shared' | 'asked'

const TABLES = { shared: 'exchange-shares', asked: 'exchange-asked' } as const
const EMPTY = new Uint8Array()

export function friendOwner(friend: PeerId): string {
  return `friend:${friend.toString()}`
}

export function createShares(needs: {
  readonly records: Pick<Records, 'get' | 'put' | 'delete' | 'list'>
  readonly pins: Pick<PinSet, 'get'>
}): Shares {
  const { records, pins } = needs
  const nameOf = (root: CID, friend: PeerId) => `${friend.toString()} ${root.toV1().toString()}`
  return {
    add(root, friend, kind) {
      records.put(TABLES[kind], nameOf(root, friend), EMPTY)
    },
    remove(root, friend, kind) {
      records.delete(TABLES[kind], nameOf(root, friend))
    },
    async allows(root, friend) {
      const name = nameOf(root, friend)
      if (records.get(TABLES.shared, name) !== undefined) return true
      if (records.get(TABLES.asked, name) !== undefined) return true
      const pin = await pins.get(root)
      return pin?.owners.some(({ owner }) => owner === friendOwner(friend)) ?? false
    },
    rootsOf(friend) {
      const prefix = `${friend.toString()} `
      const roots: CID[] = []
      for (const table of Object.values(TABLES)) {
        for (const { key } of records.list(table)) {
          if (key.startsWith(prefix)) roots.push(CID.parse(key.slice(prefix.length)))
        }
      }
      return roots
    },
  }
}
