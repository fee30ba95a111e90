import { KIB, MIB } from '../base/index.ts'

/** What IPFS nodes exchange without splitting is 2 MiB; half of it keeps a chunk's turn on a slow link short. */
export const CHUNK_MAX_BYTES = MIB
/** Below this the recipe's 120 bytes per chunk weigh more than what is found again. */
export const CHUNK_MIN_BYTES = 256
/** zstd stores what does not shrink: 3 bytes per 128 KiB block and a frame header of at most 18. */
export const ZSTD_FRAME_MAX_OVERHEAD_BYTES = 64
/** Tag of AES-256-GCM, appended to the ciphertext. */
export const TAG_BYTES = 16
/** A decoder asks for memory by the window that a frame claims; no chunk has use for more than this (log2). */
export const ZSTD_WINDOW_LOG_MAX = 20

/** One node block, as it is stored. */
export const NODE_MAX_BYTES = 64 * KIB
/** A node's payload after decompression: lists of names shrink well, and four times is not a bomb. */
export const NODE_MAX_PAYLOAD_BYTES = 256 * KIB
/** Nodes are opened one by one in one turn of the event loop; 3 costs 0.1 ms for 8 KiB. */
export const NODE_ZSTD_LEVEL = 3

/**
 * Recipe entries per node: 8 + 2^4 on average. Each changed chunk costs a node, so small ones make small deltas:
 * nodes of 80 entries would cost a fix of one package twice as much, and save 4 % of a whole tree.
 */
export const NODE_CUT_MASK = 0b1111
/** A repeated chunk whose digest always cuts must not give a tree of one-entry nodes. */
export const NODE_MIN_ENTRIES = 8
/** 384 entries of at most 130 bytes stay below 64 KiB. */
export const NODE_MAX_ENTRIES = 384
/** 8^8 chunks, the least a tree of that height holds, are a TiB at 64 KiB. */
export const TREE_MAX_HEIGHT = 8
/** Larger files are not ours: 1 TiB. */
export const TREE_MAX_PLAIN_BYTES = 1024 * 1024 * MIB

/** Twice the threads of Node's pool, so that it never waits for the next chunk. */
export const CHUNKS_IN_FLIGHT = 8
/**
 * Chunks of the same file that are recognised when they come again: 8 GiB of distinct content at 64 KiB, about
 * 60 MB of memory. A chunk that comes again after so many others is sealed and stored a second time (to the
 * same CID) and counted twice.
 */
export const REMEMBERED_CHUNKS = 131_072
/** 16 chunks of at most 128 KiB are 2 MiB, enough to keep several peers busy. */
export const READ_AHEAD_CHUNKS = 16
/** Nodes fetched ahead on each level of a tree: some 200 chunks, so that a recipe is not paid for in round trips. */
export const READ_AHEAD_NODES = 8

/** Of the earlier image, what a patch may refer to: 1 MiB around the place where the chunk should have been. */
export const PATCH_WINDOW_BYTES = MIB
/** A decoder of a patch needs the window and the chunk at once (log2). */
export const PATCH_WINDOW_LOG = 21
/**
 * Changed neighbours that one patch makes: they share tables, repetitions and the loading of the window. Measured
 * on a kernel package, with as much time for both, 4.8 MB by chunks and 3.7 MB by half a MiB.
 */
export const PATCH_PLAIN_BYTES = 512 * KIB
/**
 * Of one patch; more tell that the content is another one. Half a MiB of a program takes a thousand, and 16,384
 * take up to 192 KiB of a device's memory.
 */
export const PATCH_MAX_STEPS = 16_384
/** Of the window, what the neighbours' places may span; the rest is room for a wrong guess. */
export const PATCH_EXTENT_BYTES = 768 * KIB
/** Patches of about 20 KiB travel together; one bundle is one block. */
export const BUNDLE_MAX_BYTES = 256 * KIB
/** Bundles of one list: 36 bytes of link each, which leaves room for the rows in one node. */
export const LIST_MAX_BUNDLES = 256
/** Patches of one list; a row takes up to 30 bytes before compression and 256 KiB are the most. */
export const LIST_MAX_PATCHES = 4_096
/** Of a whole delta, for a reader: 64 GiB of changed chunks, some 30 MB of memory. */
export const DELTA_MAX_PATCHES = 131_072
/** One thread of Node's pool of four is left to files, or a server would stand still for minutes. */
export const PATCHES_IN_FLIGHT = 3
/** A patch that saves less than this part of the plain chunk is not worth its window. */
export const PATCH_MAX_SHARE = 0.95
/** Opened chunks of the earlier image that the publisher keeps: windows of neighbours overlap. */
export const PATCH_READ_CACHE_BYTES = 8 * MIB
/** What patches have made, as a device keeps it: their chunks are wanted nearly in the order of the file. */
export const OPEN_PATCHES = 4
/** Opened bundles that a device keeps. */
export const OPEN_BUNDLES = 12
