import type { PeerId, Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { asError, type Clock, codeOf, KIB } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { within } from './deadline.ts'
import { networkError } from './errors.ts'
import { createFrameInbox, partsOf, prefixOf } from './frame-inbox.ts'
import { READ_AHEAD_BYTES, STALLED_FRAME_MS } from './limits.ts'
import { readInto, tellRoomByHalves, whenWritable } from './stream-flow.ts'
import type { FramedStream } from './types.ts'

export interface FramedStreamOptions {
  readonly remotePeer: PeerId
  readonly remoteAddress: EvmAddress
  readonly maxFrameBytes: number
  /** The other side has to say something within this time, else the stream is aborted. */
  readonly firstFrameMs?: number
}

const SENT = Promise.resolve()
/** Frames below this wait for others of the same round of the event loop: wants and receipts, a digest or two. */
const SMALL_FRAME_BYTES = 4 * KIB
/** With frames of less than 4 KiB this is below a quarter of a MiB. */
const MAX_GATHERED_PIECES = 128

/**
 * Frames over a libp2p stream: u32 length, then that many bytes. Held per stream: READ_AHEAD_BYTES of whole frames,
 * a part of one more, and at most a yamux window inside libp2p.
 */
export function createFramedStream(
  clock: Clock,
  stream: Stream,
  options: FramedStreamOptions,
): FramedStream {
  const { maxFrameBytes } = options
  let sending: Promise<void> | undefined
  let failure: Error | undefined
  let cancelFirst: () => void = () => undefined
  let cancelStall: (() => void) | undefined
  let arrivals = 0

  const fail = (message: string, cause?: unknown) => {
    failure ??= networkError('stream-broken', message, { blame: 'peer', cause })
    return failure
  }
  const giveUp = (message: string) => {
    const error = fail(message)
    inbox.fail(error)
    stream.abort(error)
  }
  tellRoomByHalves(stream)
  const inbox = createFrameInbox(maxFrameBytes, () => reading.taken())
  /** One timer while frames come in pieces, not one per piece: it looks whether anything came since. */
  const watchStall = () => {
    const seen = arrivals
    cancelStall = clock.after(STALLED_FRAME_MS, () => {
      cancelStall = undefined
      if (!inbox.isInFrame || inbox.isOver) return
      if (seen === arrivals && stream.readStatus !== 'paused') {
        giveUp('the stream stalled in the middle of a frame')
      } else watchStall()
    })
  }
  const reading = readInto(stream, READ_AHEAD_BYTES, {
    get heldBytes() {
      return inbox.heldBytes
    },
    push(chunk) {
      arrivals++
      cancelFirst()
      try {
        inbox.push(chunk)
      } catch (thrown) {
        failure ??= asError(thrown)
        stream.abort(failure)
        return
      }
      if (inbox.isInFrame && cancelStall === undefined) watchStall()
    },
    end: () => inbox.end(),
    fail: (cause) => inbox.fail(fail('the stream broke', cause)),
  })
  if (options.firstFrameMs !== undefined) {
    cancelFirst = clock.after(options.firstFrameMs, () => {
      if (inbox.isFresh) giveUp('nothing came over the stream')
    })
  }
  const cancelTimers = () => {
    cancelFirst()
    cancelStall?.()
  }
  stream.addEventListener('close', cancelTimers, { once: true })

  /** Small frames of this round of the event loop. */
  let gathered: Uint8Array[] = []
  const flush = () => {
    if (gathered.length === 0) return
    const pieces = gathered
    gathered = []
    // Held by libp2p as they are until they are encrypted: no copy of a body is made here.
    stream.send(new Uint8ArrayList(...pieces))
  }
  const flushLater = () => {
    try {
      flush()
    } catch (thrown) {
      giveUp(`the stream broke while sending: ${asError(thrown).message}`)
    }
  }
  /** A large frame takes the small ones before it along; those alone leave when all sockets have been read. */
  const write = (prefix: Uint8Array, parts: readonly Uint8Array[]) => {
    if (gathered.length === 0) setImmediate(flushLater)
    gathered.push(prefix, ...parts)
    let bytes = 0
    for (const part of parts) bytes += part.byteLength
    if (bytes >= SMALL_FRAME_BYTES || gathered.length >= MAX_GATHERED_PIECES) flush()
  }
  const sendInTurn = async (
    waiting: (() => unknown) | undefined,
    signal: AbortSignal | undefined,
  ) => {
    const before = sending
    const turn = Promise.withResolvers<void>()
    sending = turn.promise
    try {
      await before
      signal?.throwIfAborted()
      if (waiting !== undefined) {
        await whenWritable(stream, signal)
        waiting()
      }
      await whenWritable(stream, signal)
    } catch (thrown) {
      signal?.throwIfAborted()
      throw fail('the stream broke while sending', thrown)
    } finally {
      turn.resolve()
      if (sending === turn.promise) sending = undefined
    }
  }

  return {
    remotePeer: options.remotePeer,
    remoteAddress: options.remoteAddress,
    send(frame, sendOptions) {
      const signal = sendOptions?.signal
      const parts = partsOf(frame)
      try {
        signal?.throwIfAborted()
        const prefix = prefixOf(parts, maxFrameBytes)
        if (sending !== undefined || stream.writableNeedsDrain) {
          return sendInTurn(() => write(prefix, parts), signal)
        }
        write(prefix, parts)
        return stream.writableNeedsDrain ? sendInTurn(undefined, signal) : SENT
      } catch (thrown) {
        const error = asError(thrown)
        const isOurs = signal?.aborted === true || codeOf(thrown) === 'frame-too-large'
        return Promise.reject(isOurs ? error : fail('the stream broke while sending', error))
      }
    },
    receiveNow: () => inbox.receiveNow(),
    get partialBytes() {
      return inbox.partialBytes
    },
    receive: (receiveOptions) => inbox.receive(receiveOptions?.signal),
    async close() {
      cancelFirst()
      await sending
      try {
        flush()
        // What was sent is below the mark already, so this waits for a window or two at most.
        await within(clock, STALLED_FRAME_MS, undefined, (signal) => stream.close({ signal }))
      } catch (thrown) {
        stream.abort(asError(thrown))
      }
    },
    abort(reason) {
      cancelTimers()
      failure ??= networkError('stream-broken', 'the stream was aborted here', {
        blame: 'local',
        cause: reason,
      })
      inbox.drop(failure)
      gathered = []
      stream.abort(reason)
    },
  }
}
