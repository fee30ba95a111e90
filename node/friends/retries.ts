import type { PeerId } from '@libp2p/interface'
import type { Clock } from '../base/index.ts'

export interface Retries {
  /** Tries after the shortest pause; an earlier schedule for this peer is replaced. */
  schedule(peer: PeerId): void
  cancel(peer: PeerId): void
  stop(): void
}

/** Tries again and again, each pause twice as long as the last, until `attempt` says done. */
export function createRetries(
  clock: Clock,
  pauses: { readonly minMs: number; readonly maxMs: number },
  attempt: (peer: PeerId) => Promise<'done' | 'again'>,
): Retries {
  const cancels = new Map<string, () => void>()
  let stopped = false

  const later = (peer: PeerId, pauseMs: number) => {
    const name = peer.toString()
    cancels.get(name)?.()
    if (stopped) return
    const cancel = clock.after(pauseMs, () => {
      void attempt(peer).then((next) => {
        if (cancels.get(name) !== cancel) return
        cancels.delete(name)
        if (next === 'again') later(peer, Math.min(2 * pauseMs, pauses.maxMs))
      })
    })
    cancels.set(name, cancel)
  }
  return {
    schedule: (peer) => later(peer, pauses.minMs),
    cancel(peer) {
      cancels.get(peer.toString())?.()
      cancels.delete(peer.toString())
    },
    stop() {
      stopped = true
      for (const cancel of cancels.values()) cancel()
      cancels.clear()
    },
  }
}
