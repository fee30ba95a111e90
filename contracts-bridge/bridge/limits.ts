/** Receipts asked for at once; the gateway gives at most 500. */
export const PULL_PAGE_ITEMS = 500
/** How often the gateway is asked when it had nothing new. */
export const PULL_EVERY_MS = 2_000
/** An epoch costs about 150,000 chain gas whatever it holds, so an hour's worth is bundled. */
export const EPOCH_EVERY_MS = 3_600_000
/** After a failure the next try waits this long, then twice as long, up to the second figure. */
export const RETRY_FIRST_MS = 500
export const RETRY_LAST_MS = 30_000
/** Blocks, the one of the transaction included, after which an epoch counts as settled. */
export const CONFIRMATIONS = 3
/** A forced epoch answers after this time with what it has got to. */
export const FORCED_EPOCH_MAX_MS = 120_000
/** How often the chain is asked for a receipt or for new blocks. */
export const CHAIN_POLL_MS = 250
/** A transaction that no block has taken for so long is sent again with a higher fee. */
export const STUCK_AFTER_MS = 30_000
/** Fees rise by an eighth each time, the least that nodes accept for a replacement: 5 times the first in the end. */
export const REPLACEMENTS_MAX = 14
/** A first claim costs up to 110,000 chain gas: 100 of them stay well within a block of 30 million. */
export const CLAIMS_PER_TRANSACTION = 100
/** Accounts read from the chain at the same time. */
export const READS_AT_ONCE = 32
/** Reasons for amounts that were not paid, kept and shown; older ones are in the log only. */
export const REFUSALS_KEPT = 10_000
/** Transactions kept and shown; older ones are in the log and on the chain. */
export const TRANSACTIONS_KEPT = 10_000
/** An answer of the gateway: a page of 500 receipts is about 700 kB. */
export const GATEWAY_ANSWER_MAX_BYTES = 8 * 1024 * 1024
/** Without an answer for so long a call to the gateway is given up. */
export const GATEWAY_TIMEOUT_MS = 30_000
