/**
 * Who may be served at once. While half of the slots are free a peer takes what its connection allows; from
 * then on each peer has its share, and when all are taken a stream that gets nothing done makes room: first the
 * one of a peer that holds more than its share, then one whose reader has taken no block for a while. So
 * clients that never read hold what nobody else asks for, and no more.
 */
import type { Clock } from '../base/index.ts'
import {
  MAX_SERVED_STREAMS,
  MAX_STREAMS_PER_CONNECTION,
  SHARE_OF_SERVED_STREAMS,
  STALLED_SLOT_MS,
} from './limits.ts'

export interface StreamSlot {
  /** Its reader has taken a block. */
  moved(): void
  leave(): void
}

export interface StreamSlots {
  /**
   * Undefined: this peer has enough, or everybody served is getting on. `end` makes room for another; false when
   * it is not to blame for getting nothing done.
   */
  take(peer: string, end: () => boolean): StreamSlot | undefined
  readonly taken: number
}

interface Taken {
  readonly peer: string
  readonly end: () => boolean
  movedMs: number
}

export function createStreamSlots(
  clock: Clock,
  maxStreams: number = MAX_SERVED_STREAMS,
): StreamSlots {
  /** The longest without progress first. */
  const slots = new Set<Taken>()
  const perPeer = new Map<string, number>()

  const remove = (slot: Taken) => {
    if (!slots.delete(slot)) return
    const rest = (perPeer.get(slot.peer) ?? 1) - 1
    if (rest === 0) perPeer.delete(slot.peer)
    else perPeer.set(slot.peer, rest)
  }
  const held = (peer: string) => perPeer.get(peer) ?? 0
  const makeRoom = (): boolean => {
    const greedy = slots.values().filter(({ peer }) => held(peer) > SHARE_OF_SERVED_STREAMS)
    const stalledMs = clock.monotonicMs() - STALLED_SLOT_MS
    const stalled = slots.values().filter(({ movedMs }) => movedMs <= stalledMs)
    for (const slot of [...greedy, ...stalled]) {
      if (!slot.end()) continue
      remove(slot)
      return true
    }
    return false
  }

  return {
    get taken() {
      return slots.size
    },
    take(peer, end) {
      const isScarce = slots.size >= maxStreams / 2
      const share = isScarce ? SHARE_OF_SERVED_STREAMS : MAX_STREAMS_PER_CONNECTION
      if (held(peer) >= share) return undefined
      if (slots.size >= maxStreams && !makeRoom()) return undefined
      const slot: Taken = { peer, end, movedMs: clock.monotonicMs() }
      slots.add(slot)
      perPeer.set(peer, held(peer) + 1)
      return {
        moved() {
          if (!slots.delete(slot)) return
          slot.movedMs = clock.monotonicMs()
          slots.add(slot)
        },
        leave: () => remove(slot),
      }
    },
  }
}
