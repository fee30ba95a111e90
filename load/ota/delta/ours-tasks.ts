/** What the bench tells our publisher and our device, and what they answer: one JSON line each. */
import type { ChunkProfile } from '@ioex/node/chunks'
import type { Cost } from './types.ts'

export interface PublishTask {
  readonly old: string
  readonly new: string
  readonly profile: ChunkProfile
  /** With patches from the old release. */
  readonly patches: boolean
  /** Block files are made here: `old.blocks` and `new.blocks`. */
  readonly folder: string
}

export interface PublishedRelease {
  readonly root: string
  /** Hex. */
  readonly releaseKey: string
  /** A block file. */
  readonly blocks: string
}

export interface PublishedDelta {
  readonly root: string
  /** A block file. */
  readonly blocks: string
  /** Of the patches alone. */
  readonly cost: Cost
}

export interface PublishAnswer {
  readonly old: PublishedRelease
  readonly new: PublishedRelease
  readonly delta?: PublishedDelta
  /** Bytes of the release key wrapped for a cohort. */
  readonly wrapBytes: number
  /** Of publishing the new release; the old one was there. */
  readonly cost: Cost
}

export interface DeviceTask {
  readonly slots: string
  readonly release: PublishedRelease
  /** Undefined: nothing is installed yet. */
  readonly installed?: PublishedRelease
  readonly delta?: PublishedDelta
}

export interface DeviceAnswer {
  readonly cost: Cost
  /** Of the peak, what lies above the resident set before the release was there. */
  readonly growthBytes: number
  readonly fetched: FetchedBytes
  readonly fetchedBlocks: number
  readonly patchedChunks: number
}

export interface FetchedBytes {
  readonly root: number
  readonly nodes: number
  readonly chunks: number
  /** Root, lists and bundles of the patches. */
  readonly delta: number
}
