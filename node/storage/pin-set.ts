import type { CID } from 'multiformats/cid'
import { type Clock, type Log, systemRandom } from '../base/index.ts'
import type { IndexedBlocks } from './block-store.ts'
import { type Closures, encodeMembers } from './closures.ts'
import { cidOf, digestOf } from './digest.ts'
import { TABLE_SHARDS } from './digest-table.ts'
import { blockMismatch, storageDamaged } from './failures.ts'
import type { FileLayer } from './file-layer.ts'
import { createKeyedLock } from './keyed-lock.ts'
import { MARK_TURN_ENTRIES } from './limits.ts'
import { checkOwner, rootOf } from './pin-names.ts'
import type { PinRow, PinTable } from './pin-table.ts'
import type { Member } from './session-list.ts'
import { createSessions, remember, type Session } from './sessions.ts'
import type { Pin, PinOwner, PinSet } from './storage.ts'

/** What garbage collection asks beyond the door's `PinSet`. */
export interface LivePins extends PinSet {
  load(): Promise<void>
  dropExpired(): Promise<void>
  /** Is there an owner, or a session, whose time is up? */
  someExpired(): boolean
  /** Rises whenever something is named by one pin or session fewer. */
  readonly letGo: number
  /** Every block of every open session and then of every pin. Throws `storage-damaged` rather than leave one out. */
  eachLive(live: (digest: Uint8Array) => void, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Shards of a session that are sorted between two turns of the event loop. */
const SHARDS_PER_TURN = 16

interface PinNeeds {
  readonly blocks: IndexedBlocks
  readonly closures: Closures
  readonly table: PinTable
  readonly files: FileLayer
  readonly clock: Clock
  readonly log: Log
}

export function createPinSet(needs: PinNeeds, options: { readonly folder: string }): LivePins {
  const { blocks, closures, table, files, clock, log } = needs
  const locked = createKeyedLock()
  let pinsGone = 0

  /** What no pin names any more goes at the next start at the latest, so failing here is no failure. */
  const forget = async ({ root, closure }: PinRow) => {
    try {
      await closures.remove(closure)
    } catch (thrown) {
      log.warn(
        { root, error: thrown },
        'a closure that is not needed any more could not be deleted',
      )
    }
  }

  const checkPresent = (session: Session, root: CID) => {
    if (!session.members.has(digestOf(root) as Uint8Array))
      throw blockMismatch(`the root ${root.toString()} is not among the blocks of its session`)
    for (let shard = 0; shard < TABLE_SHARDS; shard++)
      session.members.visit(shard, (digest, [codec = 0]) => {
        if (blocks.lengthOf(digest) === undefined)
          throw storageDamaged(
            `block ${cidOf(digest, codec).toString()} of ${root.toString()} was damaged on disk`,
            'Fetch and add that block again, then commit again.',
          )
      })
  }

  /** What the root's pin had before stays in it, even a block that has rotted: it may be fetched again. */
  const joinOld = async (session: Session, old: PinRow) => {
    const outcome = await closures.read(old.closure, () => undefined)
    if (outcome !== 'complete')
      log.error(
        { root: old.root, outcome },
        'the closure of a pin is damaged and is made anew from the session and what is still readable',
      )
    await closures.read(old.closure, ({ digest, codec }) => {
      const present = blocks.mark(digest)
      if (present || outcome === 'complete') remember(session, digest.slice(), codec)
    })
  }

  const commit = async (session: Session, root: CID, owner: PinOwner): Promise<Pin> => {
    checkPresent(session, root)
    const name = root.toString()
    const old = table.get(name)
    if (old !== undefined) await joinOld(session, old)
    const parts: Uint8Array[] = []
    let count = 0
    let bytes = 0
    for (let shard = 0; shard < TABLE_SHARDS; shard++) {
      const members: Member[] = []
      session.members.visit(shard, (digest, [codec = 0]) => {
        members.push({ digest: digest.slice(), codec })
        bytes += blocks.lengthOf(digest) ?? 0
      })
      count += members.length
      parts.push(encodeMembers(members))
      if (shard % SHARDS_PER_TURN === 0) await new Promise<void>((resume) => setImmediate(resume))
    }
    const closure = systemRandom.bytes(16).toHex()
    await closures.write(closure, parts)
    const row = { root: name, closure, blocks: count, bytes }
    table.put(row, owner)
    if (old !== undefined) await forget(old)
    return table.pinOf(row)
  }

  const sessions = createSessions({ blocks, files, clock, log, locked, commit }, options)

  return {
    async load() {
      await sessions.load()
      await closures.keepOnly(new Set([...table.rows()].map(({ closure }) => closure)))
    },
    open: async (root) => sessions.open(rootOf(root)),
    async share(root, owner) {
      checkOwner(owner)
      const key = rootOf(root).toString()
      return locked(key, async () => table.addOwner(key, owner))
    },
    async remove(root, owner) {
      const key = rootOf(root).toString()
      return locked(key, async () => {
        const { removed, last } = table.removeOwner(key, owner)
        if (last !== undefined) {
          pinsGone++
          await forget(last)
        }
        return removed
      })
    },
    async get(root) {
      const row = table.get(rootOf(root).toString())
      return row && table.pinOf(row)
    },
    async *list() {
      for (const row of table.rows()) yield table.pinOf(row)
    },
    async contains(root, cid) {
      const digest = digestOf(cid)
      const row = table.get(rootOf(root).toString())
      if (row === undefined || digest === undefined) return false
      return closures.contains(row.closure, row.blocks, digest)
    },
    async *blocks(root) {
      const row = table.get(rootOf(root).toString())
      if (row === undefined) return
      for await (const { digest, codec } of closures.members(row.closure))
        yield cidOf(digest, codec)
    },
    someExpired() {
      const nowMs = clock.nowMs()
      return table.expired(nowMs).length > 0 || sessions.someAbandoned(nowMs)
    },
    get letGo() {
      return sessions.dropped + pinsGone
    },
    async dropExpired() {
      const nowMs = clock.nowMs()
      for (const root of table.expired(nowMs))
        await locked(root, async () => {
          const last = table.expire(root, nowMs)
          if (last !== undefined) await forget(last)
        })
      await sessions.dropAbandoned(nowMs)
    },
    async eachLive(live, signal) {
      // Sessions first: one that is committed meanwhile was told of before its pin could be missed.
      let told = 0
      for (const session of sessions.list())
        for (let shard = 0; shard < TABLE_SHARDS; shard++) {
          session.members.visit(shard, (digest) => {
            live(digest)
            told++
          })
          if (told < MARK_TURN_ENTRIES) continue
          told = 0
          signal.throwIfAborted()
          await new Promise<void>((resume) => setImmediate(resume))
        }
      for (const { root } of [...table.rows()]) await eachOfPin(root, live, signal)
    },
    async close() {
      await sessions.close()
      await closures.close()
    },
  }

  async function eachOfPin(
    root: string,
    live: (digest: Uint8Array) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let before: string | undefined
    for (;;) {
      const row = table.get(root)
      if (row === undefined) return
      const outcome = await closures.read(row.closure, ({ digest }) => live(digest), signal)
      if (outcome === 'complete') return
      // A commit has replaced the file since the row was read: the new one names the old blocks too.
      if (outcome === 'missing' && row.closure !== before) before = row.closure
      else
        throw storageDamaged(
          `the list of the blocks of ${root} is ${outcome}; nothing can be deleted safely`,
          'Fetch that root again (open, add, commit), or remove its pin.',
        )
    }
  }
}
