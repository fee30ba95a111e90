import { KIB } from '../base/index.ts'

export const MAX_FRIENDS = 1000
/** Requests that wait for their owner. When full, newcomers are turned away: what he has seen stays. */
export const MAX_PENDING_REQUESTS = 64
/** Own requests that wait for an answer. */
export const MAX_OWN_REQUESTS = 64
/** Former friends and declined people remembered, so that their old messages are not taken for new ones. */
export const MAX_PAST = 1000
/** Peers admitted by a grant at one time. */
export const MAX_ADMISSIONS = 10_000
/** A connection outlives the grant that opened it by at most so long. */
export const SWEEP_INTERVAL_MS = 15_000
export const MAX_HELLO_BYTES = 256
export const MAX_NAME_LETTERS = 64
/** Addresses taken from one peer: a few interfaces, a few relays. */
export const MAX_ADDRESSES = 16
export const MAX_ADDRESS_BYTES = 256

/** Both sides of a knock, over HTTP or over a bootstrap. */
export const MAX_KNOCK_BYTES = 4 * KIB
export const KNOCK_TIMEOUT_MS = 10_000
/** Opening a sealed knock costs half a millisecond of CPU. */
export const KNOCKS_PER_IP = { count: 60, perMs: 60_000 }
export const KNOCKS_PER_PEER = { count: 30, perMs: 60_000 }
export const KNOCKS_IN_ALL = { count: 3000, perMs: 60_000 }
export const MAX_RATE_KEYS = 10_000
/** Grant knocks remembered against replay, each until its grant ends. */
export const MAX_SEEN_NONCES = 10_000
/** Guesses of the pairing code; six digits last 140 days on average at this rate. */
export const PAIRING_ATTEMPTS = { count: 5, perMs: 60_000 }

/** An own request that was not answered is sent again after so long, doubling. */
export const RETRY_MIN_MS = 5_000
export const RETRY_MAX_MS = 10 * 60_000
/** Addresses told to a friend: one small frame each way. */
export const ADDRESS_FRAME_BYTES = 8 * KIB
export const ADDRESS_TIMEOUT_MS = 10_000
