/** Devices whose tokens are remembered; about 600 bytes each, the one that polled least recently is forgotten. */
export const POLLED_DEVICES_MAX = 100_000
/** A device that was taken off is refused after this, on every gateway of one database. */
export const REMOVALS_CHECKED_EVERY_MS = 1_000
/** What a model is told is looked up so often at most; announcements are quicker. */
export const ANSWER_KEPT_MS = 1_000
/** Models whose answer is kept; 300 bytes each. */
export const ANSWERS_MAX = 10_000
/** How exact "last seen" is: a device that polls each minute is written once in five. */
export const SEEN_EVERY_MS = 5 * 60_000
/** One transaction with what devices said, so often at most: each keeps everybody waiting for the disk. */
export const NOTES_WRITTEN_EVERY_MS = 10_000
/** Devices in one transaction, about 50 ms of the gateway; the others wait for the next one. */
export const NOTES_PER_TRANSACTION = 10_000
/** Devices that wait to be written; whoever finds no place is written after its next poll. */
export const NOTES_MAX = 50_000
/** Whoever polls more often, 100 times a second, is held against the rate of its token like any other call. */
export const RECALLED_EVERY_MS = 10
