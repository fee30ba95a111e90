import { asError, type Clock, codeOf, type Hex, type Log, type Startable } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import type { Deployment } from '../deploy/deployment.ts'
import { admit } from './admission.ts'
import { createBooks } from './books.ts'
import { createChain } from './chain.ts'
import { type Journal, openJournal } from './journal.ts'
import {
  CHAIN_POLL_MS,
  CONFIRMATIONS,
  EPOCH_EVERY_MS,
  FORCED_EPOCH_MAX_MS,
  PULL_EVERY_MS,
  PULL_PAGE_ITEMS,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
} from './limits.ts'
import { type JournalRecord, toJournal } from './records.ts'
import { type Progress, settleVendor, type SettleNeeds } from './settle.ts'
import { type BridgeStatus, type Reachability, statusOf } from './status.ts'
import { createSender } from './transactions.ts'
import { bridgeError, type EpochSigner, type FeedItem, type ReceiptSource } from './types.ts'

export interface BridgeNeeds {
  readonly source: ReceiptSource
  readonly signer: EpochSigner
  readonly clock: Clock
  readonly log: Log
}

export interface BridgeOptions {
  /** The journal is kept here; one bridge at a time. */
  readonly folder: string
  readonly rpcUrl: string
  readonly deployment: Deployment
  /** Pays for transactions; needs no other right. */
  readonly senderKey: Hex
  readonly pullEveryMs?: number
  readonly epochEveryMs?: number
  /** Blocks, the transaction's own included, after which an epoch counts as settled. */
  readonly confirmations?: number
  readonly stuckAfterMs?: number
}

export interface Bridge extends Startable {
  /** What the books and the last look at the chain say; asks nobody. */
  status(): BridgeStatus
  /**
   * Pulls everything and settles now. Answers when all is settled or put off, or when `maxMs` are over. Throws
   * when gateway or chain do not answer.
   */
  settleNow(options?: { readonly maxMs?: number }): Promise<BridgeStatus>
}

export async function createBridge(needs: BridgeNeeds, options: BridgeOptions): Promise<Bridge> {
  const { clock, log, source } = needs
  const { deployment } = options
  const books = createBooks()
  const journal: Journal = await openJournal(options.folder, books.replay)
  const chain = createChain({ rpcUrl: options.rpcUrl, deployment })
  const sender = createSender(
    { provider: chain.provider, clock, log },
    {
      ...{ key: options.senderKey, chainId: deployment.chainId },
      ...(options.stuckAfterMs === undefined ? {} : { stuckAfterMs: options.stuckAfterMs }),
    },
  )
  const domain = { chainId: deployment.chainId, verifyingContract: deployment.settlement }
  const progress = new Map<EvmAddress, Progress>()
  const reach: { chain: Reachability; gateway: Reachability } = {
    chain: 'not-asked-yet',
    gateway: 'not-asked-yet',
  }
  const ending = new AbortController()
  const { signal } = ending
  const loops: Promise<void>[] = []
  let stopping: Promise<void> | undefined

  const record = async (...records: readonly JournalRecord[]) => {
    await journal.append(records.map(toJournal))
    for (const one of records) books.apply(one)
  }
  const settleNeeds: SettleNeeds = {
    chain,
    sender,
    signer: needs.signer,
    clock,
    log,
    books,
    record,
  }
  const settleOptions = { confirmations: options.confirmations ?? CONFIRMATIONS }

  /** Items of one page that do not depend on each other go into the journal with one fsync. */
  const takeIn = async (items: readonly FeedItem[]) => {
    let batch = new Map<string, JournalRecord>()
    for (const item of items) {
      const key = JSON.stringify(item.receipt, ['message', 'grantId', 'server']) ?? ''
      if (batch.has(key)) {
        await record(...batch.values())
        batch = new Map()
      }
      batch.set(key, admit(domain, books, item))
    }
    await record(...batch.values())
  }
  const pullAll = async () => {
    for (;;) {
      signal.throwIfAborted()
      const items = await source.pull(books.cursor, PULL_PAGE_ITEMS, { signal })
      reach.gateway = 'answers'
      const isRising = items.every(
        ({ cursor }, at) => cursor > (items[at - 1]?.cursor ?? books.cursor),
      )
      if (!isRising) {
        throw bridgeError('source-invalid', 'the cursors of the feed do not rise', {
          blame: 'peer',
          fix: 'Check the gateway: its feed of receipts is out of order.',
        })
      }
      await takeIn(items)
      if (items.length < PULL_PAGE_ITEMS) return
    }
  }
  /** True when a vendor waits for blocks only. */
  const settleAll = async () => {
    let isWaiting = false
    const failures: unknown[] = []
    for (const [vendor, book] of books.vendors) {
      try {
        const now = await settleVendor(settleNeeds, settleOptions, vendor, book, { signal })
        progress.set(vendor, now)
        reach.chain = 'answers'
        isWaiting ||= now.putOff === 'unconfirmed'
      } catch (thrown) {
        // One vendor's trouble is not the next one's.
        failures.push(thrown)
      }
    }
    if (failures.length > 0) throw asError(failures[0])
    return isWaiting
  }

  // Pulls and settlements each run one at a time, whoever asks for them.
  const pull = oneAtATime(() => pullAll())
  const settle = oneAtATime(() => settleAll())

  /** Repeats until the bridge ends; after a failure sooner, then with growing pauses. */
  const repeat = async (
    what: 'gateway' | 'chain',
    everyMs: number,
    run: () => Promise<unknown>,
  ) => {
    let retryMs = RETRY_FIRST_MS
    while (!signal.aborted) {
      let pauseMs = everyMs
      try {
        const isWaiting = (await run()) === true
        if (isWaiting) pauseMs = Math.min(everyMs, PULL_EVERY_MS)
        retryMs = RETRY_FIRST_MS
      } catch (thrown) {
        if (isEnding(signal)) return
        const silent = codeOf(thrown) === 'gateway-unreachable' ? 'gateway' : what
        reach[silent] = 'silent'
        log.warn({ error: asError(thrown), silent, retryMs }, 'will try again')
        pauseMs = retryMs
        retryMs = Math.min(retryMs * 2, RETRY_LAST_MS)
      }
      await clock.sleep(pauseMs, { signal }).catch((thrown: unknown) => {
        if (!isEnding(signal)) throw thrown
      })
    }
  }

  return {
    status: () => statusOf(books, progress, reach),
    async settleNow({ maxMs = FORCED_EPOCH_MAX_MS } = {}) {
      const until = clock.monotonicMs() + maxMs
      await pull()
      while (await settle()) {
        if (clock.monotonicMs() >= until) break
        await clock.sleep(CHAIN_POLL_MS, { signal })
      }
      return statusOf(books, progress, reach)
    },
    start() {
      if (loops.length === 0) {
        loops.push(
          repeat('gateway', options.pullEveryMs ?? PULL_EVERY_MS, pull),
          repeat('chain', options.epochEveryMs ?? EPOCH_EVERY_MS, settle),
        )
      }
      return Promise.resolve()
    },
    stop() {
      stopping ??= (async () => {
        ending.abort(new Error('the bridge is being stopped'))
        await Promise.allSettled([...loops, pull.idle(), settle.idle()])
        chain.close()
        await journal.close()
      })()
      return stopping
    },
  }
}

function isEnding(signal: AbortSignal): boolean {
  return signal.aborted
}

/** Runs `work` once more for whoever asks while it runs, never twice at the same time. */
function oneAtATime<T>(work: () => Promise<T>): (() => Promise<T>) & { idle(): Promise<unknown> } {
  let last: Promise<unknown> = Promise.resolve()
  const run = () => {
    const mine = last.then(work, work)
    last = mine
    return mine
  }
  return Object.assign(run, { idle: () => last })
}
