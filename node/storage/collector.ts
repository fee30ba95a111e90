import type { Clock, Log } from '../base/index.ts'
import type { IndexedBlocks } from './block-store.ts'
import { storageStopped } from './failures.ts'
import { collectGarbage } from './garbage.ts'
import {
  COLLECT_CHECK_EVERY_MS,
  COLLECT_EVERY_MS,
  COLLECT_RESTS_AT_LEAST,
  NEARLY_FULL_PART,
} from './limits.ts'
import type { LivePins } from './pin-set.ts'
import type { Segments } from './segments.ts'
import type { GarbageReport } from './storage.ts'

/** When garbage is collected: on request, when room is wanted, and from time to time. Never two at once. */
export interface Collector {
  /** One that begins after this call. */
  collect(signal?: AbortSignal): Promise<GarbageReport>
  /** So that asking for room over and over does not mark and sweep over and over. */
  collectIfUseful(): Promise<void>
  /** For a write that does not fit. Never fails but with `storage-stopped`: whoever asks looks again. */
  makeRoom(): Promise<void>
  /** Blocks were put without a session: the only garbage that pins do not know of. */
  looseWrite(): void
  start(): void
  stop(): Promise<void>
}

/** Counts what may have become garbage. */
interface LetGo {
  readonly pins: number
  readonly loose: number
}

interface Round {
  /** What had been let go when it began; undefined: it waits for its turn. */
  letGo: LetGo | undefined
  readonly report: Promise<GarbageReport>
}

interface Needs {
  readonly blocks: IndexedBlocks
  readonly pins: LivePins
  readonly segments: Segments
  readonly clock: Clock
  readonly log: Log
}

export function createCollector(
  needs: Needs,
  options: { readonly segmentBytes: number },
): Collector {
  const { blocks, pins, clock, log } = needs
  const stopping = new AbortController()
  let cancelCheck: () => void = () => undefined
  let checking: Promise<void> = Promise.resolve()
  let last: Round | undefined
  let looseWrites = 0
  /** What had been let go when the last complete collection began; undefined: none since the start. */
  let collected: LetGo | undefined
  /** The same of one that failed, too. */
  let tried: LetGo | undefined
  let hasFailed = false
  let tookMs = 0
  let endedMs = clock.monotonicMs()

  const letGo = (): LetGo => ({ pins: pins.letGo, loose: looseWrites })
  const isSince = (known: LetGo | undefined) =>
    known?.pins !== pins.letGo || known.loose !== looseWrites
  const isUseful = () => isSince(collected) || pins.someExpired()
  const hasRested = (ms: number) =>
    clock.monotonicMs() - endedMs >= Math.max(ms, tookMs * COLLECT_RESTS_AT_LEAST)

  const run = async (signal: AbortSignal): Promise<GarbageReport> => {
    const began = letGo()
    const beganMs = clock.monotonicMs()
    try {
      const report = await collectGarbage(needs, { ...options, signal })
      collected = began
      tried = began
      hasFailed = false
      const ms = Math.round(clock.monotonicMs() - beganMs)
      log.info({ ...report, ms }, 'garbage was collected')
      return report
    } catch (thrown) {
      if (!signal.aborted) {
        tried = began
        hasFailed = true
      }
      throw thrown
    } finally {
      endedMs = clock.monotonicMs()
      tookMs = endedMs - beganMs
    }
  }

  const collect = (asked?: AbortSignal): Promise<GarbageReport> => {
    const signal = AbortSignal.any([stopping.signal, ...(asked === undefined ? [] : [asked])])
    const { promise, resolve } = Promise.withResolvers<GarbageReport>()
    const before = last
    const round: Round = { letGo: undefined, report: promise }
    last = round
    const inTurn = async () => {
      await Promise.allSettled([before?.report])
      round.letGo = letGo()
      try {
        return await run(signal)
      } finally {
        if (last === round) last = undefined
      }
    }
    resolve(inTurn())
    return promise
  }

  /** Many who ask at the same time share one. */
  const collectIf = async (isWanted: () => boolean): Promise<void> => {
    while (last !== undefined && (last.letGo === undefined || !isSince(last.letGo))) {
      const [outcome] = await Promise.allSettled([last.report])
      if (outcome.status === 'fulfilled') return
    }
    stopping.signal.throwIfAborted()
    if (isWanted()) await collect()
  }

  const collectQuietly = async (isWanted: () => boolean): Promise<void> => {
    try {
      await collectIf(isWanted)
    } catch (thrown) {
      if (!stopping.signal.aborted) log.error({ error: thrown }, 'garbage could not be collected')
    }
  }

  /** What is loose is a cache: it goes along, but nobody marks and sweeps for it while there is room. */
  const isDue = (): boolean => {
    const isNearlyFull = blocks.usedBytes > blocks.quotaBytes * NEARLY_FULL_PART
    if (!hasRested(isNearlyFull ? 0 : COLLECT_EVERY_MS)) return false
    return isNearlyFull ? isUseful() : collected?.pins !== pins.letGo || pins.someExpired()
  }

  const checkLater = () => {
    cancelCheck = clock.after(COLLECT_CHECK_EVERY_MS, () => {
      checking = check()
    })
  }
  const check = async () => {
    if (isDue()) await collectQuietly(isDue)
    if (!stopping.signal.aborted) checkLater()
  }

  return {
    collect,
    collectIfUseful: () => collectIf(isUseful),
    async makeRoom() {
      // What pins let go is worth it at once; of what is loose a little comes with each write.
      const restMs = hasFailed ? COLLECT_CHECK_EVERY_MS : 0
      await collectQuietly(() => isUseful() && (tried?.pins !== pins.letGo || hasRested(restMs)))
      stopping.signal.throwIfAborted()
    },
    looseWrite() {
      looseWrites++
    },
    start: checkLater,
    async stop() {
      stopping.abort(storageStopped())
      cancelCheck()
      await Promise.allSettled([checking, last?.report])
    },
  }
}
