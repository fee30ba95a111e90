/**
 * Bytes become blocks that any peer can hold, check and pass on, and that nobody can read without the recipe.
 *
 * A file is cut into content-defined chunks (FastCDC; cut on plaintext, so that an insertion changes the
 * chunks around it and no others). Each chunk is compressed with zstd and sealed with AES-256-GCM under
 * `HKDF-SHA256(content secret, 'ioex/chunk/1' || form || SHA-256(the exact compressed bytes))` with nonce zero:
 * a key never seals two byte strings, equal chunks of one secret give equal blocks. The CID is that of the
 * sealed bytes (CIDv1, raw, sha2-256).
 *
 * The order of chunks, their plaintext hashes and keys stand in a tree of *node* blocks
 * (dag-cbor `{links: [CID], sealed}`, at most 64 KiB, cut by content): `links` is what any IPFS node pins
 * recursively, `sealed` is the recipe. A new version of a file costs its changed chunks and changed nodes.
 *
 * A *node* need not be a recipe: `sealNode` makes one of any payload and links (the drive keeps its listings so).
 *
 * For whoever has an earlier image, changed chunks come smaller as *patches* (`sealDelta`): steps over a window of
 * 1 MiB of that image, or content with that window as zstd dictionary, bundled, sealed with form `patch`. A patch is a hint like all
 * else: what it makes is compared with the recipe's plaintext hash, and the plain chunk is always there.
 *
 * Pure functions over bytes: blocks go out and come in through functions that the caller hands in.
 * Errors are IoexError with a ChunkErrorCode; everything that is read is taken for hostile until it is checked.
 */
export { openChunk } from './chunk.ts'
export {
  CHUNKS_IN_FLIGHT,
  NODE_MAX_BYTES,
  NODE_MAX_PAYLOAD_BYTES,
  PATCH_WINDOW_BYTES,
} from './limits.ts'
export { nodeLinks, openNode, sealNode } from './node-block.ts'
export { openPatches, type Patches } from './open-delta.ts'
export { readFile, treeBlocks, walkTree } from './read.ts'
export { sealDelta } from './seal-delta.ts'
export { readRange } from './read-range.ts'
export { sealFile } from './seal-file.ts'
export {
  type Bundle,
  type ChunkErrorCode,
  type ChunkProfile,
  type ChunkRef,
  type DeltaOptions,
  type GetBlock,
  type NodeContent,
  type Patch,
  PROFILE_16K,
  PROFILE_64K,
  type PutBlock,
  type ReadOptions,
  type SealedDelta,
  type SealedFile,
  type SealedNode,
  type SealOptions,
  type TreeBlock,
  type TreeRef,
  type WalkOptions,
} from './types.ts'
