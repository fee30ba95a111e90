import { type Clock } from '@ioex/node/base'
import { RATE_MAX_SOURCES, type Rate } from '../limits.ts'
import { ProblemError } from '../problems.ts'

interface Bucket {
  tokens: number
  atMs: number
}

export interface RateLimiter {
  /** Takes one; false when the source has none left. */
  take(source: string): boolean
  /** True when nothing is left, without taking. */
  isSpent(source: string): boolean
  /** As `take`, but throws `too-many-requests` with the wait that helps. */
  demand(source: string): void
  readonly sources: number
}

/** Token buckets by source, of which only the recent ones are kept. */
export function createRateLimiter(
  needs: { readonly clock: Clock },
  rate: Rate,
  maxSources = RATE_MAX_SOURCES,
): RateLimiter {
  const buckets = new Map<string, Bucket>()

  const bucketOf = (source: string): Bucket => {
    const nowMs = needs.clock.monotonicMs()
    const bucket = buckets.get(source) ?? { tokens: rate.burst, atMs: nowMs }
    const refilled = bucket.tokens + ((nowMs - bucket.atMs) / 1000) * rate.perSecond
    bucket.tokens = Math.min(rate.burst, refilled)
    bucket.atMs = nowMs
    // Re-inserting keeps the map in order of use, so the first key is the one to forget.
    buckets.delete(source)
    buckets.set(source, bucket)
    if (buckets.size > maxSources) {
      const oldest = buckets.keys().next()
      if (oldest.done !== true) buckets.delete(oldest.value)
    }
    return bucket
  }

  const limiter: RateLimiter = {
    take(source) {
      const bucket = bucketOf(source)
      if (bucket.tokens < 1) return false
      bucket.tokens -= 1
      return true
    },
    isSpent: (source) => bucketOf(source).tokens < 1,
    demand(source) {
      if (limiter.take(source)) return
      const waitS = Math.max(1, Math.ceil(1 / rate.perSecond))
      throw new ProblemError('too-many-requests', `over ${rate.perSecond} requests a second`, {
        fix: `Wait ${waitS} s and send fewer at once.`,
        headers: { 'retry-after': String(waitS) },
      })
    },
    get sources() {
      return buckets.size
    },
  }
  return limiter
}
