import type { Clock } from '../base/index.ts'
import { BAN_MS, MAX_BANNED_PEERS } from './limits.ts'

/** Peers that sent what does not hash to its name, or broke the protocol; not asked again for a while. */
export interface Bans {
  has(id: string): boolean
  add(id: string): void
}

export function createBans(clock: Clock): Bans {
  const untilMs = new Map<string, number>()
  return {
    has: (id) => (untilMs.get(id) ?? 0) > clock.monotonicMs(),
    add(id) {
      untilMs.delete(id)
      untilMs.set(id, clock.monotonicMs() + BAN_MS)
      const [oldest] = untilMs.keys()
      if (untilMs.size > MAX_BANNED_PEERS && oldest !== undefined) untilMs.delete(oldest)
    },
  }
}
