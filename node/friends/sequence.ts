import { type Clock, utf8 } from '../base/index.ts'
import type { Records } from '../storage/index.ts'

const STATE_TABLE = 'friend-state'
const KEY = 'sequence'
/** Numbers are those of the clock, in milliseconds: a crash skips half a minute of them. */
const RESERVED_AHEAD = 30_000

/** Numbers that rise for ever, also over restarts and with a clock that was set back. */
export function createSequence(needs: {
  readonly records: Pick<Records, 'get' | 'put'>
  readonly clock: Clock
}): () => number {
  const { records, clock } = needs
  let last: number | undefined
  /** Stored: none above it was given out. One write for many, as each waits for the disk. */
  let reserved = 0
  const read = () => {
    const stored = records.get(STATE_TABLE, KEY)
    return stored === undefined ? 0 : Number(new TextDecoder().decode(stored))
  }
  return () => {
    const next = Math.max(clock.nowMs(), (last ?? read()) + 1)
    if (next > reserved) {
      reserved = next + RESERVED_AHEAD
      records.put(STATE_TABLE, KEY, utf8(String(reserved)))
    }
    last = next
    return next
  }
}
