import type { CID } from 'multiformats/cid'
import type { HeldBytes } from '../base/index.ts'
import { orAborted } from './bell.ts'
import type { Key } from './protocol.ts'
import { sessionClosed } from './session-errors.ts'

/** A block that a session waits for; `D` is what is remembered of each delivery until the block is durable. */
interface Wanted<D> {
  readonly cid: CID
  /** Undefined until it came the first time. Each who delivered it before it was durable is paid when it is. */
  deliveries: D[] | undefined
}

interface Entry<D> extends Wanted<D> {
  readonly done: PromiseWithResolvers<void>
  /** Once it is durable; each waiter takes a part, and the last one to go releases this. */
  held: HeldBytes | undefined
  waiters: number
}

/** Who waits for which block. */
export interface WantTable<D> {
  has(key: Key): boolean
  get(key: Key): Wanted<D> | undefined
  /** Waits until it is durable, beside others who wait for it; the bytes are for the caller to release. */
  wait(cid: CID, key: Key, isAny: boolean, signal: AbortSignal | undefined): Promise<HeldBytes>
  /** It is durable. The table keeps its part of the bytes only for those who wait. */
  durable(key: Key, held: HeldBytes): void
  /** Ends what has not come yet. */
  failUndelivered(error: Error): void
  failAll(error: Error): void
}

export function createWantTable<D>(needs: {
  /** Nobody waited for it before. */
  readonly wanted: (key: Key, isAny: boolean) => void
  /** Nobody waits for it any more, and it has not come. */
  readonly unwanted: (key: Key) => void
}): WantTable<D> {
  const entries = new Map<Key, Entry<D>>()

  const add = (cid: CID, key: Key, isAny: boolean): Entry<D> => {
    const entry: Entry<D> = {
      cid,
      done: Promise.withResolvers<void>(),
      held: undefined,
      waiters: 0,
      deliveries: undefined,
    }
    // Whoever waits hears of it by his own promise.
    entry.done.promise.catch(() => undefined)
    entries.set(key, entry)
    needs.wanted(key, isAny)
    return entry
  }
  const drop = (key: Key) => {
    entries.delete(key)
    needs.unwanted(key)
  }
  const failWhere = (error: Error, isMeant: (entry: Entry<D>) => boolean) => {
    for (const [key, entry] of entries) {
      if (!isMeant(entry)) continue
      drop(key)
      entry.done.reject(error)
    }
  }
  return {
    has: (key) => entries.has(key),
    get: (key) => entries.get(key),
    async wait(cid, key, isAny, signal) {
      const entry = entries.get(key) ?? add(cid, key, isAny)
      entry.waiters++
      try {
        await orAborted(entry.done.promise, signal)
        if (entry.held === undefined) throw sessionClosed()
        return entry.held.share()
      } finally {
        entry.waiters--
        if (entry.waiters === 0) {
          entry.held?.release()
          if (entry.deliveries === undefined && entries.get(key) === entry) drop(key)
        }
      }
    },
    durable(key, held) {
      const entry = entries.get(key)
      entries.delete(key)
      if (entry === undefined || entry.waiters === 0) {
        held.release()
        return
      }
      entry.held = held
      entry.done.resolve()
    },
    failUndelivered: (error) => failWhere(error, ({ deliveries }) => deliveries === undefined),
    failAll: (error) => failWhere(error, () => true),
  }
}
