import type { HeldBytes } from '../base/index.ts'
import { MAX_WANTS_PER_STREAM, READ_AHEAD_BLOCKS } from './limits.ts'
import type { Key } from './protocol.ts'
import type { Spread } from './spread.ts'
import { violation } from './violation.ts'

type Read = (key: Key) => Promise<HeldBytes | undefined>

interface Chosen {
  /** Released by whoever takes it. */
  readonly reading: Promise<HeldBytes | undefined>
  readonly isAny: boolean
}

interface NextBlock extends Chosen {
  readonly key: Key
}

/**
 * What one stream is still owed: first what it wants, in the order of asking, then any of what it would take,
 * as the spread of the root says. The next few blocks are being read from disk. At most MAX_WANTS_PER_STREAM
 * of each kind are kept; more is a breach of the protocol.
 */
export interface WantQueue {
  want(keys: readonly Key[]): void
  wantAny(keys: readonly Key[]): void
  /** Those that were wanted in order, and so are owed an answer. */
  cancel(keys: readonly Key[]): Key[]
  /** The next block to send; it stays the next one until it is taken. */
  next(nowMs: number): NextBlock | undefined
  /** False when it was cancelled meanwhile. */
  take(next: NextBlock): boolean
  /** Off for a reader that is slow: what was read ahead is put back and its memory given to others. */
  readAhead(isOn: boolean): void
  /** When `next` may have something although nothing was asked since; undefined: not by itself. */
  readonly againAtMs: number | undefined
  /** Wanted in order and not answered. */
  readonly owed: number
  clear(): void
}

export function createWantQueue(needs: {
  readonly read: Read
  readonly spread: Spread
}): WantQueue {
  const { read, spread } = needs
  const wanted = new Set<Key>()
  const any = new Set<Key>()
  /** Being read, in the order in which they go out. */
  const chosen = new Map<Key, Chosen>()
  let againAtMs: number | undefined
  let aheadBlocks = READ_AHEAD_BLOCKS

  const choose = (key: Key, isAny: boolean) => {
    const reading = read(key)
    // Whoever takes it sees the error; it may be cancelled before.
    reading.catch(() => undefined)
    chosen.set(key, { reading, isAny })
  }
  const fill = (nowMs: number) => {
    againAtMs = undefined
    for (const key of wanted) {
      if (chosen.size > aheadBlocks) return
      wanted.delete(key)
      choose(key, false)
    }
    while (any.size > 0 && chosen.size <= aheadBlocks) {
      const pick = spread.pick(any, nowMs)
      if (pick.key === undefined) {
        againAtMs = pick.againAtMs
        return
      }
      any.delete(pick.key)
      choose(pick.key, true)
    }
  }
  const drop = (key: Key): boolean => {
    const old = chosen.get(key)
    chosen.delete(key)
    old?.reading.then((held) => held?.release()).catch(() => undefined)
    if (old?.isAny === true) spread.takeBack(key)
    return old?.isAny === false
  }

  return {
    get againAtMs() {
      return againAtMs
    },
    get owed() {
      return (
        wanted.size +
        chosen
          .values()
          .filter(({ isAny }) => !isAny)
          .reduce((sum) => sum + 1, 0)
      )
    },
    want(keys) {
      for (const key of keys) {
        if (wanted.has(key) || chosen.get(key)?.isAny === false) {
          throw violation('the same block wanted twice')
        }
        any.delete(key)
        if (chosen.has(key)) drop(key)
        wanted.add(key)
      }
      if (wanted.size > MAX_WANTS_PER_STREAM) throw violation('more wants than a stream may have')
    },
    wantAny(keys) {
      for (const key of keys) if (!wanted.has(key) && !chosen.has(key)) any.add(key)
      if (any.size > MAX_WANTS_PER_STREAM) throw violation('more wants than a stream may have')
    },
    cancel(keys) {
      const owed: Key[] = []
      for (const key of keys) {
        any.delete(key)
        if (wanted.delete(key) || drop(key)) owed.push(key)
      }
      return owed
    },
    next(nowMs) {
      fill(nowMs)
      for (const [key, { reading, isAny }] of chosen) return { key, reading, isAny }
      return undefined
    },
    take(next) {
      if (chosen.get(next.key)?.reading !== next.reading) return false
      chosen.delete(next.key)
      return true
    },
    readAhead(isOn) {
      aheadBlocks = isOn ? READ_AHEAD_BLOCKS : 0
      if (isOn) return
      const ahead = [...chosen.keys()]
      const again = ahead.filter(drop)
      const later = [...wanted]
      wanted.clear()
      for (const key of [...again, ...later]) wanted.add(key)
      for (const key of ahead) if (!wanted.has(key)) any.add(key)
    },
    clear() {
      wanted.clear()
      any.clear()
      for (const key of [...chosen.keys()]) drop(key)
    },
  }
}
