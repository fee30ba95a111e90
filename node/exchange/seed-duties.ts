import { type AbortOptions, type Clock, type Log, type Startable, toHex } from '../base/index.ts'
import { type GatewayClient, SEED_RECORD_PURPOSE, seedRecordMessage } from '../api/index.ts'
import type { Identity } from '../identity/index.ts'
import type { ServerBook } from '../receipts/index.ts'
import type { Records } from '../storage/index.ts'
import { createReceiptHandIn } from './receipt-hand-in.ts'
import { repeat } from './repeat.ts'

/** A record is said again after this share of its validity, so that one lost call does not unlist a seed. */
const RENEW_AFTER_SHARE = 0.5
const RECORD_RETRY_MS = 5_000
const RECORD_MAX_WAIT_MS = 60_000

/** What a seed owes its gateway: the receipts it was given, and where it can be reached. */
export interface SeedDuties extends Startable {
  /** Hands in what is new, now; resolves to how many receipts the gateway took. */
  handIn(options?: AbortOptions): Promise<number>
}

export interface SeedDutiesNeeds {
  readonly book: Pick<ServerBook, 'since' | 'newestCursor'>
  readonly gateway: Pick<GatewayClient, 'sendReceipts' | 'sendSeedRecord'>
  readonly identity: Pick<Identity, 'publicKey' | 'signMessage'>
  readonly records: Pick<Records, 'get' | 'put'>
  /** Asked at each renewal, as addresses change. */
  readonly where: () => {
    readonly multiaddrs: readonly string[]
    readonly http: string | undefined
  }
  readonly clock: Clock
  readonly log: Log
}

export function createSeedDuties(
  needs: SeedDutiesNeeds,
  options: { readonly region?: string },
): SeedDuties {
  let stopping = new AbortController()
  let running: Promise<unknown> = Promise.resolve()
  const receipts = createReceiptHandIn(needs)
  return {
    handIn: receipts.handIn,
    start: async () => {
      stopping = new AbortController()
      const { signal } = stopping
      await receipts.start()
      const timing = {
        what: 'address',
        firstWaitMs: RECORD_RETRY_MS,
        maxWaitMs: RECORD_MAX_WAIT_MS,
      }
      running = repeat(needs, timing, signal, () => sayWhere(needs, options, signal))
    },
    stop: async () => {
      stopping.abort()
      await receipts.stop()
      await running
    },
  }
}

/** Resolves to when it has to be said again, in milliseconds from now. */
async function sayWhere(
  needs: SeedDutiesNeeds,
  options: { readonly region?: string },
  signal: AbortSignal,
): Promise<number> {
  const { multiaddrs, http } = needs.where()
  if (multiaddrs.length === 0) return RECORD_RETRY_MS
  const record = {
    publicKey: toHex(needs.identity.publicKey),
    multiaddrs: [...multiaddrs],
    ...(http === undefined ? {} : { http }),
    ...(options.region === undefined ? {} : { region: options.region }),
    issuedAtMs: needs.clock.nowMs(),
  }
  const signature = toHex(
    needs.identity.signMessage(SEED_RECORD_PURPOSE, seedRecordMessage(record)),
  )
  const answer = await needs.gateway.sendSeedRecord({ ...record, signature }, { signal })
  const validMs = Date.parse(answer.validUntil) - needs.clock.nowMs()
  return Math.max(RECORD_RETRY_MS, validMs * RENEW_AFTER_SHARE)
}
