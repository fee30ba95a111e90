import { MIB } from '../base/index.ts'

/**
 * Chunks asked for at once, 1.5 KiB of memory each: 128 MiB of image, of which the rarest come first, so that
 * devices that fetch the same release have different parts to swap.
 */
export const STAGE_AHEAD_CHUNKS = 2_048
/** Chunks that are opened and written at once, at 64 KiB on average. */
export const STAGE_MAX_CHUNKS = 64
/** Plaintext of these: what an update may take of a small device's memory. */
export const STAGE_MAX_BYTES = 8 * MIB
/** Patches that do not make their chunks, whose chunks a grant for the delta has room for; then comes another grant. */
export const PATCH_FAILURES_MAX = 3
/** Nobody has the patches, or nobody sends any: chunks come from more nodes. */
export const DELTA_GIVE_UP_MS = 20_000
/** A window of the running image and what zstd keeps beside it, while a patch is applied. */
export const PATCH_WORK_BYTES = 2 * MIB
/** The largest chunk that a recipe may name, as the room chunks has it. */
export const CHUNK_MAX_BYTES = MIB
/** Chunks of the largest image at 64 KiB, and its nodes; 130 bytes of memory each while such a file is installed. */
export const CAR_MAX_BLOCKS = 1_100_000
/** A file is read in pieces of this size, each at least one whole block. */
export const CAR_READ_BYTES = 2 * MIB
/** The image is read back in pieces of this size. */
export const VERIFY_READ_BYTES = MIB
/** Larger images are refused before a byte is fetched; no device of today has more flash. */
export const IMAGE_MAX_BYTES = 64 * 1024 * MIB
/** Room beside the image: state, indexes, the tree's nodes, receipts. */
export const DISK_HEADROOM_BYTES = 16 * MIB
/** State and outbox together; the outbox is bounded. */
export const STATE_MAX_BYTES = 4 * MIB
/** Undelivered reports that keep their words, 1 KiB each and with many sources 25 KiB. */
export const OUTBOX_MAX_BODIES = 64
/** Undelivered reports, 600 bytes each without words: a thousand updates without a network. Then the oldest goes. */
export const OUTBOX_MAX_REPORTS = 2_048
/** Sessions with fresh addresses and a fresh grant that one round tries before it waits for the next. */
export const FETCH_ATTEMPTS = 3
/** An installer that fails is called again in later rounds, but not for ever. */
export const INSTALL_ATTEMPTS = 3
/** A grant that ends sooner is renewed before it is used. */
export const GRANT_MARGIN_S = 60
/** Progress is told to the gateway at every such step. */
export const REPORT_EVERY_PERCENT = 10
/** When the gateway does not say how often to ask. */
export const POLL_DEFAULT_S = 900
/** No gateway can make a device ask more often, or stay away for longer than a day. */
export const POLL_MIN_S = 5
export const POLL_MAX_S = 86_400
/** Metadata is read so often even when a gateway says that there is nothing new; it is signed anew each day. */
export const LOOK_EVERY_MS = 60 * 60_000
/** Devices that were switched on together shall not ask together: this share of the wait is random. */
export const POLL_JITTER_SHARE = 0.2
/**
 * An announcement reaches all devices within a second; they spread their first call over this time, which at
 * 300 devices makes a thousand calls a second. Fleets beyond spread by their rollout.
 */
export const HEARD_SPREAD_MS = 300
/** After a failed round; doubles up to the poll interval. */
export const RETRY_FIRST_MS = 5_000
/** An install or health command that says nothing for so long is ended. */
export const INSTALL_TIMEOUT_MS = 15 * 60_000
export const HEALTH_WITHIN_MS = 60_000
export const HEALTH_RETRY_MS = 2_000
/** While a stock client takes its time: how often is asked whether what it was offered stands. */
export const STANDING_EVERY_MS = 60_000
/** The active action of a stock client, the last that ended well, and two between. */
export const STOCK_ACTIONS_KEPT = 4
/** Lines of a client's log for each; with 64 clients they make a megabyte. */
export const STOCK_MESSAGES_KEPT = 10
export const STOCK_FILE_MAX_BYTES = 4 * MIB
/** Releases with a rollout of their own that a device asks about, newest first: the ones behind wait their turn. */
export const ROLLOUTS_FOLLOWED = 4
/** Releases whose last order is remembered, so that none is replayed: two years of monthly releases. */
export const ORDERS_REMEMBERED = 24
/** How often it is looked whether a download still may; a window that shuts is overrun by as much. */
export const POLICY_CHECK_EVERY_MS = 15_000
/** A command that says whether the link is metered asks a local service. */
export const METERED_COMMAND_WITHIN_MS = 10_000
/** Boots of a release without a confirmation; U-Boot's documentation has the same bootlimit in its example. */
export const BOOTS_WITHOUT_CONFIRMATION = 3
/** A hook that says nothing for so long is ended. */
export const HOOK_WITHIN_MS = 5 * 60_000
/** `blockdev --flushbufs` writes what is left in memory first. */
export const FLUSH_WITHIN_MS = 60_000
