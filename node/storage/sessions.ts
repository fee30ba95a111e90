import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import type { Clock, Log } from '../base/index.ts'
import type { IndexedBlocks } from './block-store.ts'
import { digestOf } from './digest.ts'
import { createDigestTable, type DigestTable } from './digest-table.ts'
import { sessionEnded, storageStopped } from './failures.ts'
import type { FileLayer } from './file-layer.ts'
import type { KeyedLock } from './keyed-lock.ts'
import { SESSION_ABANDONED_AFTER_MS } from './limits.ts'
import { checkOwner, rootOf } from './pin-names.ts'
import { type Member, openSessionList, type SessionList } from './session-list.ts'
import type { Pin, PinOwner, PinSession } from './storage.ts'

/** The blocks of one root on their way in, in memory and in its list on disk. */
export interface Session {
  readonly root: CID
  readonly key: string
  readonly path: string
  readonly list: SessionList
  /** One word: the codec. The mark tells whether the list on disk has it. */
  readonly members: DigestTable
  readonly handles: Set<Handle>
  /** Unix milliseconds; matters only while nobody has a handle. */
  readonly changedMs: number
  /** Counts openings and uses, to tell which handles were left lying. */
  uses: number
}

interface Handle {
  readonly openedAt: number
  lastUsedAt: number
  ended: boolean
}

/** Several may have a session of one root open; it ends with the last of them. */
export interface Sessions {
  load(): Promise<void>
  open(root: CID): Promise<PinSession>
  list(): readonly Session[]
  /** How many have ended without a pin so far: what they named may be garbage now. */
  readonly dropped: number
  someAbandoned(nowMs: number): boolean
  dropAbandoned(nowMs: number): Promise<void>
  close(): Promise<void>
}

interface Needs {
  readonly blocks: IndexedBlocks
  readonly files: FileLayer
  readonly clock: Clock
  readonly log: Log
  readonly locked: KeyedLock
  /** Makes the pin of a session, under the locks of both names. */
  readonly commit: (session: Session, root: CID, owner: PinOwner) => Promise<Pin>
}

const NOT_LISTED = 0
const LISTED = 1

export function remember(session: Session, digest: Uint8Array, codec: number): void {
  if (!session.members.has(digest)) session.members.set(digest, [codec], NOT_LISTED)
}

export function createSessions(needs: Needs, options: { readonly folder: string }): Sessions {
  const { blocks, files, clock, log, locked } = needs
  const { folder } = options
  const sessions = new Map<string, Session>()
  let closed = false
  let dropped = 0

  /** Locks are always taken in the same order, so that two who want the same two never wait for each other. */
  const lockedAll = <T>(names: readonly string[], run: () => Promise<T>): Promise<T> => {
    const [first, ...rest] = [...new Set(names)].sort()
    return first === undefined ? run() : locked(first, () => lockedAll(rest, run))
  }

  const openState = async (root: CID, isNew: boolean): Promise<Session> => {
    const key = root.toString()
    const path = join(folder, key)
    const members = createDigestTable(1)
    const list = await openSessionList(files, path, isNew, ({ digest, codec }) => {
      // Named, but not stored when the process died: it has to be added again.
      if (blocks.lengthOf(digest) !== undefined) members.set(digest, [codec], LISTED)
    })
    try {
      if (isNew) await files.syncFolder(folder)
      const changedMs = isNew ? clock.nowMs() : await files.changedMs(path)
      const handles = new Set<Handle>()
      const session: Session = { root, key, path, list, members, handles, changedMs, uses: 0 }
      sessions.set(key, session)
      return session
    } catch (thrown) {
      await list.close()
      throw thrown
    }
  }

  const end = async (session: Session) => {
    sessions.delete(session.key)
    await session.list.close()
    await files.remove(session.path)
    // Or a power cut could bring the session back, and with it garbage that nobody would ever drop.
    await files.syncFolder(folder)
  }

  /**
   * Ends the session unless somebody else is at it. A handle that was last used before the one that ends was
   * opened is one that a failure left lying: whoever holds it hears `session-ended` if he comes back.
   */
  const release = async (session: Session, handle: Handle) => {
    for (const other of session.handles)
      if (other === handle || other.lastUsedAt < handle.openedAt) {
        other.ended = true
        session.handles.delete(other)
      }
    if (session.handles.size === 0) await end(session)
  }

  const writeList = async (session: Session, wanted: readonly Member[]): Promise<() => void> => {
    const missing = wanted.filter(({ digest }) => session.members.markOf(digest) !== LISTED)
    await session.list.append(missing)
    return () => {
      for (const { digest } of missing) session.members.mark(digest, LISTED)
    }
  }

  const handleOf = (session: Session): PinSession => {
    const openedAt = session.uses++
    const handle: Handle = { openedAt, lastUsedAt: openedAt, ended: false }
    session.handles.add(handle)
    const use = () => {
      if (closed) throw storageStopped()
      if (handle.ended) throw sessionEnded(session.key)
      handle.lastUsedAt = session.uses++
    }
    return {
      root: session.root,
      async add(added) {
        use()
        const wanted: Member[] = []
        for (const { cid } of added) {
          const digest = digestOf(cid)
          if (digest !== undefined) wanted.push({ digest, codec: cid.code })
        }
        const stored = blocks.store(added, (digest, codec) => remember(session, digest, codec))
        const listed = writeList(session, wanted)
        // Both end before either's failure is told, so that nothing goes on behind the caller's back.
        await Promise.allSettled([stored, listed])
        await stored
        ;(await listed)()
      },
      async adopt(cid) {
        use()
        const digest = digestOf(cid)
        if (digest === undefined) return false
        if (!(await blocks.hold(digest, () => remember(session, digest, cid.code)))) return false
        const listed = await writeList(session, [{ digest, codec: cid.code }])
        listed()
        return true
      },
      async commit(owner, namedRoot = session.root) {
        checkOwner(owner)
        const root = rootOf(namedRoot)
        use()
        handle.ended = true
        let pin: Pin | undefined
        try {
          // Under both names when they differ, since others may be changing the pin of that root.
          return await lockedAll([session.key, root.toString()], async () => {
            pin = await needs.commit(session, root, owner)
            await release(session, handle)
            return pin
          })
        } catch (thrown) {
          // Without a pin the session goes on: the caller mends what was wrong and commits again.
          if (pin === undefined) handle.ended = false
          throw thrown
        }
      },
      async drop() {
        if (handle.ended) return
        use()
        handle.ended = true
        await locked(session.key, () => release(session, handle))
        dropped++
      },
    }
  }

  const isAbandoned = ({ handles, changedMs }: Session, nowMs: number) =>
    handles.size === 0 && nowMs - changedMs >= SESSION_ABANDONED_AFTER_MS

  return {
    async load() {
      await files.makeFolder(folder)
      for (const name of await files.names(folder)) await openState(CID.parse(name), false)
    },
    open(root) {
      const key = root.toString()
      return locked(key, async () => handleOf(sessions.get(key) ?? (await openState(root, true))))
    },
    list: () => [...sessions.values()],
    get dropped() {
      return dropped
    },
    someAbandoned: (nowMs) => sessions.values().some((session) => isAbandoned(session, nowMs)),
    async dropAbandoned(nowMs) {
      for (const session of [...sessions.values()])
        await locked(session.key, async () => {
          if (sessions.get(session.key) !== session || !isAbandoned(session, nowMs)) return
          const idleMs = nowMs - session.changedMs
          log.info({ root: session.key, idleMs }, 'an abandoned session is dropped')
          await end(session)
        })
    },
    async close() {
      closed = true
      for (const session of sessions.values()) await session.list.close()
      sessions.clear()
    },
  }
}
