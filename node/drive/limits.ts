/** One page is about this many entries: small enough that one changed file costs little, large enough that a
 * million files are 8,000 pages. */
export const PAGE_AVERAGE_ENTRIES = 128
/** A page is one sealed node of at most 64 KiB; entries are cut off below that even if nothing compresses. */
export const PAGE_MAX_PAYLOAD_BYTES = 48 * 1024
/** Files below this share their page's bundle; larger ones have a recipe tree of their own. */
export const BUNDLED_FILE_MAX_BYTES = 64 * 1024
/** A bundle does not grow beyond this: its page is cut instead, so that one change re-reads at most so much. */
export const BUNDLE_MAX_BYTES = 4 * 1024 * 1024
/** References in one index node: 512 of 80 bytes are 40 KiB. */
export const INDEX_MAX_ITEMS = 512
export const INDEX_AVERAGE_ITEMS = 256
/** 512^4 pages; deeper is an attack. */
export const INDEX_MAX_DEPTH = 4
/** The catalog is one sealed node: 256 snapshots of at most 210 bytes are 53 KiB of its 64. */
export const CATALOG_MAX_SNAPSHOTS = 256
/** A label that is longer is cut; a folder's name may have 255 bytes, and 256 of them would not fit. */
export const LABEL_MAX_BYTES = 64
/** A path as Linux bounds it (PATH_MAX). */
export const PATH_MAX_BYTES = 4096
/** The head has to fit into a DHT record of 1 KiB, so it names at most so many peers of 33 bytes. */
export const HEAD_MAX_PEERS = 12
export const HEAD_MAX_BYTES = 1024
/** Files that are written at once while restoring; each reads ahead by 16 chunks. */
export const RESTORE_FILES_IN_FLIGHT = 4
/** zstd's default; backups are often already compressed (photos), more gains little. */
export const ZSTD_LEVEL = 3
/** One drive request or answer: a head and its frame. */
export const DRIVE_FRAME_MAX_BYTES = 2 * 1024
/** Proofs asked of one peer at once: one less than the streams it takes from us. */
export const CHECK_AT_ONCE = 3
/** Streams of one friend; each is one question. */
export const DRIVE_MAX_STREAMS = 4
/** Where no blocks are, a check follows so many random paths from the root to a block. */
export const CHECK_PATHS = 64
/** One answer on `/ioex/drive/1.0.0`; a friend that needs longer counts as not there. */
export const DRIVE_ANSWER_MS = 10_000
/** What `check` asks for when not told otherwise: finds a peer that lost 5 % of 1,000 blocks with 40 % per run. */
export const CHECK_DEFAULT_SHARE = 0.01
/** Proofs asked of one peer in one check; each is a disk read there. */
export const CHECK_MAX_BLOCKS = 2_000
/** Pages remembered so that untouched files are not read again; 100 bytes each. */
export const MAX_KNOWN_PAGES = 65_536
/** Omissions that a report lists; a folder that cannot be read at all may have millions. */
export const OMITTED_MAX_LISTED = 1_000
/**
 * A file that was changed so shortly before the scan may change once more within the same tick of the file
 * system's clock (4 ms on Linux, 2 s on FAT), unseen: its page is read again next time.
 */
export const SETTLED_AFTER_MS = 2_000
/** A restore lets go of blocks that are written after so much, so that it needs no room for all of them. */
export const RESTORE_HELD_MAX_BYTES = 1024 * 1024 * 1024
/** And never holds more than this part of the quota; there are two such parts at a time. */
export const RESTORE_HELD_QUOTA_PART = 4
/** Folders of a destination that are known to be folders; forgetting costs one look each. */
export const MAX_KNOWN_FOLDERS = 100_000
/** How often a peer that answers is asked to let go of a root; then it has had none. */
export const UNPIN_ATTEMPTS = 3
/** A catalog is one block; no peer that has it needs longer. */
export const CATALOG_GIVE_UP_MS = 30_000
/** A machine that knows nothing asks again while its connections come up. */
export const FIND_ATTEMPTS = 5
export const FIND_AGAIN_MS = 1_500
/** Nodes of one node whose blocks are counted to a new snapshot at once; each has at most 384 leaves of 36 bytes. */
export const ADOPT_NODES_AT_ONCE = 8
