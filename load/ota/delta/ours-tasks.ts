/** What the bench tells our publisher and our device, and what they answer: one JSON line each. */
import type { ChunkProfile } from '@ioex/node/chunks'
import type { Cost } from './types.ts'

export interface PublishTask {
  readonly old: string
  readonly new: string
  readonly profile: ChunkProfile
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

export interface PublishAnswer {
  readonly old: PublishedRelease
  readonly new: PublishedRelease
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
}

export interface DeviceAnswer {
  readonly cost: Cost
  /** Of the peak, what lies above the resident set before the release was there. */
  readonly growthBytes: number
  readonly fetched: { readonly root: number; readonly nodes: number; readonly chunks: number }
  readonly fetchedBlocks: number
  readonly reusedChunks: number
}
