import { KIB, MIB } from '../base/index.ts'

/** Our chunks have at most 256 KiB of plaintext; sealing adds a zstd frame header and a tag. Larger is not served. */
export const MAX_BLOCK_BYTES = 256 * KIB + KIB

/** Digests in one WANT, CANCEL, NOT_HERE or HAVE: 8 KiB, a small frame between two blocks. */
export const MAX_DIGESTS_PER_FRAME = 256

/** Prefixes in one HOLDS: 8 KiB; a fellow that joins late is told of 16 GiB in 256 of them. */
export const MAX_HOLDS_PER_FRAME = 1_024

/** What a fellow got is told to the others this often: half a block at 20 Mbit/s. */
export const TELL_HOLDS_EVERY_MS = 40

/** Prefixes of one fellow that a session remembers: 4 GiB of content. Beyond it is asked as it comes. */
export const MAX_HOLDS_PER_FELLOW = 65_536

/** Fellows named in one PEERS, and those that a session fetches from at once: enough to be well mixed. */
export const MAX_PEERS_TOLD = 12
export const MAX_FELLOWS = 8

/**
 * Those who fetch from us are fetched from as well, or whoever came last would have blocks that nobody asks for:
 * so many in all.
 */
export const MAX_ALL_FELLOWS = 16

/** Until a seed has told of others, and until one that was told of has opened its stream, also on a busy machine. */
export const TOLD_OF_FELLOWS_MS = 1_500
export const MEET_FELLOW_MS = 4_000

/** Fellows that a session knows of, and how often one that cannot be reached is tried. */
export const MAX_KNOWN_FELLOWS = 128
export const FELLOW_ATTEMPTS = 4

/** Peers whose own upload caps are remembered; 100 bytes each. */
export const MAX_CAPPED_LINKS = 1_024

/** Addresses in HERE and per peer in PEERS: a few interfaces, each by TCP and over a circuit. */
export const MAX_REACH_ADDRESSES = 8
export const MAX_URL_BYTES = 256

/**
 * A block that was just sent to one fellow is not sent to the next one before the first could pass it on, to some
 * and these to others. Whoever gets nothing meanwhile asks for blocks by name, and is sent them.
 */
export const SPREAD_AGAIN_MS = 6_000

/** Unanswered wants a server keeps per stream, twice a walk; 64 KiB as strings. More is a breach of the protocol. */
export const MAX_WANTS_PER_STREAM = 512

/** Of one connection: a device has a session for the release, one for a delta, one for what it installs now. */
export const MAX_STREAMS_PER_CONNECTION = 16

/** Served at once; with read-ahead and the transport's buffers about 1 MiB each. More are told to come again. */
export const MAX_SERVED_STREAMS = 512

/** Of these one peer may hold so many while they are scarce: a release, a delta, what is installed, one that ends. */
export const SHARE_OF_SERVED_STREAMS = 4

/**
 * A stream whose reader has taken no block for so long makes room for whoever comes when all are taken: longer
 * than a 256 KiB block takes at 512 kbit/s. Whoever is slower or only waits comes again.
 */
export const STALLED_SLOT_MS = 5_000

/** Whoever has to make room and still reads is told so, and is cut off after this. */
export const MAKE_ROOM_MS = 1_000

/** Blocks read from disk while the one before is being sent. */
export const READ_AHEAD_BLOCKS = 3

/** Whoever takes longer for a block, or to pay, has nothing read ahead: 64 KiB at 2 Mbit/s, many times what the disk takes. */
export const SLOW_READER_MS = 250

/** A stream on which nothing happens for so long is closed; a session opens another one when it has wants. */
export const IDLE_STREAM_MS = 120_000

/** How often a server looks whether blocks that were asked for before they were stored have come. */
export const WATCH_EVERY_MS = 300

/** What a device may owe a server at first: a few blocks, so that a cheat costs next to nothing. */
export const FIRST_WINDOW_BYTES = 256 * KIB

/** What it may owe after having paid several windows: 40 ms at 100 MiB/s. */
export const MAX_WINDOW_BYTES = 4 * MIB

/** Unpaid bytes of all running streams of one vendor: 64 full windows, $0.00003 at $0.1 per GB. */
export const MAX_UNPAID_PER_VENDOR_BYTES = 256 * MIB

/**
 * What was under way when a stream broke is written off, at most one window; that is forgotten in this time.
 * A device that never signs gets 8 KiB/s in this way, out of its own grant.
 */
export const LOST_WINDOW_FORGOTTEN_MS = 30_000

/** Accounts of grants without a stream that are remembered for what they owe; 200 bytes each. */
export const MAX_IDLE_ACCOUNTS = 10_000

/** Peers that a session fetches from at once; a fifth adds less than its handshake costs. */
export const ACTIVE_SOURCES = 4

/** When those are slow or have nothing, more are asked, up to this many. */
export const MAX_ACTIVE_SOURCES = 8

/** A dial that takes longer no longer keeps the next address from being tried (RFC 8305 has 250 ms per address). */
export const SLOW_DIAL_MS = 400

/** Wants that have waited for so long show that the sources in use are too slow. */
export const SLOW_WANT_MS = 2_000

/** A source that broke or refused for now is tried again after this, doubled each time. */
export const RETRY_MIN_MS = 250
export const RETRY_MAX_MS = 15_000

/** Opening a stream: dial, handshake, the server's look at the grant. */
export const OPEN_TIMEOUT_MS = 20_000

/** A session to which not a byte comes for so long gives up. */
export const GIVE_UP_AFTER_MS = 120_000

/** Among fellows it plans and tells no more often: half a block at 40 Mbit/s. */
export const SWARM_TURN_MS = 20

/** The scheduler looks at the clock this often while something is wanted. */
export const TICK_MS = 50

/**
 * Verified blocks that no barrier covers yet: what a power cut may take, beside what is on the wire. Streams are
 * not read on beyond it.
 */
export const MAX_UNWRITTEN_BYTES = 2 * MIB

/** One durable batch. With two of them under way the disk writes one while the other is hashed. */
export const MAX_BATCH_BYTES = MIB

/** Batches under way: while one waits for the disk the next is hashed. */
export const BATCHES_IN_FLIGHT = 2

/** How long the end of a session waits for answers that were under way when it cancelled them. */
export const LAST_ANSWERS_MS = 500

/** How long the end of a session waits until its last receipts are acknowledged. */
export const LAST_RECEIPTS_MS = 1_500

/** Small frames from a server between two blocks; more is junk. */
export const MAX_FRAMES_WITHOUT_BLOCK = 4_096

/** Peers that sent a bad block; the oldest is forgotten first. */
export const MAX_BANNED_PEERS = 10_000
export const BAN_MS = 60 * 60_000

/** Blocks that a walk over a tree asks for at once: 16 MiB at 64 KiB. */
export const WALK_WIDTH = 256

/** Inner nodes of one tree, remembered so that none is walked twice: 128 MiB of memory, 4 TiB of chunks. */
export const MAX_TREE_NODES = 1_048_576

/** Chunks that are recognised when a tree names them again: 16 MiB of memory, 8 GiB of content. */
export const MAX_REMEMBERED_LEAVES = 131_072

/** Links that wait to be walked; one node has at most 1,700, and the walk goes down first. */
export const MAX_TREE_DEPTH = 64

/** A pin order has at most 40 KiB; the rest of the request is small. */
export const MAX_PIN_FRAME_BYTES = 48 * KIB

/** Of one connection; each is a root that a friend waits for. */
export const MAX_PIN_STREAMS = 32

/** Pin requests that are worked on; more wait on disk. */
export const MAX_PIN_JOBS = 8

/** Pin requests kept on disk: 40 MiB with the largest orders, far less as a rule. */
export const MAX_PENDING_PINS = 1_000

/** An open pin request is taken up again this often when its asker could not be reached. */
export const PIN_RETRY_MS = 15_000

/** A session that fetches for a pin gives up earlier: it is taken up again anyway. */
export const PIN_GIVE_UP_MS = 30_000

/** Whoever asked to pin tries again for so long after a stream broke; each sign of progress starts it anew. */
export const ASK_GIVE_UP_MS = 60_000

/** Progress frames of a pin request: a person sees no more. */
export const PROGRESS_EVERY_MS = 200

/** A pin is kept for so long after the order's end, so that a payer who is late loses nothing. */
export const KEPT_AFTER_ORDER_MS = 7 * 24 * 60 * 60_000

/** Roots for which the broker keeps sessions, and for how long after the last block. */
export const MAX_BROKER_SESSIONS = 16
export const BROKER_SESSION_IDLE_MS = 30_000

/** A block that no friend has is given up after this; Helia's callers have their own signal. */
export const BROKER_GIVE_UP_MS = 30_000

/** Bitswap loads all unsent wants of a peer into memory: 16 MiB with the largest blocks. */
export const BITSWAP_MAX_WANTS = 64

/** A message has a deadline as a whole; so it holds a block or two, 8 s at 512 kbit/s. */
export const BITSWAP_MAX_MESSAGE_BYTES = 512 * KIB
export const BITSWAP_MESSAGE_MS = 60_000
export const BITSWAP_MAX_STREAMS = 32

/** What was shared with a friend is read again after this; a share taken back holds so long over bitswap. */
export const VIEW_KEPT_MS = 1_000
export const MAX_VIEWED_FRIENDS = 1_000

/** Blocks that are here already are asked of whoever wants them kept: the first ones all, then one in so many. */
export const POSSESSION_CHECKED_FIRST = 8
export const POSSESSION_CHECKED_ONE_IN = 8

/** Roots of the same friend in which a block is looked for before it is checked. */
export const POSSESSION_MAX_ROOTS = 64
