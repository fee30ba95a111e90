import type { Random } from '../base/index.ts'
import {
  ACTIVE_SOURCES,
  FELLOW_ATTEMPTS,
  MAX_ALL_FELLOWS,
  MAX_ACTIVE_SOURCES,
  MAX_FELLOWS,
  MAX_KNOWN_FELLOWS,
  RETRY_MAX_MS,
  RETRY_MIN_MS,
  SLOW_DIAL_MS,
} from './limits.ts'
import type { Source, SourceReport } from './types.ts'

/** What is known of one source in a session. */
export interface PooledSource {
  readonly id: string
  /** Fetches the root as we do. */
  isFellow: boolean
  /** A fellow that fetches from us. */
  isMutual: boolean
  /** A fellow on the local network. */
  isLan: boolean
  source: Source
  state: 'idle' | 'opening' | 'open' | 'out'
  outcome: SourceReport['outcome']
  bytes: number
  blocks: number
  attempts: number
  sinceMs: number
  retryAtMs: number
}

/** Told of, one that fetches from us, or found on the local network. */
export type FellowKind = 'fellow' | 'mutual' | 'lan'

/**
 * Which source is dialled next. The order is random, so that a list that many devices share loads its
 * servers evenly; sources are dialled when they are needed and no earlier, a few at a time.
 */
export interface SourcePool {
  /** One more fellow than there may be is left out. */
  add(source: Source, kind: 'keeper' | FellowKind): void
  list(): readonly PooledSource[]
  /** The source to dial now, if another one is wanted. */
  due(
    nowMs: number,
    need: { readonly wants: number; readonly stalled: number; readonly isSlow: boolean },
  ): PooledSource | undefined
  opening(source: PooledSource, nowMs: number): void
  opened(source: PooledSource, isFellow: boolean): void
  /** It may be tried again later, or, with `final`, not in this session. */
  ended(source: PooledSource, outcome: SourceReport['outcome'], nowMs: number, final: boolean): void
}

export function createSourcePool(random: Random): SourcePool {
  const sources: PooledSource[] = []
  const keepers = () => sources.filter(({ isFellow }) => !isFellow)

  /**
   * All of them, up to a bound: each has little to give, and only those that are connected swap blocks. Those on
   * the local network come first, and even when others have taken the places.
   */
  const fellowDue = (nowMs: number): PooledSource | undefined => {
    const fellows = sources.filter(({ isFellow }) => isFellow)
    const busy = fellows.filter(({ state }) => state === 'open' || state === 'opening')
    if (busy.length >= MAX_ALL_FELLOWS) return undefined
    const hasChosen = busy.filter(({ isMutual }) => !isMutual).length >= MAX_FELLOWS
    const hasLan = busy.filter(({ isLan }) => isLan).length >= MAX_FELLOWS
    const due = fellows.filter(({ state, retryAtMs }) => state === 'idle' && retryAtMs <= nowMs)
    return (
      due.find(({ isLan }) => isLan && !hasLan) ??
      due.find(({ isMutual }) => isMutual || !hasChosen)
    )
  }

  /** Makes room for another one: fellows come and go, and whoever tells of them may tell of many. */
  const hasRoomForFellow = (): boolean => {
    const fellows = sources.filter(({ isFellow }) => isFellow)
    if (fellows.length < MAX_KNOWN_FELLOWS) return true
    const old = fellows.find(({ state, bytes }) => state === 'out' && bytes === 0)
    const gone =
      old ?? fellows.find(({ state, bytes, isLan }) => state === 'idle' && bytes === 0 && !isLan)
    if (gone === undefined) return false
    sources.splice(sources.indexOf(gone), 1)
    return true
  }

  return {
    add(source, kind) {
      const isFellow = kind !== 'keeper'
      const id = source.peerId.toString()
      const known = sources.find((each) => each.id === id)
      if (known !== undefined) {
        // What a fellow is told of a server that the address list names is worth less than the list.
        // What others say of one that is here leads around.
        const isWorse = isFellow ? !known.isFellow || (known.isLan && kind !== 'lan') : false
        if (!isWorse) known.source = source
        if (isFellow && known.state === 'idle') known.retryAtMs = 0
        if (kind === 'mutual') known.isMutual = true
        if (kind === 'lan') known.isLan = known.isFellow
        return
      }
      const added: PooledSource = {
        id,
        isFellow,
        isMutual: kind === 'mutual',
        isLan: kind === 'lan',
        source,
        state: 'idle',
        outcome: 'unused',
        bytes: 0,
        blocks: 0,
        attempts: 0,
        sinceMs: 0,
        retryAtMs: 0,
      }
      if (isFellow && !hasRoomForFellow()) return
      sources.splice(random.int(sources.length + 1), 0, added)
    },
    list: () => sources,
    due(nowMs, { wants, stalled, isSlow }) {
      if (wants === 0) return undefined
      const fellow = fellowDue(nowMs)
      if (fellow !== undefined) return fellow
      const known = keepers()
      const open = known.filter(({ state }) => state === 'open').length
      const opening = known.filter((source) => source.state === 'opening')
      const quick = opening.filter((source) => nowMs - source.sinceMs < SLOW_DIAL_MS).length
      const working = open - stalled + quick
      const target = Math.min(isSlow ? MAX_ACTIVE_SOURCES : ACTIVE_SOURCES, wants)
      if (working >= target || opening.length >= MAX_ACTIVE_SOURCES) return undefined
      if (open + opening.length >= 2 * MAX_ACTIVE_SOURCES) return undefined
      const idle = known.filter((source) => source.state === 'idle' && source.retryAtMs <= nowMs)
      // Those that never failed come first, in their random order.
      return idle.toSorted((a, b) => a.attempts - b.attempts)[0]
    },
    opening(source, nowMs) {
      source.state = 'opening'
      source.sinceMs = nowMs
      source.attempts++
    },
    opened(source, isFellow) {
      source.isFellow = isFellow
      source.state = 'open'
      source.attempts = 1
      source.outcome = 'used'
      source.retryAtMs = 0
    },
    ended(source, outcome, nowMs, final) {
      const isHopeless = source.isFellow && source.attempts >= FELLOW_ATTEMPTS
      source.state = final || isHopeless ? 'out' : 'idle'
      source.outcome = outcome
      source.retryAtMs =
        nowMs + Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(source.attempts - 1, 10))
    },
  }
}
