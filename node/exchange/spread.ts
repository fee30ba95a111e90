import { SPREAD_AGAIN_MS } from './limits.ts'
import type { Key } from './protocol.ts'

/**
 * How the blocks of one root are spread over the fellows that fetch it at the same time: of what a stream would
 * take it gets what has been sent least often, so that a server with a thin line sends each block once before it
 * sends any twice, and the fellows pass them on to one another.
 */
export interface Spread {
  /** Chooses, and counts it as sent. Without a key: when to ask again. */
  pick(any: ReadonlySet<Key>, nowMs: number): { readonly key?: Key; readonly againAtMs?: number }
  /** It did not go out after all, or is not here. */
  takeBack(key: Key): void
}

interface Sent {
  count: number
  atMs: number
}

/** Entries that are compared for one choice; the first that was never sent ends the search. */
const MAX_COMPARED = 1_024

function createSpread(): Spread {
  const sent = new Map<Key, Sent>()
  return {
    pick(any, nowMs) {
      let best: Key | undefined
      let bestCount = Number.POSITIVE_INFINITY
      let againAtMs = Number.POSITIVE_INFINITY
      let compared = 0
      for (const key of any) {
        if (compared++ >= MAX_COMPARED) break
        const before = sent.get(key)
        const count = before?.count ?? 0
        if (before !== undefined && count > 0 && before.atMs + SPREAD_AGAIN_MS > nowMs) {
          againAtMs = Math.min(againAtMs, before.atMs + SPREAD_AGAIN_MS)
          continue
        }
        if (count >= bestCount) continue
        best = key
        bestCount = count
        if (count === 0) break
      }
      if (best === undefined) return { againAtMs }
      sent.set(best, { count: bestCount + 1, atMs: nowMs })
      return { key: best }
    },
    takeBack(key) {
      const before = sent.get(key)
      if (before === undefined) return
      before.count--
      // Keys that are not of the root, which anybody can think up, leave nothing behind.
      if (before.count <= 0) sent.delete(key)
    },
  }
}

/** One spread per root, kept while a stream of the root is served. */
export function createSpreads(): { join(root: Key): { readonly spread: Spread; leave(): void } } {
  const spreads = new Map<Key, { readonly spread: Spread; streams: number }>()
  return {
    join(root) {
      const entry = spreads.get(root) ?? { spread: createSpread(), streams: 0 }
      spreads.set(root, entry)
      entry.streams++
      let left = false
      return {
        spread: entry.spread,
        leave() {
          if (left) return
          left = true
          if (--entry.streams === 0) spreads.delete(root)
        },
      }
    },
  }
}
