import type { Clock } from '../base/index.ts'

/** A cap that many share: whoever takes bytes waits for his turn, first come first served. */
export interface TokenBucket {
  take(bytes: number, signal: AbortSignal): Promise<void>
}

export interface Cap {
  /** The option that it comes from, for the error. */
  readonly name: string
  /** So many in `perS` seconds; undefined: no cap. */
  readonly bytes: number | undefined
  readonly perS: number
}

/**
 * Bytes go out evenly, at `bytes / perS`, but for what was not used in the last tenth of the period: so no period
 * has more than 1.1 times its cap, and a cap by the hour does not hold up a device that serves now and then.
 */
export function createTokenBucket(clock: Clock, cap: Cap): TokenBucket | undefined {
  const { name, bytes: capBytes, perS } = cap
  if (capBytes === undefined) return undefined
  if (!(capBytes > 0)) throw new RangeError(`${name} is ${capBytes}; leave it out for no cap`)
  const msPerByte = (perS * 1_000) / capBytes
  const burstMs = perS > 1 ? perS * 100 : 0
  let freeAtMs = clock.monotonicMs() - burstMs
  return {
    async take(bytes, signal) {
      const nowMs = clock.monotonicMs()
      const turnMs = Math.max(nowMs - burstMs, freeAtMs)
      freeAtMs = turnMs + bytes * msPerByte
      if (turnMs > nowMs) await clock.sleep(turnMs - nowMs, { signal })
    },
  }
}
