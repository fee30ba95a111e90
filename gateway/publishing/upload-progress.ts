import type { UploadProgress } from '@ioex/node/api'
import { UPLOADS_REMEMBERED } from '../limits.ts'

/** Where an upload stands, for whoever watches. Lives in memory: after a restart there is none to watch. */
export interface UploadTracker {
  readonly state: UploadProgress
  /** Percent only ever rises; 100 means published. */
  update(change: Partial<Omit<UploadProgress, 'upload' | 'percent'>>): void
  /** Bytes of the image that are done, and of the copies at seeds. */
  work(done: { readonly packedBytes?: number; readonly pinnedBytes?: number }): void
  watch(changed: () => void): () => void
  /** Marks that the body has come; false when it had before. */
  take(): boolean
}

export interface UploadTrackers {
  begin(upload: string, copiesWanted: number): UploadTracker
  get(upload: string): UploadTracker | undefined
}

export function createUploadTrackers(): UploadTrackers {
  const trackers = new Map<string, UploadTracker>()
  return {
    begin(upload, copiesWanted) {
      const tracker = createTracker(upload, copiesWanted)
      trackers.set(upload, tracker)
      for (const [id, old] of trackers) {
        if (trackers.size <= UPLOADS_REMEMBERED) break
        if (isEnded(old.state)) trackers.delete(id)
      }
      return tracker
    },
    get: (upload) => trackers.get(upload),
  }
}

export function isEnded(state: UploadProgress): boolean {
  return state.phase === 'published' || state.phase === 'failed'
}

function createTracker(upload: string, copiesWanted: number): UploadTracker {
  const watchers = new Set<() => void>()
  let isTaken = false
  let packedBytes = 0
  let pinnedBytes = 0
  let state: UploadProgress = {
    upload,
    phase: 'receiving',
    percent: 0,
    receivedBytes: 0,
    totalBytes: null,
    copies: 0,
    copiesWanted,
    release: null,
    problem: null,
  }
  const set = (change: Partial<UploadProgress>) => {
    state = { ...state, ...change }
    const percent = state.phase === 'published' ? 100 : Math.max(state.percent, share())
    state = { ...state, percent }
    for (const changed of watchers) changed()
  }
  /**
   * Of the bytes that have to be moved: into the gateway, through the packer, and to as many seeds as copies
   * are wanted. Without a known length there is no share to tell. 100 is kept for the end.
   */
  const share = () => {
    const total = state.totalBytes
    if (total === null || total === 0) return 0
    const all = total * (2 + copiesWanted)
    const done = state.receivedBytes + packedBytes + Math.min(pinnedBytes, total * copiesWanted)
    return Math.min(99, Math.round((done / all) * 1000) / 10)
  }
  return {
    get state() {
      return state
    },
    update: set,
    work(done) {
      packedBytes = done.packedBytes ?? packedBytes
      pinnedBytes = done.pinnedBytes ?? pinnedBytes
      set({})
    },
    take() {
      const isFirst = !isTaken
      isTaken = true
      return isFirst
    },
    watch(changed) {
      watchers.add(changed)
      return () => watchers.delete(changed)
    },
  }
}
