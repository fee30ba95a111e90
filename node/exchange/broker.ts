import type { BlockBroker, SessionBlockBroker } from '@helia/interface'
import type { CID } from 'multiformats/cid'
import { type AbortOptions, asError, type Clock } from '../base/index.ts'
import { BROKER_SESSION_IDLE_MS, MAX_BROKER_SESSIONS } from './limits.ts'
import type { FetchSession } from './types.ts'

export interface BrokerNeeds {
  readonly clock: Clock
  /** Sessions of others that are going on. */
  readonly inProgress: () => readonly Pick<FetchSession, 'get'>[]
  /** A session with every friend as a source. */
  readonly open: (root: CID) => Promise<{
    readonly session: Pick<FetchSession, 'get'>
    readonly close: () => Promise<void>
  }>
}

/** For Helia; sessions that it opened by itself end when they are idle, or with `close`. */
export interface Broker {
  readonly broker: BlockBroker
  close(): Promise<void>
}

interface Kept {
  readonly get: FetchSession['get']
  readonly close: () => Promise<void>
  usedMs: number
  users: number
}

/**
 * Helia asks for one block after another and does not say of which root. A block is looked for in the
 * sessions that are going on and in those opened here for the roots asked lately; when no friend serves it
 * under one of these, it is taken for a root itself.
 */
export function createBroker(needs: BrokerNeeds): Broker {
  const { clock } = needs
  const kept = new Map<string, Promise<Kept>>()

  const keptFor = (root: CID): Promise<Kept> => {
    const name = root.toString()
    const known = kept.get(name)
    if (known !== undefined) return known
    const opening = needs.open(root).then(({ session, close }) => ({
      get: session.get,
      close,
      usedMs: clock.monotonicMs(),
      users: 0,
    }))
    kept.set(name, opening)
    opening.catch(() => kept.delete(name))
    return opening
  }
  const sweep = async () => {
    const nowMs = clock.monotonicMs()
    for (const [name, opening] of kept) {
      const each = await opening
      const isOld = nowMs - each.usedMs > BROKER_SESSION_IDLE_MS
      if (each.users > 0 || !(isOld || kept.size > MAX_BROKER_SESSIONS)) continue
      kept.delete(name)
      await each.close()
    }
  }
  const use = async (each: Kept, cid: CID, signal: AbortSignal) => {
    each.users++
    try {
      return await each.get(cid, { signal })
    } finally {
      each.users--
      each.usedMs = clock.monotonicMs()
    }
  }

  const retrieve = async (cid: CID, options?: AbortOptions): Promise<Uint8Array> => {
    await sweep()
    const enough = new AbortController()
    const signal =
      options?.signal === undefined
        ? enough.signal
        : AbortSignal.any([options.signal, enough.signal])
    const roots = await Promise.all([...kept.values(), keptFor(cid)])
    try {
      return await Promise.any([
        ...needs.inProgress().map((session) => session.get(cid, { signal })),
        ...[...new Set(roots)].map((each) => use(each, cid, signal)),
      ])
    } catch (thrown) {
      options?.signal?.throwIfAborted()
      const [first] = thrown instanceof AggregateError ? (thrown.errors as unknown[]) : [thrown]
      throw asError(first)
    } finally {
      enough.abort(new Error('another session had the block'))
    }
  }
  const broker = {
    name: 'ioex-exchange',
    retrieve,
    // A session of Helia's would add nothing: peers are chosen and changed by ours.
    createSession: (): SessionBlockBroker => ({
      name: 'ioex-exchange',
      retrieve,
      addPeer: async () => undefined,
    }),
  }
  return {
    broker,
    async close() {
      const all = [...kept.values()]
      kept.clear()
      for (const opening of all) await opening.then((each) => each.close())
    },
  }
}
