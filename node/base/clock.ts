import { setTimeout as sleepFor } from 'node:timers/promises'

/** Time as a collaborator, so that tests can move it. Nothing outside `base` reads the system's clock. */
export interface Clock {
  /** Milliseconds since 1970, may jump. For records and validity periods. */
  nowMs(): number
  /** Milliseconds since an arbitrary moment, never goes back. For durations and deadlines. */
  monotonicMs(): number
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** Calls `run` once after `ms`. Does not keep the process alive. Returns the cancel function. */
  after(ms: number, run: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleep(ms, options) {
    options?.signal?.throwIfAborted()
    try {
      await sleepFor(ms, undefined, { signal: options?.signal })
    } catch (thrown) {
      options?.signal?.throwIfAborted()
      throw thrown
    }
  },
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Unix seconds, the unit of every time that is signed or goes on chain. */
export function unixSeconds(clock: Pick<Clock, 'nowMs'>): number {
  return Math.floor(clock.nowMs() / 1000)
}
