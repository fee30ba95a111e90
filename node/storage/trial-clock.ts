import { type Clock, systemClock } from '../base/index.ts'

/** Time that stands still until the test lets it pass. */
export interface TrialClock extends Clock {
  /** Runs what is due, in order; what follows from it later in the event loop is not waited for. */
  pass(ms: number): void
}

export function createTrialClock(): TrialClock {
  let nowMs = systemClock.nowMs()
  const due = new Set<{ readonly atMs: number; readonly run: () => void }>()

  const after = (ms: number, run: () => void) => {
    const timer = { atMs: nowMs + ms, run }
    due.add(timer)
    return () => {
      due.delete(timer)
    }
  }
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: (ms) => new Promise((resolve) => after(ms, resolve)),
    after,
    pass(ms) {
      const endMs = nowMs + ms
      for (;;) {
        const [next] = [...due]
          .filter(({ atMs }) => atMs <= endMs)
          .sort((one, other) => one.atMs - other.atMs)
        if (next === undefined) break
        due.delete(next)
        nowMs = next.atMs
        next.run()
      }
      nowMs = endMs
    },
  }
}
