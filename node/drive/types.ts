import type { CID } from 'multiformats/cid'
import type { AbortOptions, Result } from '../base/index.ts'

export interface Snapshot {
  /** CID of the snapshot's root as text: what `restore` takes. */
  readonly id: string
  readonly root: CID
  /** RFC 3339. */
  readonly createdAt: string
  /** The folder's name where it was taken. */
  readonly label: string
  readonly files: number
  /** Bytes of file content. */
  readonly bytes: number
  /** Bytes of all its sealed blocks. */
  readonly sealedBytes: number
}

export interface PushProgress {
  readonly phase: 'reading' | 'storing'
  readonly files: number
  readonly bytes: number
  /** While storing: how much of the snapshot's sealed bytes a peer has, on average over those that answer. */
  readonly storedBytes: number
  /** While storing: the sealed bytes of the snapshot. */
  readonly sealedBytes: number
}

/** What could not be read or stored, and why; the rest is done (exit code 3 on the command line). */
export interface Omission {
  readonly path: string
  readonly reason: 'unreadable' | 'changed-while-reading' | 'special-file' | 'name-not-utf8'
}

export interface PeerOutcome {
  readonly peerId: string
  readonly stored: boolean
  readonly reason?: string
}

export interface PushReport {
  readonly snapshot: Snapshot
  /** Sealed bytes that were not in an earlier snapshot. */
  readonly newBytes: number
  /** The first OMITTED_MAX_LISTED of them. */
  readonly omitted: readonly Omission[]
  readonly omittedCount: number
  readonly peers: readonly PeerOutcome[]
  /** Whether as many peers have it as were asked for. With none it is not in the list of snapshots. */
  readonly enough: boolean
  /** Whether it can be found by the recovery words alone: the DHT has the new head. */
  readonly findable: boolean
  /** Oldest snapshots that were given up, as the list holds CATALOG_MAX_SNAPSHOTS. */
  readonly forgotten: readonly Snapshot[]
}

export interface RestoreReport {
  readonly snapshot: Snapshot
  readonly files: number
  readonly bytes: number
  readonly fetchedBytes: number
  /** Entries that lay there already with the same size and time. */
  readonly kept: number
}

export interface CheckReport {
  readonly peers: readonly {
    readonly peerId: string
    /** Answered every question; when not, the figures tell how far it came. */
    readonly reachable: boolean
    readonly sampledBlocks: number
    readonly damagedOrMissing: number
  }[]
}

export interface PruneReport {
  readonly removed: readonly Snapshot[]
  /** Roots that peers still keep because they could not be asked; they are asked at the next push or prune. */
  readonly pending: number
}

export type DriveRefusal =
  /** No friend is there that could keep it. */
  | 'no-peers'
  /** Neither the peers nor the DHT know of a drive under this key. */
  | 'drive-not-found'
  | 'snapshot-unknown'
  /** This machine knows no snapshots and no friend could be asked: an earlier list might be overwritten. */
  | 'peers-unreachable'

export interface PushOptions extends AbortOptions {
  /** How many friends shall keep it, at least; default: all. */
  readonly copies?: number
  readonly label?: string
  readonly onProgress?: (progress: PushProgress) => void
}

export interface RestoreOptions extends AbortOptions {
  readonly onProgress?: (progress: RestoreProgress) => void
}

export interface RestoreProgress {
  readonly files: number
  readonly bytes: number
  /** Of the whole snapshot. */
  readonly totalFiles: number
  readonly totalBytes: number
}

export interface Drive {
  push(folder: string, options?: PushOptions): Promise<Result<PushReport, DriveRefusal>>
  /** Newest first. Asks the peers, then the DHT, when nothing is known here. */
  list(options?: AbortOptions): Promise<Result<readonly Snapshot[], DriveRefusal>>
  /** `snapshot`: an id, or `latest`. Goes on where an earlier restore into the same destination stopped. */
  restore(
    snapshot: string,
    destination: string,
    options?: RestoreOptions,
  ): Promise<Result<RestoreReport, DriveRefusal>>
  /** Lets every peer prove a random share of the blocks of all snapshots; 1 % when not told otherwise. */
  check(
    options?: AbortOptions & { readonly share?: number },
  ): Promise<Result<CheckReport, DriveRefusal>>
  /** Forgets all but the newest `keep` snapshots, here and at the peers. */
  prune(keep: number, options?: AbortOptions): Promise<Result<PruneReport, DriveRefusal>>
  /** Ends what is under way; may be called twice. */
  stop(): Promise<void>
}

export type DriveErrorCode =
  | 'snapshot-damaged'
  | 'path-unsafe'
  | 'folder-missing'
  | 'drive-stopped'
  /** The destination has another file of that name. */
  | 'destination-occupied'
