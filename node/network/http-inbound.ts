import type { ServerResponse } from 'node:http'
import type { PeerId } from '@libp2p/interface'
import { asError, type Clock } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { raceSignal } from './deadline.ts'
import { networkError } from './errors.ts'
import { createFrameInbox, partsOf, prefixOf } from './frame-inbox.ts'
import { HTTP_BATCH_BYTES, READ_AHEAD_BYTES, STALLED_SOCKET_MS } from './limits.ts'
import type { FramedStream } from './types.ts'

/** The server's end of a stream: frames go out in one endless response and come in by requests. */
export interface HttpInbound {
  readonly protocol: string
  readonly stream: FramedStream
  /** What one request brought; resolves when there is room for more. False when it makes no sense. */
  take(body: Uint8Array, index: number, isLast: boolean): Promise<boolean>
  abort(why: string): void
  readonly activeMs: number
  /** Nothing has come over it yet. */
  readonly isFresh: boolean
}

const SENT = Promise.resolve()

export function createHttpInbound(
  clock: Clock,
  response: ServerResponse,
  options: {
    readonly protocol: string
    readonly remotePeer: PeerId
    readonly remoteAddress: EvmAddress
    readonly maxFrameBytes: number
  },
): HttpInbound {
  const { socket } = response
  const isFull = () => socket?.writableNeedDrain === true
  const { maxFrameBytes } = options
  let failure: Error | undefined
  let isClosed = false
  let gatheredBytes = 0
  let activeMs = clock.monotonicMs()
  let nextIndex = 0
  let sending: Promise<void> | undefined
  let taking: Promise<boolean> = Promise.resolve(true)
  let room: PromiseWithResolvers<void> | undefined

  const letIn = () => {
    room?.resolve()
    room = undefined
  }
  const inbox = createFrameInbox(maxFrameBytes, () => {
    if (inbox.heldBytes <= READ_AHEAD_BYTES / 2) letIn()
  })
  const breakOff = (error: Error) => {
    failure ??= error
    inbox.fail(failure)
    letIn()
    socket?.destroy()
  }
  const abort = (why: string) =>
    breakOff(networkError('stream-broken', `the stream was aborted: ${why}`, { blame: 'peer' }))
  response.once('close', () => {
    if (response.writableFinished) return
    breakOff(
      networkError('stream-broken', 'the other side closed the connection', { blame: 'peer' }),
    )
  })

  /** One system call for all that was sent since the last: chunk head, prefixes and bodies as they lie. */
  const flush = () => {
    if (gatheredBytes === 0) return
    gatheredBytes = 0
    response.uncork()
    socket?.uncork()
  }
  const write = (
    prefix: Uint8Array,
    parts: readonly Uint8Array[],
    written: (() => void) | undefined,
  ) => {
    if (failure !== undefined) throw failure
    if (isClosed || response.destroyed) throw closed()
    activeMs = clock.monotonicMs()
    if (gatheredBytes === 0) {
      // The response's own cork ends before it writes its parts, so the socket is corked beside it.
      socket?.cork()
      response.cork()
      process.nextTick(flush)
    }
    response.write(prefix)
    gatheredBytes += prefix.byteLength
    for (const part of parts) {
      if (part.byteLength === 0) continue
      if (written !== undefined && part === parts.at(-1)) {
        response.write(part, (error) => {
          // Of a socket that broke nobody knows what the system still reads.
          if (error === undefined || error === null) written()
        })
      } else response.write(part)
      gatheredBytes += part.byteLength
    }
    if (gatheredBytes >= HTTP_BATCH_BYTES) flush()
  }
  const drained = async (signal: AbortSignal | undefined): Promise<void> => {
    while (socket !== null && isFull()) {
      const changed = Promise.withResolvers<void>()
      const wake = () => changed.resolve()
      socket.once('drain', wake)
      socket.once('close', wake)
      try {
        await (signal === undefined ? changed.promise : raceSignal(changed.promise, signal))
      } finally {
        socket.off('drain', wake)
        socket.off('close', wake)
      }
      if (failure !== undefined) throw failure
      if (socket.destroyed) return
    }
  }

  const sendInTurn = async (waiting: (() => void) | undefined, signal: AbortSignal | undefined) => {
    const before = sending
    const turn = Promise.withResolvers<void>()
    sending = turn.promise
    try {
      await before
      signal?.throwIfAborted()
      if (waiting !== undefined) {
        await drained(signal)
        waiting()
      }
      await drained(signal)
    } finally {
      turn.resolve()
      if (sending === turn.promise) sending = undefined
    }
  }

  const takeNow = async (body: Uint8Array, isLast: boolean): Promise<boolean> => {
    try {
      inbox.push(body)
    } catch (thrown) {
      breakOff(asError(thrown))
      return false
    }
    // A request carries whole frames, so nothing waits for the rest of one.
    if (inbox.isInFrame) {
      abort('a request ended in the middle of a frame')
      return false
    }
    if (isLast) inbox.end()
    if (inbox.heldBytes > READ_AHEAD_BYTES) {
      room ??= Promise.withResolvers<void>()
      await room.promise
    }
    return failure === undefined
  }

  return {
    protocol: options.protocol,
    abort,
    get activeMs() {
      return activeMs
    },
    get isFresh() {
      return inbox.isFresh
    },
    take(body, index, isLast) {
      activeMs = clock.monotonicMs()
      // Sent again because the answer was lost on the way: it counts once.
      if (index === nextIndex - 1) return taking
      if (index !== nextIndex) return Promise.resolve(false)
      nextIndex++
      const before = taking
      taking = before.then(() => takeNow(body, isLast))
      return taking
    },
    stream: {
      remotePeer: options.remotePeer,
      remoteAddress: options.remoteAddress,
      send(frame, sendOptions) {
        const signal = sendOptions?.signal
        const parts = partsOf(frame)
        try {
          signal?.throwIfAborted()
          const prefix = prefixOf(parts, maxFrameBytes)
          if (sending !== undefined || isFull()) {
            return sendInTurn(() => write(prefix, parts, sendOptions?.written), signal)
          }
          write(prefix, parts, sendOptions?.written)
          return isFull() ? sendInTurn(undefined, signal) : SENT
        } catch (thrown) {
          return Promise.reject(asError(thrown))
        }
      },
      receive: (receiveOptions) => inbox.receive(receiveOptions?.signal),
      receiveNow: () => inbox.receiveNow(),
      get partialBytes() {
        return inbox.partialBytes
      },
      async close() {
        if (isClosed || failure !== undefined) return
        await sending
        isClosed = true
        flush()
        inbox.end()
        letIn()
        const ended = Promise.withResolvers<void>()
        response.once('close', ended.resolve)
        response.end(ended.resolve)
        const cancel = clock.after(STALLED_SOCKET_MS, () => abort('its end was not read'))
        await ended.promise
        cancel()
      },
      abort(reason) {
        inbox.drop(
          networkError('stream-broken', 'the stream was aborted here', {
            blame: 'local',
            cause: reason,
          }),
        )
        breakOff(reason)
      },
    },
  }
}

function closed() {
  return networkError('stream-broken', 'the stream was closed before', { blame: 'caller' })
}
