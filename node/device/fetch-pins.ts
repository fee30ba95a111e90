import { CID } from 'multiformats/cid'
import type { PinOwner, PinSession, Storage } from '../storage/index.ts'

/**
 * The pin sessions of fetches, one handle per root: storage counts handles, and blocks stay until the last one
 * has been dropped.
 */
export interface FetchPins {
  open(root: string): Promise<PinSession>
  /** Makes the blocks of a root garbage, those of a session that an earlier process left included. */
  drop(root: string): Promise<void>
  commit(root: string, owner: PinOwner): Promise<void>
}

export function createFetchPins(storage: Pick<Storage, 'pins'>): FetchPins {
  const sessions = new Map<string, PinSession>()
  const open = async (root: string): Promise<PinSession> => {
    const session = sessions.get(root) ?? (await storage.pins.open(CID.parse(root)))
    sessions.set(root, session)
    return session
  }
  return {
    open,
    async drop(root) {
      const session = await open(root)
      sessions.delete(root)
      await session.drop()
    },
    async commit(root, owner) {
      const session = await open(root)
      await session.commit(owner)
      sessions.delete(root)
    },
  }
}
