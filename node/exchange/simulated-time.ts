import type { Clock, Random } from '../base/index.ts'

/** Time that jumps from event to event; those of one moment come in random order. */
export interface SimulatedTime {
  nowMs(): number
  at(ms: number, run: () => void): void
  sleep(ms: number): Promise<void>
  /** The clock of one process: when that is dead, nothing of it happens any more. */
  clockOf(isAlive: () => boolean): Clock
  /** Ends `runWhile` with this error. */
  readonly fail: (error: unknown) => void
  runWhile(goesOn: () => boolean): Promise<void>
}

interface Event {
  readonly ms: number
  readonly run: () => void
}

const START_MS = 1_700_000_000_000
/** Whoever gets here has stopped making progress. */
const MAX_MS = 10 * 24 * 3_600_000

export function createSimulatedTime(random: Random): SimulatedTime {
  /** The next one last. */
  const events: Event[] = []
  let nowMs = 0
  let failure: { readonly error: unknown } | undefined

  const at = (whenMs: number, run: () => void) => {
    const ms = Math.max(whenMs, nowMs) + random.int(1_000) / 1_000
    let place = events.length
    while (place > 0 && (events[place - 1] as Event).ms < ms) place--
    events.splice(place, 0, { ms, run })
  }
  const sleep = (ms: number) => new Promise<void>((resolve) => at(nowMs + ms, resolve))
  return {
    nowMs: () => nowMs,
    at,
    sleep,
    clockOf: (isAlive) => ({
      nowMs: () => START_MS + nowMs,
      monotonicMs: () => nowMs,
      sleep: (ms) =>
        new Promise((resolve) => {
          at(nowMs + ms, () => {
            if (isAlive()) resolve()
          })
        }),
      after(ms, run) {
        let isCancelled = false
        at(nowMs + ms, () => {
          if (!isCancelled && isAlive()) run()
        })
        return () => {
          isCancelled = true
        }
      },
    }),
    fail: (error) => {
      failure ??= { error }
    },
    async runWhile(goesOn) {
      await new Promise(setImmediate)
      while (goesOn()) {
        const next = events.pop()
        if (next === undefined || nowMs > MAX_MS) throw new Error('nothing happens any more')
        nowMs = next.ms
        next.run()
        // Everything that follows from it, before the next event.
        await new Promise(setImmediate)
        if (failure !== undefined) throw failure.error
      }
    },
  }
}
