import { type AbortOptions, type Clock, type Log, type Startable } from '../base/index.ts'
import { type GatewayClient, RECEIPT_BATCH_MAX_ITEMS } from '../api/index.ts'
import type { ServerBook } from '../receipts/index.ts'
import type { Records } from '../storage/index.ts'
import { repeat } from './repeat.ts'

/** How often it is looked whether something is there to be handed in. */
const HAND_IN_EVERY_MS = 2_000
/**
 * While new ones come they wait, as each overtakes the one before of its grant, but no longer than this: a receipt
 * is worth nothing less for being late.
 */
const HAND_IN_WITHIN_MS = 10_000
/** After a failure the wait doubles up to this, so that a gateway coming back is not run over. */
const HAND_IN_MAX_WAIT_MS = 60_000

const TABLE = 'seed-duties'
const CURSOR = 'receipts-handed-in'

/**
 * Whoever serves under grants hands the receipts in at the gateway, each as soon as it is durable here. None is
 * lost when the gateway is away: receipts stay in the book, the cursor behind them moves only once the gateway
 * has them.
 */
export interface ReceiptHandIn extends Startable {
  /** Hands in what is new, now; resolves to how many receipts the gateway took. */
  handIn(options?: AbortOptions): Promise<number>
}

export interface ReceiptHandInNeeds {
  readonly book: Pick<ServerBook, 'since' | 'newestCursor'>
  readonly gateway: Pick<GatewayClient, 'sendReceipts'>
  readonly records: Pick<Records, 'get' | 'put'>
  readonly clock: Clock
  readonly log: Log
}

export function createReceiptHandIn(needs: ReceiptHandInNeeds): ReceiptHandIn {
  let stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()
  // One hand-in at a time, or two would send the same receipts.
  let turn: Promise<unknown> = Promise.resolve()

  const handIn = (abort?: AbortOptions): Promise<number> => {
    const mine = turn.then(() => handInOnce(needs, abort))
    turn = mine.catch(() => undefined)
    return mine
  }
  return {
    handIn,
    start: () => {
      stopping = new AbortController()
      const { signal } = stopping
      const options = {
        what: 'receipts',
        firstWaitMs: HAND_IN_EVERY_MS,
        maxWaitMs: HAND_IN_MAX_WAIT_MS,
      }
      let seen = -1
      let sinceMs = needs.clock.monotonicMs()
      running = repeat(needs, options, signal, async () => {
        const newest = needs.book.newestCursor()
        const isQuiet = newest === seen
        seen = newest
        if (isQuiet || needs.clock.monotonicMs() - sinceMs >= HAND_IN_WITHIN_MS) {
          await handIn({ signal })
          sinceMs = needs.clock.monotonicMs()
        }
        return HAND_IN_EVERY_MS
      })
      return Promise.resolve()
    },
    stop: async () => {
      stopping.abort()
      await running
    },
  }
}

async function handInOnce(needs: ReceiptHandInNeeds, abort?: AbortOptions): Promise<number> {
  let taken = 0
  for (;;) {
    const kept = needs.records.get(TABLE, CURSOR)
    const cursor = kept === undefined ? 0 : Number(new TextDecoder().decode(kept))
    const items = needs.book.since(cursor, RECEIPT_BATCH_MAX_ITEMS)
    const last = items.at(-1)
    if (last === undefined) return taken
    const result = await needs.gateway.sendReceipts(items, abort)
    for (const refusal of result.refused) {
      needs.log.warn(refusal, 'the gateway refused a receipt; it can be claimed on chain by itself')
    }
    taken += result.stored
    needs.records.put(TABLE, CURSOR, new TextEncoder().encode(String(last.cursor)))
  }
}
