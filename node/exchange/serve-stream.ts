import { asError, type Clock, codeOf, type HeldBytes, type Log } from '../base/index.ts'
import type { FramedStream } from '../network/index.ts'
import { decodeSignedReceipt } from '../receipts/index.ts'
import { createBell } from './bell.ts'
import type { Reach, ToldPeer } from './fellow-frames.ts'
import type { Holdings } from './holdings.ts'
import {
  IDLE_STREAM_MS,
  MAKE_ROOM_MS,
  MAX_BLOCK_BYTES,
  MAX_HOLDS_PER_FRAME,
  MAX_PEERS_TOLD,
  MAX_WANTS_PER_STREAM,
  SLOW_READER_MS,
  TELL_HOLDS_EVERY_MS,
  WATCH_EVERY_MS,
} from './limits.ts'
import type { Account } from './meter.ts'
import {
  blockFrame,
  type ClientMessage,
  decodeClient,
  encodeServer,
  IDLE_REASON,
  inFrames,
  type Key,
  type Prefix,
  type ServerMessage,
} from './protocol.ts'
import type { Spread } from './spread.ts'
import type { UploadCaps } from './upload-caps.ts'
import { violation } from './violation.ts'
import { createWantQueue } from './want-queue.ts'

/** What may be served over one stream: the blocks of its root. */
export interface ServedRoot {
  /** Undefined when it is not of this root, or not here. For the caller to release. */
  block(key: Key): Promise<HeldBytes | undefined>
  has(key: Key): Promise<boolean>
  /** Changes whenever blocks of the root may have come. */
  version(): Promise<string>
}

export interface StreamNeeds {
  readonly root: ServedRoot
  /** Undefined for friends, who are served for nothing. */
  readonly account: Account | undefined
  readonly uploads: UploadCaps
  readonly spread: Spread
  /** What a fellow tells of itself; undefined: the other side may expect everything. */
  readonly holdings: Holdings | 'all' | undefined
  /** The other side serves the root, too. Returns the function that ends it. */
  readonly onHere: (reach: Reach, tell: (peers: readonly ToldPeer[]) => void) => () => void
  readonly clock: Clock
  readonly log: Log
  /** A block has gone out. */
  readonly served: (bytes: number) => void
  /** Told how to end this stream when others need its place; it says no while it waits for our own caps. */
  readonly onMakeRoom: (end: () => boolean) => void
}

/** Peers that wait to be told of on one stream; whoever does not read misses the older ones. */
const MAX_UNTOLD_PEERS = 32

/**
 * Answers one stream until it ends. One writer takes what the queue says, reads a few blocks ahead and waits for
 * the stream to drain; a reader keeps the queue. Held: twice MAX_WANTS_PER_STREAM digests and READ_AHEAD_BLOCKS
 * blocks, whatever the other side does; of whoever does not read or does not pay nothing is read ahead for long.
 */
export async function serveStream(
  needs: StreamNeeds,
  stream: FramedStream,
  stopping: AbortSignal,
): Promise<void> {
  const { root, account, clock, log } = needs
  const peer = stream.remotePeer.toString()
  const ending = new AbortController()
  const signal = AbortSignal.any([ending.signal, stopping])
  const bell = createBell()
  const wants = createWantQueue({ read: (key) => root.block(key), spread: needs.spread })
  /** Said to be not here; told of when they come. */
  const watched = new Set<Key>()
  const notHere: Key[] = []
  const haves: Key[] = []
  /** Undefined: nothing to tell; empty: that everything is here. */
  let holds: Prefix[] | undefined
  let holdsDue = false
  const untold: ToldPeer[] = []
  let leaveFellows: (() => void) | undefined
  let isReceiptDue = false
  let isReadEnded = false
  let refusal: string | undefined
  let isUsedUp = false
  let busy = 0
  let isSending = false
  let isSlow = false
  let isHeldBack = false
  let activeMs = clock.monotonicMs()
  /** When the last frame had gone out. */
  let sentMs = activeMs

  const sendFrame = async (frame: Uint8Array | readonly Uint8Array[], written?: () => void) => {
    isSending = true
    const sinceMs = clock.monotonicMs()
    await stream.send(frame, written === undefined ? { signal } : { signal, written })
    isSending = false
    activeMs = clock.monotonicMs()
    sentMs = activeMs
    if (isSlow && sentMs - sinceMs < SLOW_READER_MS) setSlow(false)
  }
  const setSlow = (slow: boolean) => {
    isSlow = slow
    wants.readAhead(!slow)
  }
  const send = (message: ServerMessage) => sendFrame(encodeServer(message))
  const sendKeys = async (kind: 'notHere' | 'have', keys: Key[]) => {
    for (const part of inFrames(keys.splice(0))) await send({ kind, keys: part })
  }

  const take = (message: ClientMessage) => {
    activeMs = clock.monotonicMs()
    switch (message.kind) {
      case 'want':
        if (isUsedUp) break
        for (const key of message.keys) watched.delete(key)
        wants.want(message.keys)
        if (wants.owed + notHere.length > MAX_WANTS_PER_STREAM) {
          throw violation('more wants than a stream may have')
        }
        break
      case 'wantAny':
        if (!isUsedUp) wants.wantAny(message.keys)
        break
      case 'cancel':
        for (const key of message.keys) watched.delete(key)
        notHere.push(...wants.cancel(message.keys))
        break
      case 'here':
        leaveFellows?.()
        leaveFellows = needs.onHere(message.reach, (peers) => {
          untold.push(...peers)
          if (untold.length > MAX_UNTOLD_PEERS) untold.splice(0, untold.length - MAX_UNTOLD_PEERS)
          bell.ring()
        })
        break
      case 'receipt':
        takeReceipt(message.receipt)
        break
      case 'open':
        throw violation('a second OPEN')
    }
    bell.ring()
  }
  // Only the newest is checked: receipts are cumulative, and a flood of them must not queue.
  let newest: Uint8Array | undefined
  let checking: Promise<void> | undefined
  const takeReceipt = (bytes: Uint8Array) => {
    if (account === undefined) throw violation('a receipt on a stream that is not metered')
    newest = bytes.slice()
    checking ??= checkReceipts(account).finally(() => {
      checking = undefined
      bell.ring()
    })
  }
  const checkReceipts = async (payee: Account) => {
    while (newest !== undefined) {
      const decoded = decodeSignedReceipt(newest)
      newest = undefined
      const accepted = decoded.ok ? await payee.accept(decoded.value) : decoded
      if (!accepted.ok) {
        log.warn({ reason: accepted.reason }, 'a receipt was refused')
        refusal = accepted.reason
        return
      }
      isReceiptDue = true
      bell.ring()
    }
  }

  const read = async () => {
    for (;;) {
      const frame = await stream.receive({ signal })
      if (frame === undefined) break
      take(decodeClient(frame))
    }
    await checking
    isReadEnded = true
    bell.ring()
  }

  /** False when it has to wait for a receipt, or there is nothing to do. */
  const serveNext = async (): Promise<boolean> => {
    const next = wants.next(clock.monotonicMs())
    if (next === undefined) return false
    const { key } = next
    const held = await next.reading
    if (held === undefined || held.bytes.byteLength > MAX_BLOCK_BYTES) {
      if (!wants.take(next)) return true
      if (next.isAny) needs.spread.takeBack(key)
      notHere.push(key)
      if (watched.size < MAX_WANTS_PER_STREAM) watched.add(key)
      return true
    }
    const { bytes } = held
    const allowance = account?.allows(bytes.byteLength) ?? 'go'
    if (allowance === 'used-up') {
      // Nothing more goes out; receipts for what went out are still taken.
      wants.clear()
      isUsedUp = true
      await send({ kind: 'refused', reason: 'grant-used-up' })
      return true
    }
    if (allowance !== 'go') {
      if (busy++ === 0) await send({ kind: 'busy' })
      return false
    }
    if (!wants.take(next)) return true
    busy = 0
    account?.charge(bytes.byteLength)
    isHeldBack = true
    await needs.uploads.take(peer, bytes.byteLength, signal)
    isHeldBack = false
    const sentBytes = bytes.byteLength
    await sendFrame(blockFrame(key, bytes), held.release)
    needs.served(sentBytes)
    return true
  }
  const nextRing = () => {
    const { againAtMs } = wants
    if (againAtMs !== undefined && Number.isFinite(againAtMs)) {
      cancelAgain?.()
      cancelAgain = clock.after(Math.max(1, againAtMs - clock.monotonicMs()), () => bell.ring())
    }
    return bell.next(signal)
  }
  const write = async () => {
    for (;;) {
      const rings = bell.rings
      if (notHere.length > 0) await sendKeys('notHere', notHere)
      if (haves.length > 0) await sendKeys('have', haves)
      if (untold.length > 0) await send({ kind: 'peers', peers: untold.splice(0, MAX_PEERS_TOLD) })
      if (holdsDue) await tellHolds()
      if (isReceiptDue && account !== undefined) {
        isReceiptDue = false
        await send({ kind: 'receipted', bytes: account.receiptedBytes })
      }
      if (refusal !== undefined) {
        await send({ kind: 'refused', reason: refusal })
        return
      }
      if (isReadEnded) return
      if (!(await serveNext()) && bell.rings === rings) await nextRing()
    }
  }
  const tellHolds = async () => {
    holdsDue = false
    const told = holds
    holds = undefined
    if (told === undefined) return
    if (told.length === 0) await send({ kind: 'holds', prefixes: [] })
    for (const part of inFrames(told, MAX_HOLDS_PER_FRAME)) {
      await send({ kind: 'holds', prefixes: part })
    }
  }
  /** Several blocks that came shortly after one another are told at once. */
  const watchHoldings = (): (() => void) => {
    if (needs.holdings === undefined) return () => undefined
    holdsDue = true
    if (needs.holdings === 'all') {
      holds = []
      return () => undefined
    }
    const known = needs.holdings.prefixes()
    holds = known.length === 0 ? undefined : known
    let cancelTell: (() => void) | undefined
    const unwatch = needs.holdings.watch((prefix) => {
      if (holds === undefined) holds = [prefix]
      else holds.push(prefix)
      cancelTell ??= clock.after(TELL_HOLDS_EVERY_MS, () => {
        cancelTell = undefined
        holdsDue = true
        bell.ring()
      })
    })
    return () => {
      unwatch()
      cancelTell?.()
    }
  }
  let cancelAgain: (() => void) | undefined
  let cancelWatch: () => void = () => undefined
  // From before the first want on: a whole queue of what is not here is looked for again only when something came.
  let seen = await root.version()
  const watch = async () => {
    const nowMs = clock.monotonicMs()
    if (!isSlow && nowMs - sentMs > SLOW_READER_MS) setSlow(true)
    const idleMs = nowMs - activeMs
    // Whoever does not even read the farewell is cut off.
    if (idleMs > 2 * IDLE_STREAM_MS) throw new Error('nothing was read for long')
    if (idleMs > IDLE_STREAM_MS) refusal = IDLE_REASON
    else if (watched.size > 0) {
      const version = await root.version()
      if (version !== seen) {
        seen = version
        for (const key of watched) {
          if (haves.length < MAX_WANTS_PER_STREAM && (await root.has(key)) && watched.delete(key))
            haves.push(key)
        }
      }
    }
    bell.ring()
  }
  const watchSoon = () => {
    cancelWatch = clock.after(WATCH_EVERY_MS, () => {
      watch().then(
        () => {
          if (!signal.aborted) watchSoon()
        },
        (thrown: unknown) => ending.abort(asError(thrown)),
      )
    })
  }

  /** Whoever does not read is cut off at once; whoever does is told, and may come again. */
  let cancelRoom: () => void = () => undefined
  const cutOff = () => {
    const reason = new Error('others need its place')
    ending.abort(reason)
    stream.abort(reason)
  }
  needs.onMakeRoom(() => {
    if (isHeldBack) return false
    if (isSending) cutOff()
    else {
      refusal = IDLE_REASON
      bell.ring()
      cancelRoom = clock.after(MAKE_ROOM_MS, cutOff)
    }
    return true
  })

  const unwatch = account?.watch(() => bell.ring())
  watchSoon()
  const endHoldings = watchHoldings()
  const reading = read()
  const writing = write()
  try {
    // The writer ends when the reader has, or with a refusal; the reader fails on a breach of the protocol.
    await Promise.race([writing, reading.then(() => writing)])
    await stream.close()
  } catch (thrown) {
    stream.abort(asError(thrown))
    if (codeOf(thrown) === 'protocol-violation') {
      log.warn({ peer: stream.remotePeer.toString(), error: asError(thrown) }, 'a stream was cut')
    }
  } finally {
    cancelWatch()
    cancelRoom()
    cancelAgain?.()
    unwatch?.()
    endHoldings()
    leaveFellows?.()
    wants.clear()
    ending.abort(new Error('the stream has ended'))
    await Promise.allSettled([reading, writing, checking])
    account?.leave()
  }
}
