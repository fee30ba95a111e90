import type { CID } from 'multiformats/cid'
import { type AbortOptions, type ErrorDetails, IoexError } from '../base/index.ts'

export interface ChunkProfile {
  readonly minBytes: number
  /** A power of two. */
  readonly averageBytes: number
  readonly maxBytes: number
}

/**
 * 4/64/128 KiB: the default. A device fetches the chunks at the edges of what changed in whole: with 16/64/256 a
 * fix of 7 MB within 180 MB costs 3 % more.
 */
export const PROFILE_64K: ChunkProfile = {
  minBytes: 4_096,
  averageBytes: 65_536,
  maxBytes: 131_072,
}

/** 4/16/64 KiB: for images that are compressed already, where less is found again, and for small ones. */
export const PROFILE_16K: ChunkProfile = {
  minBytes: 4_096,
  averageBytes: 16_384,
  maxBytes: 65_536,
}

/** A leaf of the recipe: all that is needed to fetch, open and check one chunk. */
export interface ChunkRef {
  readonly cid: CID
  /** Bytes of the sealed block. */
  readonly sealedBytes: number
  /** Bytes of plaintext. */
  readonly plainBytes: number
  /** SHA-256 of the plaintext, 32 bytes. */
  readonly plainHash: Uint8Array
  /** AES-256 key, 32 bytes. */
  readonly key: Uint8Array
}

/** The root of a recipe tree. */
export interface TreeRef {
  readonly cid: CID
  /** AES-256 key of the root node, 32 bytes. */
  readonly key: Uint8Array
}

export interface SealedFile {
  readonly tree: TreeRef
  readonly plainBytes: number
  /** All blocks of the tree, chunks and nodes, each counted once (see REMEMBERED_CHUNKS for the limit). */
  readonly sealedBytes: number
  /** Chunks in file order, repeated ones each time. */
  readonly chunks: number
  /** SHA-256 over the whole plaintext. */
  readonly plainHash: Uint8Array
  /** Blocks that `known` did not supply and that were therefore compressed and sealed. */
  readonly newChunks: number
}

export interface SealOptions extends AbortOptions {
  readonly profile: ChunkProfile
  /** 32 bytes; stays with the publisher (a vendor's content secret, a person's drive secret). */
  readonly secret: Uint8Array
  readonly zstdLevel: number
  /**
   * 32 bytes that move the chunk boundaries (gear table keyed by it), so that lengths tell little about
   * well-known files. Used by drives; releases leave it out.
   */
  readonly boundarySecret?: Uint8Array
  /** A chunk of an earlier version by its plaintext hash (hex): its block and key are used again, never compressed again. */
  readonly known?: (plainHashHex: string) => ChunkRef | undefined
  readonly onProgress?: (plainBytes: number) => void
}

/** A block of patches, one zstd frame behind the other, sealed as a whole. */
export interface Bundle extends TreeRef {
  /** Bytes of plaintext: the frames. */
  readonly frameBytes: number
}

/** How neighbouring chunks of a new image are made of a window of an earlier one. */
export interface Patch {
  /** The first of them in file order, from 0. */
  readonly chunk: number
  readonly chunks: number
  /** Where the first begins in the new image, and how long they are together. */
  readonly offset: number
  readonly plainBytes: number
  /** Where the window begins in the earlier image. */
  readonly windowAt: number
  readonly form: 'dictionary' | 'steps'
  /** Sealed bytes of the chunks that it makes, as the publisher says. */
  readonly insteadOfBytes: number
  readonly frameAt: number
  readonly frameBytes: number
  readonly bundle: Bundle
}

export interface SealedDelta {
  /** Nodes that list the patches, in the order of chunks. */
  readonly lists: readonly TreeRef[]
  readonly patches: number
  readonly patchedChunks: number
  /** Lists and bundles. */
  readonly deltaBytes: number
  /** Chunks that the earlier image lacks and for which no patch is worth it, sealed as they are. */
  readonly plainBytes: number
  /** What the patched chunks would have cost without patches. */
  readonly insteadOfBytes: number
}

export interface DeltaOptions extends AbortOptions {
  /** 32 bytes, as for the images. */
  readonly secret: Uint8Array
  /** 19 finds most and takes 1.3 s of a core per MiB that changed; 12 a fifth of that, for a tenth more bytes. */
  readonly zstdLevel: number
  readonly onProgress?: (doneChunks: number, ofChunks: number) => void
}

/**
 * Called once for each distinct new block. A parent comes only after the promises of its children have
 * resolved; up to CHUNKS_IN_FLIGHT calls for chunks overlap, so that a store can make them durable together.
 */
export type PutBlock = (block: { readonly cid: CID; readonly bytes: Uint8Array }) => Promise<void>

/** Throws when the block cannot be had; the bytes have been checked against the CID. */
export type GetBlock = (cid: CID, options?: AbortOptions) => Promise<Uint8Array>

/** A node block, to be stored, and the key that opens it, to be kept in the parent. */
export interface SealedNode extends TreeRef {
  readonly bytes: Uint8Array
}

/** What a node says: links for whoever pins, and a payload for whoever has the key. */
export interface NodeContent {
  /** CIDv1, sha2-256, raw or dag-cbor. */
  readonly links: readonly CID[]
  readonly payload: Uint8Array
}

export interface WalkOptions extends AbortOptions {
  /** A tree that claims more plaintext is refused before it is followed. Default: TREE_MAX_PLAIN_BYTES. */
  readonly maxPlainBytes?: number
}

export interface ReadOptions extends WalkOptions {
  /** Chunks that are fetched and opened ahead of the reader; default READ_AHEAD_CHUNKS. */
  readonly aheadChunks?: number
}

/** One block of a tree; a block that the tree names twice comes twice. */
export type TreeBlock =
  | { readonly kind: 'node'; readonly cid: CID; readonly sealedBytes: number }
  | { readonly kind: 'chunk'; readonly cid: CID; readonly sealedBytes: number }

export type ChunkErrorCode =
  | 'chunk-damaged'
  | 'node-damaged'
  /** Patches that are none, or make another chunk: the plain one does. */
  | 'delta-damaged'
  /** More than 64 KiB: a fault of whoever put so much into one node. */
  | 'node-too-large'
  | 'tree-too-deep'
  /** The tree claims more plaintext than the reader allowed. */
  | 'tree-too-large'
  | 'seal-options-invalid'

export function chunkError(
  code: ChunkErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<ChunkErrorCode> {
  return new IoexError(code, message, details)
}
