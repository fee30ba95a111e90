import { KIB, MIB } from '../base/index.ts'

/** A release has one root and a delta root per earlier version; a drive a root per snapshot that is kept. */
export const MAX_PIN_ROOTS = 1024
/** A vendor has one voucher signer and during a change of keys two; the rest is room for resellers. */
export const MAX_PIN_SIGNERS = 32

/** A signed grant is 370 bytes and a signed receipt 210; whatever is longer is not even decoded. */
export const MAX_GRANT_BYTES = 512
export const MAX_RECEIPT_BYTES = 384
/** 1,024 roots of 34 bytes, 32 signers of 21, and the rest. */
export const MAX_PIN_ORDER_BYTES = 40 * KIB

/** A receipt, its grant and 16 bytes; the other records are shorter. */
export const MAX_PAYLOAD_BYTES = KIB
/** What start reads at a time. */
export const SCAN_WINDOW_BYTES = 256 * KIB
/** One write and one fdatasync hold at most so much: about 4,000 receipts. */
export const MAX_BATCH_BYTES = MIB
/** What waits for a disk that does not come along: 16 batches. More is refused, not remembered. */
export const MAX_QUEUED_BYTES = 16 * MIB
/** Below this size a journal is not worth rewriting. */
export const COMPACT_ABOVE_BYTES = 4 * MIB
/** A journal is rewritten when it is so many times what is still of use. */
export const COMPACT_FACTOR = 4

/** Two machines with NTP differ by less; a grant is used in the second in which it was made. */
export const CLOCK_SKEW_SECONDS = 60
/** Receipts of an expired grant are kept for so long when room is short: longer than any claim takes. */
export const KEEP_EXPIRED_SECONDS = 90 * 24 * 3600
/** About 100 MiB of memory at 1 KiB each. */
export const MAX_SERVER_GRANTS = 100_000
/** A device has a few grants at a time; the oldest make room. About 200 bytes each. */
export const MAX_DEVICE_GRANTS = 4096
/** Servers that one device pays under one grant: its address list has at most 32 entries; it gets several. */
export const MAX_SERVERS_PER_GRANT = 1024
