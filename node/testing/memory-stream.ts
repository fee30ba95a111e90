import type { PeerId } from '@libp2p/interface'
import { asError, type Clock, concat, type IoexError, KIB } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { FramedStream } from '../network/index.ts'
import { networkError } from './memory-errors.ts'

/** As the real one: a sender waits once this much is on its way and unread. */
const BUFFER_MARK_BYTES = 256 * KIB

/** What frames of one node go through; shared by all its streams, as an uplink is. */
export interface Uplink {
  delayMs: number
  bytesPerSecond: number
  freeAtMs: number
  /** Set while the node is stalled: nothing it sends arrives before this resolves. */
  held: Promise<void> | undefined
}

export interface StreamEnd {
  readonly peerId: PeerId
  readonly address: EvmAddress
  readonly uplink: Uplink
  readonly maxFrameBytes: number
}

interface Direction {
  send(frame: Uint8Array | readonly Uint8Array[], signal: AbortSignal | undefined): Promise<void>
  receiveNow(): Uint8Array | undefined
  receive(signal: AbortSignal | undefined): Promise<Uint8Array | undefined>
  close(): Promise<void>
  fail(reason: Error): void
}

/** A promise that is replaced each time it is kept: "something changed, look again". */
function createBell() {
  let bell = Promise.withResolvers<void>()
  return {
    ring() {
      const rung = bell
      bell = Promise.withResolvers<void>()
      rung.resolve()
    },
    async wait(signal: AbortSignal | undefined) {
      signal?.throwIfAborted()
      const aborted = Promise.withResolvers<never>()
      const onAbort = () => aborted.reject(asError(signal?.reason))
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        await Promise.race([bell.promise, aborted.promise])
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    },
  }
}

function createDirection(clock: Clock, from: StreamEnd, to: StreamEnd): Direction {
  const onItsWay: { readonly frame: Uint8Array; readonly arrivesMs: number }[] = []
  const arrived: Uint8Array[] = []
  const bell = createBell()
  let unreadBytes = 0
  let closed = false
  let ended = false
  let failure: IoexError | undefined

  const carry = async () => {
    for (;;) {
      const next = onItsWay[0]
      if (failure !== undefined) return
      if (next === undefined) {
        if (closed) {
          ended = true
          bell.ring()
          return
        }
        await bell.wait(undefined)
        continue
      }
      const waitMs = next.arrivesMs - clock.monotonicMs()
      if (waitMs > 0) await clock.sleep(waitMs)
      while (from.uplink.held !== undefined) await from.uplink.held
      onItsWay.shift()
      arrived.push(next.frame)
      bell.ring()
    }
  }
  void carry()
  const receiveNow = () => {
    const frame = arrived.shift()
    if (frame === undefined) return undefined
    unreadBytes -= frame.byteLength
    bell.ring()
    if (frame.byteLength > to.maxFrameBytes) {
      throw networkError('frame-too-large', 'peer', `${frame.byteLength} bytes in one frame`)
    }
    return frame
  }

  return {
    async send(given, signal) {
      const frame = concat(given instanceof Uint8Array ? [given] : given)
      if (frame.byteLength > from.maxFrameBytes) {
        throw networkError('frame-too-large', 'caller', `${frame.byteLength} bytes in one frame`)
      }
      while (failure === undefined && !closed && unreadBytes >= BUFFER_MARK_BYTES) {
        await bell.wait(signal)
      }
      if (failure !== undefined) throw failure
      if (closed) throw networkError('stream-broken', 'caller', 'the stream was closed before')
      unreadBytes += frame.byteLength
      const startMs = Math.max(clock.monotonicMs(), from.uplink.freeAtMs)
      from.uplink.freeAtMs = startMs + (frame.byteLength * 1000) / from.uplink.bytesPerSecond
      onItsWay.push({
        frame,
        arrivesMs: from.uplink.freeAtMs + from.uplink.delayMs,
      })
      bell.ring()
    },
    receiveNow,
    async receive(signal) {
      for (;;) {
        const frame = receiveNow()
        if (frame !== undefined) return frame
        if (failure !== undefined) throw failure
        if (ended) return undefined
        await bell.wait(signal)
      }
    },
    async close() {
      closed = true
      bell.ring()
    },
    fail(reason) {
      failure ??= networkError('stream-broken', 'peer', 'the stream broke', reason)
      arrived.length = 0
      bell.ring()
    },
  }
}

export interface StreamPair {
  readonly near: FramedStream
  readonly far: FramedStream
  break(reason: Error): void
}

/** Two ends of one stream; `near` belongs to the one who opened it. */
export function createStreamPair(clock: Clock, opener: StreamEnd, server: StreamEnd): StreamPair {
  const there = createDirection(clock, opener, server)
  const back = createDirection(clock, server, opener)
  const breakBoth = (reason: Error) => {
    there.fail(reason)
    back.fail(reason)
  }
  const end = (remote: StreamEnd, out: Direction, into: Direction): FramedStream => ({
    remotePeer: remote.peerId,
    remoteAddress: remote.address,
    async send(frame, options) {
      await out.send(frame, options?.signal)
      options?.written?.()
    },
    receive: (options) => into.receive(options?.signal),
    receiveNow: () => into.receiveNow(),
    // Frames arrive whole here.
    partialBytes: 0,
    close: () => out.close(),
    abort: breakBoth,
  })
  return { near: end(server, there, back), far: end(opener, back, there), break: breakBoth }
}
