import type { CID } from 'multiformats/cid'
import { type HeldBytes, MIB } from '../base/index.ts'
import { type Key, keyOf, type Prefix, prefixOf } from './protocol.ts'

/**
 * What this node has of a root that it is fetching: told to its fellows, and served to them, while the rest is
 * still on its way. Only blocks that are durable are in it.
 */
export interface Holdings {
  readonly root: CID
  has(key: Key): boolean
  /** With the bytes, a part of its own, others are served the newest from memory: just then they ask for them. */
  add(key: Key, bytes?: HeldBytes): void
  /** If they came lately; for the caller to release. */
  bytesOf(key: Key): HeldBytes | undefined
  prefixes(): Prefix[]
  /** Called with each block that is added. Returns the function that ends it. */
  watch(added: (prefix: Prefix) => void): () => void
}

function createHoldings(root: CID): Holdings {
  const keys = new Set<Key>()
  /** The oldest first. */
  const recent = new Map<Key, HeldBytes>()
  let recentBytes = 0
  const keep = (key: Key, held: HeldBytes) => {
    if (recent.has(key)) {
      held.release()
      return
    }
    recent.set(key, held)
    recentBytes += held.bytes.byteLength
    for (const [oldest, old] of recent) {
      if (recentBytes <= MAX_RECENT_BYTES) return
      recent.delete(oldest)
      recentBytes -= old.bytes.byteLength
      old.release()
    }
  }
  const watchers = new Set<(prefix: Prefix) => void>()
  return {
    root,
    has: (key) => keys.has(key),
    bytesOf: (key) => recent.get(key)?.share(),
    add(key, bytes) {
      if (bytes !== undefined) keep(key, bytes)
      if (keys.has(key)) return
      keys.add(key)
      for (const tell of watchers) tell(prefixOf(key))
    },
    prefixes: () => [...keys].map(prefixOf),
    watch(added) {
      watchers.add(added)
      return () => watchers.delete(added)
    },
  }
}

/** What fellows ask for within a second of a line of 20 Mbit/s. */
const MAX_RECENT_BYTES = 2 * MIB

/** Roots whose fetch has ended and that are still served from what came: the present release and one before. */
const MAX_ENDED_ROOTS = 4

/**
 * The roots that are being fetched now, and those that were lately: a fellow goes on serving what it has when it
 * is done. A block that is gone by then is one that is not here.
 */
export interface HoldingsByRoot {
  get(root: Key): Holdings | undefined
  open(root: CID): { readonly holdings: Holdings; close(): void }
}

export function createHoldingsByRoot(): HoldingsByRoot {
  const open = new Map<Key, { readonly holdings: Holdings; users: number }>()
  const forgetEnded = () => {
    const ended = [...open].filter(([, { users }]) => users === 0)
    for (const [key] of ended.slice(0, Math.max(0, ended.length - MAX_ENDED_ROOTS))) {
      open.delete(key)
    }
  }
  return {
    get: (root) => open.get(root)?.holdings,
    open(root) {
      const key = keyOf(root) ?? ''
      const entry = open.get(key) ?? { holdings: createHoldings(root), users: 0 }
      open.delete(key)
      open.set(key, entry)
      entry.users++
      let closed = false
      return {
        holdings: entry.holdings,
        close() {
          if (closed) return
          closed = true
          entry.users--
          forgetEnded()
        },
      }
    },
  }
}
