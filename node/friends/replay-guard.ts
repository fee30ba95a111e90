import { MAX_SEEN_NONCES } from './limits.ts'

/** Remembers messages until a moment each; when full, the one that ends first is forgotten. */
export function createReplayGuard() {
  const untilMs = new Map<string, number>()
  return {
    /** False when it was seen before. */
    isNew(name: string, endsMs: number, nowMs: number): boolean {
      if ((untilMs.get(name) ?? 0) > nowMs) return false
      if (untilMs.size >= MAX_SEEN_NONCES) {
        for (const [one, ends] of untilMs) if (ends <= nowMs) untilMs.delete(one)
        if (untilMs.size >= MAX_SEEN_NONCES) {
          const [soonest] = [...untilMs].toSorted(([, a], [, b]) => a - b)
          if (soonest !== undefined) untilMs.delete(soonest[0])
        }
      }
      untilMs.set(name, endsMs)
      return true
    },
  }
}
