import { GIB, KIB, MIB } from '../base/index.ts'

/** Bitswap's own ceiling for a block; whatever is larger could not be passed on to a stock IPFS node. */
export const MAX_BLOCK_BYTES = 2 * MIB

/** Large enough that a terabyte needs 16,384 files, small enough that one is rewritten within a second. */
export const SEGMENT_MAX_BYTES = 64 * MIB

/** Below this the files of a small quota (a device) would be too many; still holds any one block. */
export const SEGMENT_MIN_BYTES = 4 * MIB

/** A segment is at most this part of the quota, so that garbage collection has several to choose from. */
export const SEGMENTS_PER_QUOTA = 16

/** One write and one barrier carry at most so much: about 15 ms of a disk that writes 500 MiB/s. */
export const GROUP_MAX_BYTES = 8 * MIB

/** Puts are hashed on the main thread, at about 1.5 GiB/s; after so many bytes others get their turn. */
export const HASH_TURN_BYTES = 4 * MIB

/** Closures kept in memory to look blocks up: 15 GiB of content; one of more than 4 GiB is read piece by piece. */
export const CLOSURE_CACHE_BYTES = 8 * MIB
export const CLOSURE_CACHED_MAX_BYTES = 2 * MIB

/** Whoever reads block after block has as much read at once: a read costs 40 us, whatever its size. */
export const SPAN_BYTES = 512 * KIB
/** Spans kept for the next reader, one for each segment. */
export const MAX_SPANS = 8

/** Read handles kept open per kind of file (segments, closures); well below the usual 1,024 of a process. */
export const OPEN_FILES = 128

/**
 * Dead bytes may be this part of all segments before live blocks are copied away from them: disk use stays
 * below used bytes x 8/7 plus the open segment, and freeing a byte copies seven at the very worst.
 */
export const DEAD_PART_ALLOWED = 1 / 8

/** A segment of which at least this part is dead is rewritten whatever the total. */
export const DEAD_PART_OF_SEGMENT = 1 / 2

/** A sealed segment below this part of the full size is small; more small ones than this are joined. */
export const SMALL_SEGMENT_PART = 1 / 4
export const MAX_SMALL_SEGMENTS = 8

/** Room on the disk beyond what was asked for, besides one segment that is being rewritten: SQLite's log. */
export const DISK_HEADROOM_BYTES = 8 * MIB

/** What garbage collection holds in memory and copies at once. */
export const COPY_BATCH_BYTES = 4 * MIB

/**
 * How often it is looked whether garbage should be collected; a look costs one query. Room comes back at most so
 * much later than it could.
 */
export const COLLECT_CHECK_EVERY_MS = 60_000

/** Collections that nobody asked for keep this distance, so that many small changes make one of them. */
export const COLLECT_EVERY_MS = 10 * 60_000

/** And rest this many times as long as the last one took: a tenth of the time at most, however large the store. */
export const COLLECT_RESTS_AT_LEAST = 9

/** Above this part of the quota garbage goes at the next look, before somebody has to wait for room. */
export const NEARLY_FULL_PART = 0.9

/**
 * A session that was left behind by a crash and that nobody opened again for a week is dropped by garbage
 * collection: its owner would have to fetch or pack again, but forgotten ones do not fill the disk for ever.
 */
export const SESSION_ABANDONED_AFTER_MS = 7 * 24 * 3_600_000

/** Entries that are marked or swept between two turns of the event loop: below 5 ms. */
export const MARK_TURN_ENTRIES = 16_384

/** A record is a small value; more would make SQLite's log and every page of a listing heavy. */
export const MAX_RECORD_BYTES = 64 * KIB

/** Keys are CIDs, addresses and paths of namespaces; the index holds them twice. */
export const MAX_RECORD_KEY_BYTES = 1 * KIB

/** Records read at once while listing: at most 4 MiB in memory. */
export const RECORDS_PER_PAGE = 64

/**
 * Hints wait so long for others to be written with: libp2p writes the entry of a peer several times for each
 * connection, which was a tenth of a seed's time; a crash loses what it learned of peers since.
 */
export const HINTS_WRITTEN_EVERY_MS = 10_000

/** More are written at once: a transaction of so many entries of peers, 1 KiB each, takes below 10 ms. */
export const MAX_UNWRITTEN_HINTS = 512
export const MAX_UNWRITTEN_HINT_BYTES = 1 * MIB

/** Ids of segments and offsets in them are 32 bits wide in the index. */
export const MAX_QUOTA_BYTES = 1024 * 1024 * GIB
