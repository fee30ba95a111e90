import type { CID } from 'multiformats/cid'
import {
  type AbortOptions,
  type ErrorDetails,
  type Hex,
  IoexError,
  type Random,
} from '../base/index.ts'
import type { ChunkProfile, ChunkRef, TreeRef } from '../chunks/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { RolloutPolicy } from './rollout-policy.ts'

/** What everybody may know of a release: its root block, parsed and within its limits. Nobody has signed it yet. */
export interface ReleaseRoot {
  readonly vendor: EvmAddress
  readonly model: string
  readonly version: string
  /** Plaintext bytes of the image. */
  readonly imageBytes: number
  /** All blocks below the root, each counted once. */
  readonly sealedBytes: number
  /** Root node of the recipe tree; pinning the release root recursively pins everything. */
  readonly tree: CID
}

/** What a holder of the release key knows. */
export interface OpenedRelease extends ReleaseRoot {
  /** Opens the recipe: hand it to `readFile` or `walkTree` with `maxPlainBytes: imageBytes`. */
  readonly treeRef: TreeRef
  /** SHA-256 of the image, 32 bytes. */
  readonly imageHash: Uint8Array
}

export interface PackOptions extends AbortOptions {
  readonly vendor: EvmAddress
  /** See ModelSchema and VersionSchema of `api`. */
  readonly model: string
  readonly version: string
  /** 32 bytes; never leaves the publisher. The same for all releases of a vendor, so that deltas are small. */
  readonly contentSecret: Uint8Array
  readonly zstdLevel: number
  readonly profile: ChunkProfile
  /** Chunks of earlier releases, from `collectKnown`. */
  readonly known?: Pick<KnownChunks, 'find'>
  /** 32 bytes; random when left out. Given when a release that broke off is packed again. */
  readonly releaseKey?: Uint8Array
  readonly random?: Random
  readonly onProgress?: (imageBytes: number) => void
}

export interface PackedRelease {
  readonly root: CID
  readonly rootBytes: Uint8Array
  /** 32 bytes: secret, and all that a device needs to open this release. Wrap it for each cohort. */
  readonly releaseKey: Uint8Array
  readonly imageBytes: number
  /** All blocks of the release without the root. */
  readonly sealedBytes: number
  readonly chunks: number
  /** Chunks that no earlier release had. */
  readonly newChunks: number
  /** SHA-256 of the image, 32 bytes. */
  readonly imageHash: Uint8Array
  readonly tree: TreeRef
}

/** Chunks of earlier releases by plaintext hash. Holds their keys: it is as secret as the releases. */
export interface KnownChunks {
  /** `plainHashHex`: 64 lower-case digits without `0x`. */
  find(plainHashHex: string): ChunkRef | undefined
  readonly size: number
  /** For a file that only the publisher can read; `decodeKnownChunks` reads it. */
  encode(): Uint8Array
}

/** Patches from an earlier release. */
export interface DeltaTarget {
  readonly baseRoot: CID
  readonly deltaRoot: CID
  /** What a device that runs the base is expected to fetch in all: `PackedDelta.expectedBytes`. */
  readonly bytes: number
}

/** A release as TUF targets metadata names it: what a vendor's key vouches for. */
export interface ReleaseTarget {
  readonly model: string
  readonly version: string
  /** Rises with every release of a model and is never given twice; decides which one is newer. */
  readonly sequence: number
  readonly root: CID
  /** Bytes of the root block: the length of the TUF target. */
  readonly rootBytes: number
  /** SHA-256('ioex/release-key/1' || release key). */
  readonly releaseKeyHash: Hex
  readonly deltas: readonly DeltaTarget[]
  /** Whose signature announcements of this vendor carry. */
  readonly announceSigner: EvmAddress
  /** In which order devices may take it; at once when left out. */
  readonly rollout?: RolloutPolicy | undefined
}

export type FirmwareErrorCode =
  /** A release root that is not one, or does not match its CID. */
  | 'release-damaged'
  /** The key does not open this release, or is not the one that its targets metadata names. */
  | 'release-key-wrong'
  | 'release-options-invalid'
  | 'wrap-invalid'
  | 'known-chunks-damaged'
  /** The first block of a release in one file is none. */
  | 'release-file-damaged'
  /** TUF metadata that cannot be read. */
  | 'metadata-damaged'
  /** Bytes that are not those of the TUF target. */
  | 'target-damaged'
  /** A change to TUF metadata that its rules do not allow; a fault of the caller. */
  | 'metadata-change-invalid'

export function firmwareError(
  code: FirmwareErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<FirmwareErrorCode> {
  return new IoexError(code, message, details)
}
