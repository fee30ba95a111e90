import type { Pin, PinOwner, PinSession, PinSet } from '@ioex/node/storage'
import type { CID } from 'multiformats/cid'

/**
 * Pin sessions of uploads, one handle for each: blocks of a release may come in many requests, and a session
 * is forgotten only when every handle to it is.
 */
export interface HeldSessions {
  hold(session: CID): Promise<PinSession>
  /** Forgets the session; its blocks become garbage. */
  drop(session: CID): Promise<void>
  commit(session: CID, owner: PinOwner, root: CID): Promise<Pin>
}

export function createHeldSessions(pins: Pick<PinSet, 'open'>): HeldSessions {
  const held = new Map<string, Promise<PinSession>>()
  const hold = (session: CID): Promise<PinSession> => {
    const name = session.toString()
    const open = held.get(name) ?? pins.open(session)
    held.set(name, open)
    // What could not be opened is tried again the next time.
    open.catch(() => held.delete(name))
    return open
  }
  return {
    hold,
    async drop(session) {
      const open = await hold(session)
      held.delete(session.toString())
      await open.drop()
    },
    async commit(session, owner, root) {
      const open = await hold(session)
      const pin = await open.commit(owner, root)
      held.delete(session.toString())
      return pin
    },
  }
}
