import { KIB } from '../base/index.ts'

/** A feedback with a page of log lines in it; hawkBit's own limit on details is below this. */
export const BODY_MAX_BYTES = 64 * KIB
/** Ids that clients read as a signed 32-bit number (SWUpdate: `json_object_get_int`). */
export const ACTION_ID_MAX = 2 ** 31 - 1
/** Messages that an action remembers, newest first; hawkBit keeps 50 of each of 1,000 reports. */
export const MESSAGES_MAX = 50
/** A line of a log. */
export const MESSAGE_MAX_CHARS = 512
/** Attributes of a device, and the length of their names and values, as hawkBit bounds them. */
export const ATTRIBUTES_MAX = 500
export const ATTRIBUTE_MAX_CHARS = 128
/** Ranges of one request: SWUpdate asks for 10, Apache allows 200, and Node's limit on heads ends near 800. */
export const RANGES_MAX = 500
/** The longest `Range` header that is looked at; Node takes heads of 16 KiB. */
export const RANGE_HEADER_MAX_CHARS = 16 * KIB
