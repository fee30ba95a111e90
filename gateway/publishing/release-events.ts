import type { Clock } from '@ioex/node/base'
import { EVENT_MIN_INTERVAL_MS } from '../limits.ts'

/** The device whose word changed a release, as the stream of its events tells it. */
export interface DeviceWord {
  readonly device: `0x${string}`
  readonly event: string
  readonly atMs: number
  readonly percent: number | null
}

/** Tells whoever watches a release that something about it has changed; the last word wins. */
export interface ReleaseEvents {
  changed(release: string, word?: DeviceWord): void
  /** Called at most every 200 ms. Returns the function that ends it. */
  watch(release: string, changed: (word: DeviceWord | undefined) => void): () => void
  stop(): void
}

interface Watched {
  readonly watchers: Set<(word: DeviceWord | undefined) => void>
  word: DeviceWord | undefined
  /** Set while a call is due. */
  cancel: (() => void) | undefined
}

export function createReleaseEvents(needs: { readonly clock: Clock }): ReleaseEvents {
  const releases = new Map<string, Watched>()
  return {
    changed(release, word) {
      const watched = releases.get(release)
      if (watched === undefined) return
      watched.word = word ?? watched.word
      watched.cancel ??= needs.clock.after(EVENT_MIN_INTERVAL_MS, () => {
        watched.cancel = undefined
        for (const tell of watched.watchers) tell(watched.word)
      })
    },
    watch(release, changed) {
      const watched = releases.get(release) ?? {
        watchers: new Set(),
        word: undefined,
        cancel: undefined,
      }
      releases.set(release, watched)
      watched.watchers.add(changed)
      return () => {
        watched.watchers.delete(changed)
        if (watched.watchers.size > 0) return
        watched.cancel?.()
        if (releases.get(release) === watched) releases.delete(release)
      }
    },
    stop() {
      for (const watched of releases.values()) watched.cancel?.()
      releases.clear()
    },
  }
}
