import { asError, type Clock, codeOf, type Log } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { DeviceBook, SignedGrant, SignedReceipt } from '../receipts/index.ts'
import { createBell, orAborted } from './bell.ts'
import { MAX_WINDOW_BYTES } from './limits.ts'
import { windowBytes } from './meter.ts'

/**
 * What one server is owed by this session. Verified, durable bytes are added as they come. A receipt is due
 * when a part of the server's window has come, so that the rest keeps it busy meanwhile; when less has come,
 * after a moment; and at once when the server waits for one or the session ends. One signature at a
 * time covers all that has been added since the last, and nothing waits for an answer. It outlives streams:
 * what is signed while the server is away goes out with the next one.
 */
export interface ReceiptFlow {
  delivered(bytes: number): void
  /** The server said that it waits for a receipt. */
  hurry(): void
  /** A stream is open: the last receipt goes out once more, as it may not have arrived. */
  attach(send: (receipt: SignedReceipt) => Promise<void>): void
  detach(): void
  acknowledged(serverBytes: bigint): void
  /** Resolves when everything has been signed, handed to the stream and acknowledged, or nothing can be. */
  settled(signal: AbortSignal): Promise<void>
  readonly receipts: number
}

/**
 * Half a window, so that signatures and barriers are few; a quarter of a full one, as at its speed the rest has to
 * last while the receipt is signed, synced, sent and synced again: 1,024 signatures per GiB.
 */
const SHARE_OF_WINDOW = 2
const SHARE_OF_FULL_WINDOW = 4
/** What has come is signed for after this even if it is little: ten barriers a second and server at most. */
const RECEIPT_DELAY_MS = 100
/** A disk that refused is asked again after this. */
const RETRY_MS = 1_000

export function createReceiptFlow(
  needs: { readonly book: DeviceBook; readonly log: Log; readonly clock: Pick<Clock, 'after'> },
  options: { readonly grant: SignedGrant; readonly server: EvmAddress },
): ReceiptFlow {
  const { book, log, clock } = needs
  const { grant, server } = options
  const bell = createBell()
  let unsigned = 0n
  let last: SignedReceipt | undefined
  let ackedBytes = -1n
  let send: ((receipt: SignedReceipt) => Promise<void>) | undefined
  let pumping: Promise<void> | undefined
  let isDue = false
  let hasFailed = false
  let cancelDelay: (() => void) | undefined
  let receipts = 0

  const dueBytes = () => {
    const window = windowBytes(Number(last?.message.serverBytes ?? 0n))
    return window / (window < MAX_WINDOW_BYTES ? SHARE_OF_WINDOW : SHARE_OF_FULL_WINDOW)
  }

  const emit = async (receipt: SignedReceipt) => {
    try {
      await send?.(receipt)
    } catch (thrown) {
      log.debug({ reason: asError(thrown).message }, 'a receipt waits for the next stream')
    }
  }
  const pump = async () => {
    while (unsigned > 0n && (isDue || unsigned >= dueBytes())) {
      const bytes = unsigned
      unsigned = 0n
      isDue = false
      try {
        last = await book.sign(grant, server, bytes)
        hasFailed = false
        receipts++
      } catch (thrown) {
        log.warn({ error: asError(thrown), server }, 'a receipt could not be signed')
        // A disk may recover. Else the bytes stay unpaid: the server stops by itself, the other sources go on.
        if (codeOf(thrown) === 'book-write-failed') unsigned += bytes
        hasFailed = true
        return
      }
      await emit(last)
    }
  }
  const start = () => {
    if (unsigned === 0n || pumping !== undefined) return
    cancelDelay?.()
    cancelDelay = undefined
    // Not at once: the blocks of one durable batch are all told of in this turn.
    pumping = Promise.resolve()
      .then(pump)
      .finally(() => {
        pumping = undefined
        bell.ring()
        if (hasFailed) later(RETRY_MS)
        else look()
      })
  }
  const later = (delayMs: number) => {
    if (unsigned === 0n) return
    cancelDelay ??= clock.after(delayMs, () => {
      cancelDelay = undefined
      flush()
    })
  }
  const look = () => {
    if (isDue || unsigned >= dueBytes()) start()
    else later(RECEIPT_DELAY_MS)
  }
  const flush = () => {
    isDue = true
    start()
  }
  return {
    get receipts() {
      return receipts
    },
    delivered(bytes) {
      unsigned += BigInt(bytes)
      if (pumping === undefined && !hasFailed) look()
    },
    hurry: flush,
    attach(to) {
      send = to
      last ??= book.last(grant, server)
      if (last !== undefined) void emit(last)
    },
    detach() {
      send = undefined
      flush()
      bell.ring()
    },
    acknowledged(serverBytes) {
      ackedBytes = serverBytes
      bell.ring()
    },
    async settled(signal) {
      const isSettled = () =>
        pumping === undefined &&
        (unsigned === 0n || hasFailed) &&
        (send === undefined || last === undefined || ackedBytes >= last.message.serverBytes)
      flush()
      while (!isSettled() && !signal.aborted) {
        const rung = bell.next()
        if (isSettled()) return
        await orAborted(rung, signal).catch((thrown: unknown) => {
          if (!signal.aborted) throw thrown
        })
      }
    },
  }
}
