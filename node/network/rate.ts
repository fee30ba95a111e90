import type { Clock } from '../base/index.ts'

export interface RateLimit {
  /** Counts one more; false when that is too many. */
  take(key: string): boolean
}

/** At most `count` per key in any window of `perMs`; remembers at most `maxKeys`, the longest unseen goes first. */
export function createRateLimit(
  clock: Clock,
  limit: { readonly count: number; readonly perMs: number; readonly maxKeys: number },
): RateLimit {
  const buckets = new Map<string, { tokens: number; atMs: number }>()
  return {
    take(key) {
      const nowMs = clock.monotonicMs()
      const bucket = buckets.get(key) ?? { tokens: limit.count, atMs: nowMs }
      buckets.delete(key)
      const refilled = ((nowMs - bucket.atMs) * limit.count) / limit.perMs
      bucket.tokens = Math.min(limit.count, bucket.tokens + refilled)
      bucket.atMs = nowMs
      buckets.set(key, bucket)
      const [longestUnseen] = buckets.keys()
      if (buckets.size > limit.maxKeys && longestUnseen !== undefined) buckets.delete(longestUnseen)
      if (bucket.tokens < 1) return false
      bucket.tokens -= 1
      return true
    },
  }
}
