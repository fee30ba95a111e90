import { GIB, KIB, MIB } from '@ioex/node/base'

/** Largest image: a full disk image of a TV box with room to spare; the stream itself is never buffered. */
export const IMAGE_MAX_BYTES = 8 * GIB
/** Sealed blocks of one own-keys upload: an image that did not compress, plus its tree. */
export const BLOCKS_MAX_BYTES = 9 * GIB
/** Uploads that are packed at the same time: each keeps one core busy with compression. */
export const UPLOADS_AT_ONCE = 4
/** Uploads that were announced and have not ended, per vendor. */
export const UPLOADS_OPEN_PER_VENDOR = 16
/** An announced upload without a body is forgotten after so long. */
export const UPLOAD_IDLE_MS = 60 * 60_000
/** A body that stands still for so long has ended: mobile links pause for seconds, not minutes. */
export const UPLOAD_STALL_MS = 120_000
/** Ended uploads whose progress can still be asked for. */
export const UPLOADS_REMEMBERED = 256

/** Listeners of server-sent events over all: each holds a socket and a queue of one state. */
export const EVENT_LISTENERS_MAX = 1_000
/** A comment line so often keeps proxies from cutting a quiet stream of events. */
export const EVENT_HEARTBEAT_MS = 15_000
/** Device progress is told at most so often per release, so that a fleet does not flood a page. */
export const EVENT_MIN_INTERVAL_MS = 200

/** Requests per second and source, and how many at once after a rest. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}
/** Without a token: a page of the console with its assets, documentation, TUF files of a few devices behind one NAT. */
export const RATE_ANONYMOUS: Rate = { perSecond: 50, burst: 300 }
/** With a token: a console that pages through a fleet, or a script. */
export const RATE_TOKEN: Rate = { perSecond: 100, burst: 500 }
/** Guessing an enrolment code: 32^8 codes, so at 1 a second a hit on 1,000 open ones takes 35 years. */
export const RATE_REDEEM: Rate = { perSecond: 1, burst: 20 }
/** Blocks without a token: roots and nodes only, at most 64 KiB each, about 12 MiB a second per source. */
export const RATE_BLOCKS: Rate = { perSecond: 200, burst: 1_000 }
/** Tokens that were refused, per source: beyond it nobody is looked up any more. */
export const RATE_REFUSED_TOKENS: Rate = { perSecond: 1, burst: 30 }
/**
 * One device that speaks DDI: an installer that streams its image asks for 128 KiB at a time, which at this rate
 * is more than a gigabit; the burst is a whole image of 1 GiB so.
 */
export const RATE_DDI: Rate = { perSecond: 1_000, burst: 10_000 }
/** Sources whose rate is remembered; about 100 bytes each, the least recent is forgotten. */
export const RATE_MAX_SOURCES = 50_000

export const ENROLLMENT_CODE_TTL_MS = 15 * 60_000
/** Codes that one vendor may have open: a factory line prints one per batch. */
export const ENROLLMENT_CODES_PER_VENDOR = 1_000
export const TOKENS_PER_VENDOR = 100
/** One for each site, or batch of a factory. */
export const DDI_GATEWAY_TOKENS_PER_VENDOR = 100
/** Newest releases of a model that are judged for a device: the ones behind wait their turn, as on other devices. */
export const DDI_RELEASES_JUDGED = 4
/** Releases whose key is kept at hand while devices load them; 100 bytes each. */
export const OPENED_RELEASES_MAX = 64
/** Updates of a device that it can still ask about; two years of fortnightly releases. */
export const DDI_ACTIONS_KEPT = 50
/** How exact "last used" of a token is: one write a minute, not one a request. */
export const TOKEN_USED_EVERY_MS = 60_000
/** Rows of a device's history that are kept. */
export const DEVICE_HISTORY_MAX_EVENTS = 200
/** How soon a device asks again; announcements are quicker, this is the net below them. */
export const DEVICE_POLL_S = 300
/** Seen within so long counts as there, on the public page too. */
export const RECENTLY_SEEN_MS = 60 * 60_000

/** A grant lasts so long: a device on a slow link needs hours, a stolen one is worth little by the next day. */
export const GRANT_VALIDITY_S = 24 * 60 * 60
/** Clocks of servers and gateway differ. */
export const GRANT_EARLY_S = 5 * 60
/** `maxBytes` = ceil(1.1 x sealed bytes expected) + 1 MiB (design 2.9): hedged duplicates and lost blocks. */
export const GRANT_SLACK_BYTES = 1 * MIB
/** Grants that a device gets for one release in a day: the first, and more when bytes were lost. */
export const GRANTS_PER_RELEASE_AND_DAY = 20

/** How long a seed is asked to keep a release. */
export const PIN_VALIDITY_S = 180 * 24 * 60 * 60
/** Copies that make a release published, unless the configuration says otherwise. */
export const COPIES_WANTED = 3
/** Seeds that are asked at the same time: all of them read from this node's upload. */
export const PINS_AT_ONCE = 3
/** When seeds could not be reached: first and longest wait before they are asked again. */
export const PIN_RETRY_FIRST_MS = 2_000
export const PIN_RETRY_MAX_MS = 5 * 60_000
/** A seed says where it is; without a new word it is not handed out any more. */
export const SEED_RECORD_TTL_MS = 60 * 60_000
/** A record from the future beyond this is refused: it would shut out its own successors. */
export const SEED_CLOCK_SKEW_MS = 5 * 60_000

export const ADDRESS_LIST_TTL_S = 3_600

/** How often it is looked whether TUF metadata has to be signed again; the timestamp lives a day. */
export const TUF_RENEWAL_CHECK_MS = 60 * 60_000

/** Wraps of full cohorts are 2.4 KB each as base64: a page of them stays far below what a client reads. */
export const WRAPS_PAGE_ITEMS = 256

/** A CAR answer holds at most so many blocks: the metadata tree of an 8 GiB image has about 4,000 nodes. */
export const CAR_MAX_BLOCKS = 200_000
/** Receipts that the bridge reads at once. */
export const RECEIPT_FEED_MAX_ITEMS = 1_000
/** Largest JSON body of calls that are not batches. */
export const SMALL_BODY_MAX_BYTES = 64 * KIB
/** After SIGTERM, requests that run get so long to end. */
export const SHUTDOWN_GRACE_MS = 10_000

/** What devices that do not hear of a hold may go on by; orders are signed anew at half of it. */
export const ROLLOUT_ORDER_LIFETIME_S = 6 * 60 * 60
/** Orders are looked over so often: whether one is to be renewed, or a phase's time has come. */
export const ROLLOUT_TICK_MS = 60_000
/** A fleet that reports at once has its rollout counted so often at most: a count of 50,000 devices takes 20 ms. */
export const ROLLOUT_COUNT_EVERY_MS = 1_000
/** Reports of one device that are kept, the newest: ten years of weekly updates. */
export const REPORTS_KEPT_PER_DEVICE = 1_000
