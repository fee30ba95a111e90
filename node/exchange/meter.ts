/**
 * What grant holders owe. Per (grant, this server): bytes sent, bytes receipted, and between them at most a
 * window that starts at 256 KiB and doubles with each window paid, up to 4 MiB. Over all running streams of
 * one vendor the unpaid bytes are capped, too.
 *
 * Two figures are kept for what was sent. `sentBytes` opens and shuts the window. `boundBytes` is what can have
 * been sent at most; receipts are checked against it. The two go up together, and a mark ahead of the bound is
 * durable, so that a server that has crashed starts with the bound at the mark: no receipt for bytes that were
 * really sent is refused, while the debts are forgotten: at most one window per grant, which is what the window
 * puts at stake anyway. What was under way when a stream broke is written off in the same way, at most one
 * window, and that comes back with time.
 */
import {
  type Clock,
  fromUtf8,
  type Hex,
  MIB,
  type Result,
  unixSeconds,
  utf8,
} from '../base/index.ts'
import type {
  AdmittedGrant,
  Grant,
  ReceiptRefusal,
  ServerBook,
  SignedReceipt,
} from '../receipts/index.ts'
import type { Records } from '../storage/index.ts'
import {
  FIRST_WINDOW_BYTES,
  LOST_WINDOW_FORGOTTEN_MS,
  MAX_IDLE_ACCOUNTS,
  MAX_UNPAID_PER_VENDOR_BYTES,
  MAX_WINDOW_BYTES,
} from './limits.ts'

type Allowance = 'go' | 'unpaid' | 'vendor-unpaid' | 'used-up'

/** The account of one grant, shared by its streams. */
export interface Account {
  readonly grant: Grant
  /** May so many more bytes go out now? */
  allows(bytes: number): Allowance
  /** Right before they go out. Durable as far as the story above says. */
  charge(bytes: number): void
  accept(receipt: SignedReceipt): Promise<Result<void, ReceiptRefusal>>
  readonly receiptedBytes: bigint
  /**
   * Called when it was paid, and when another account of the vendor was whose debts were in its way. Returns the
   * function that ends it.
   */
  watch(changed: () => void): () => void
  /** A stream has ended. */
  leave(): void
}

export interface Meter {
  /** For a stream under an admitted grant. */
  join(admitted: AdmittedGrant): Account
  /** Drops what was kept of grants that have expired. */
  start(): void
}

interface Vendor {
  unpaidBytes: number
  streams: number
  /** Those that the cap of the vendor holds back; others need not wake when somebody pays. */
  readonly heldBack: Set<State>
}

interface State {
  readonly grant: Grant
  readonly watchers: Set<() => void>
  readonly maxBytes: number
  streams: number
  sentBytes: number
  receiptedBytes: number
  /** Receipted by the device at other servers, as far as it told us. */
  elsewhereBytes: number
  /** Sent, never to be paid, and not yet forgotten. */
  lostBytes: number
  /** Lost so long ago that it no longer counts: neither owed, nor against what may be written off. */
  forgottenBytes: number
  lostAtMs: number
  /** Settles when the last receipt that came is durable or refused. */
  accepting: Promise<unknown>
  /** No more than this has been sent, before and after the last crash. */
  boundBytes: number
  /** Durable, and never below the bound. */
  markBytes: number
}

const TABLE = 'exchange-meter'
/** Receipts for an expired grant may still come for so long. */
const KEPT_AFTER_EXPIRY_S = 7 * 24 * 3_600

/**
 * Each mark costs a durable write, and the loop waits for it: 64 a GiB, and one for a device that takes a small
 * release from many. After a crash a device could sign for as much that it never got, which would cost only
 * those who pay for it.
 */
const MARK_AHEAD_BYTES = 16 * MIB

/** What a device that has paid so many bytes may owe. */
export function windowBytes(receiptedBytes: number): number {
  let window = FIRST_WINDOW_BYTES
  for (let paid = receiptedBytes; paid >= window && window < MAX_WINDOW_BYTES; window *= 2) {
    paid -= window
  }
  return window
}

export function createMeter(needs: {
  readonly book: Pick<ServerBook, 'accept' | 'receiptedBytes'>
  readonly records: Pick<Records, 'get' | 'put' | 'delete' | 'list'>
  readonly clock: Clock
}): Meter {
  const { book, records, clock } = needs
  /** Those without a stream first, the longest unused at the front. */
  const accounts = new Map<Hex, State>()
  const vendors = new Map<string, Vendor>()

  const load = ({ grantId, grant }: AdmittedGrant): State => {
    const receiptedBytes = Number(book.receiptedBytes(grantId))
    const kept = records.get(TABLE, grantId)
    const markBytes = Math.max(kept === undefined ? 0 : decodeMark(kept).markBytes, receiptedBytes)
    return {
      grant,
      watchers: new Set(),
      maxBytes: Number(grant.maxBytes),
      streams: 0,
      sentBytes: receiptedBytes,
      receiptedBytes,
      elsewhereBytes: 0,
      lostBytes: 0,
      forgottenBytes: 0,
      lostAtMs: clock.monotonicMs(),
      accepting: Promise.resolve(),
      boundBytes: markBytes,
      markBytes,
    }
  }
  const unpaid = (state: State) =>
    Math.max(0, state.sentBytes - state.receiptedBytes - state.lostBytes - state.forgottenBytes)
  const forgetIdle = () => {
    for (const [id, state] of accounts) {
      if (accounts.size <= MAX_IDLE_ACCOUNTS) return
      if (state.streams === 0) accounts.delete(id)
    }
  }

  return {
    start() {
      const nowS = unixSeconds(clock)
      const expired: string[] = []
      for (const { key, value } of records.list(TABLE)) {
        if (decodeMark(value).notAfter + KEPT_AFTER_EXPIRY_S < nowS) expired.push(key)
      }
      for (const key of expired) records.delete(TABLE, key)
    },
    join(admitted) {
      const { grantId } = admitted
      const state = accounts.get(grantId) ?? load(admitted)
      accounts.delete(grantId)
      accounts.set(grantId, state)
      forgetIdle()
      const vendorId = state.grant.vendor
      const vendor = vendors.get(vendorId) ?? { unpaidBytes: 0, streams: 0, heldBack: new Set() }
      vendors.set(vendorId, vendor)
      vendor.streams++
      state.streams++
      let left = false

      const forgive = () => {
        const nowMs = clock.monotonicMs()
        const window = windowBytes(state.receiptedBytes)
        const forgotten = Math.min(
          state.lostBytes,
          (window * (nowMs - state.lostAtMs)) / LOST_WINDOW_FORGOTTEN_MS,
        )
        state.lostBytes -= forgotten
        state.forgottenBytes += forgotten
        state.lostAtMs = nowMs
      }
      const settle = (before: number) => {
        vendor.unpaidBytes += unpaid(state) - before
        const woken = [...vendor.heldBack].filter((other) => other !== state)
        vendor.heldBack.clear()
        for (const { watchers } of [...woken, state]) for (const changed of watchers) changed()
      }
      return {
        grant: state.grant,
        watch(changed) {
          state.watchers.add(changed)
          return () => state.watchers.delete(changed)
        },
        get receiptedBytes() {
          return BigInt(state.receiptedBytes)
        },
        allows(bytes) {
          if (state.sentBytes + state.elsewhereBytes + bytes > state.maxBytes) return 'used-up'
          const owed = unpaid(state)
          // One block goes out at any rate, as it may be larger than the first window.
          if (owed > 0 && owed + bytes > windowBytes(state.receiptedBytes)) return 'unpaid'
          const isVendorFull = vendor.unpaidBytes + bytes > MAX_UNPAID_PER_VENDOR_BYTES
          if (!isVendorFull || vendor.unpaidBytes === 0) return 'go'
          vendor.heldBack.add(state)
          return 'vendor-unpaid'
        },
        charge(bytes) {
          const before = unpaid(state)
          state.sentBytes += bytes
          state.boundBytes += bytes
          if (state.boundBytes > state.markBytes) {
            state.markBytes = state.boundBytes + MARK_AHEAD_BYTES
            const { notAfter } = state.grant
            records.put(TABLE, grantId, encodeMark({ markBytes: state.markBytes, notAfter }))
          }
          vendor.unpaidBytes += unpaid(state) - before
        },
        async accept(receipt) {
          const { grantBytes, serverBytes } = receipt.message
          // One after the other: while the first is on its way to the disk, the same one comes over a new stream.
          const accepting = state.accepting.then(() =>
            book.accept(receipt, BigInt(state.boundBytes)),
          )
          state.accepting = accepting.catch(() => undefined)
          const accepted = await accepting
          if (!accepted.ok) {
            const isReplay =
              accepted.reason === 'receipt-not-rising' &&
              serverBytes <= book.receiptedBytes(grantId)
            return isReplay ? { ok: true, value: undefined } : accepted
          }
          const before = unpaid(state)
          state.receiptedBytes = Number(book.receiptedBytes(grantId))
          state.sentBytes = Math.max(state.sentBytes, state.receiptedBytes)
          // It pays what is owed first, then what was given up.
          const unreceipted = state.sentBytes - state.receiptedBytes
          state.lostBytes = Math.min(state.lostBytes, unreceipted)
          state.forgottenBytes = Math.min(state.forgottenBytes, unreceipted - state.lostBytes)
          state.elsewhereBytes = Math.max(state.elsewhereBytes, Number(grantBytes - serverBytes))
          settle(before)
          return accepted
        },
        leave() {
          if (left) return
          left = true
          state.streams--
          vendor.streams--
          if (state.streams === 0) {
            const before = unpaid(state)
            forgive()
            const room = windowBytes(state.receiptedBytes) - state.lostBytes
            state.lostBytes += Math.max(0, Math.min(before, room))
            settle(before)
            // What cannot be written off is still owed, but by nobody who is here.
            vendor.unpaidBytes -= unpaid(state)
            vendor.heldBack.delete(state)
          }
          if (vendor.streams === 0) vendors.delete(vendorId)
        },
      }
    },
  }
}

interface Mark {
  readonly markBytes: number
  readonly notAfter: number
}

function encodeMark(mark: Mark): Uint8Array {
  return utf8(JSON.stringify(mark))
}

function decodeMark(bytes: Uint8Array): Mark {
  return JSON.parse(fromUtf8(bytes)) as Mark
}
