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
 * Pure functions over bytes: blocks go out and come in through functions that the caller hands in.
 * Errors are IoexError with a ChunkErrorCode; everything that is read is taken for hostile until it is checked.
 */
export { openChunk } from './chunk.ts'
export { CHUNKS_IN_FLIGHT, NODE_MAX_BYTES, NODE_MAX_PAYLOAD_BYTES } from './limits.ts'
export { nodeLinks, openNode, sealNode } from './node-block.ts'
export { readFile, treeBlocks, walkTree } from './read.ts'
export { readRange } from './read-range.ts'
export { sealFile } from './seal-file.ts'
export {
  type ChunkErrorCode,
  type ChunkProfile,
  type ChunkRef,
  type GetBlock,
  type NodeContent,
  PROFILE_64K,
  type PutBlock,
  type ReadOptions,
  type SealedFile,
  type SealedNode,
  type SealOptions,
  type TreeBlock,
  type TreeRef,
  type WalkOptions,
} from './types.ts'
