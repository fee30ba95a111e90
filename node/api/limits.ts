import { KIB, MIB } from '../base/index.ts'

/** Items of one page; 100 rows of devices are about 4 kB compressed. */
export const PAGE_DEFAULT_ITEMS = 100
/** The most one may ask for in one page, so that one request never reads a whole fleet. */
export const PAGE_MAX_ITEMS = 1_000
/** Random entries of the address list that a device gets: enough to lose most and still have a choice. */
export const DEVICE_ADDRESS_MAX_ENTRIES = 32
/**
 * Devices that share one wrap of a release key. Each of them fetches all of it, 1.8 KB, and tries half the stanzas on
 * average, a millisecond each and more on small devices. With 256 it would be a tenth of a small delta, and take
 * a twentieth less room at the gateway.
 */
export const COHORT_MAX_DEVICES = 16
/** Devices that a publisher is told of at once: 16 cohorts. */
export const RECIPIENT_PAGE_ITEMS = 256
/** Cohorts that a publisher sends at once: 16 pages of devices, 3 KB each as JSON. */
export const WRAPS_AT_ONCE = 256
/** A wrap for a full cohort with room to spare. */
export const WRAP_MAX_BYTES = 8 * KIB
/** Grant and receipt are about 1 KiB as JSON, so a batch stays below the limit of JSON bodies. */
export const RECEIPT_BATCH_MAX_ITEMS = 500
/** Multiaddrs that one node names: direct and relayed, two address families, a few relays. */
export const NODE_MAX_MULTIADDRS = 16
/** A JSON body: a full batch of receipts, or the wraps of some cohorts, fits. */
export const JSON_BODY_MAX_BYTES = 4 * MIB
/** What the client reads of a JSON answer: a full page of devices or receipts with room to spare. */
export const JSON_ANSWER_MAX_BYTES = 8 * MIB
/** What the client reads of a problem document before it gives up on its wording. */
export const PROBLEM_MAX_BYTES = 64 * KIB
/** Largest TUF file: tuf-js takes targets up to 5,000,000 bytes. */
export const TUF_FILE_MAX_BYTES = 5_000_000
/** Largest block of this product: a 256 KiB chunk that did not compress, plus its seal; 2 MiB is bitswap's. */
export const BLOCK_MAX_BYTES = 2 * MIB
/** Without an answer's head for so long a call is given up; bodies may take longer while bytes move. */
export const CALL_TIMEOUT_MS = 30_000
/** Without a byte of the body for so long a call is given up. */
export const BODY_IDLE_TIMEOUT_MS = 30_000
/** Witnesses of a phase that an order names, and reports of theirs that it shows: as the room firmware has it. */
export const ROLLOUT_WITNESSES_MAX = 1_024
export const ROLLOUT_EVIDENCE_MAX_REPORTS = 256
/** 256 reports of 360 bytes and 1,024 witnesses of 45 in JSON are 138 KiB. */
export const ROLLOUT_ORDER_MAX_BYTES = 192 * KIB
