import { asError } from '../base/index.ts'
import { networkError } from './errors.ts'

/** Length of a frame, unsigned, big endian. */
const PREFIX_BYTES = 4
/** What a frame that waits counts beside its bytes: empty ones cost memory too. */
const FRAME_COST_BYTES = 64

/**
 * Bytes in the sizes a transport delivers, frames out. Each frame is copied once, into memory of its own, so that
 * the pieces are dead as soon as they were pushed, and a frame as soon as its receiver is done with it.
 */
export interface FrameInbox {
  /** Throws `frame-too-large`; what came before it can still be received. */
  push(chunk: Uint8Array): void
  /** The other side has ended its stream, in the middle of a frame or not. */
  end(): void
  /** Frames that are here already are received first, then this is thrown. */
  fail(error: Error): void
  /** Fails, and forgets what is here. */
  drop(error: Error): void
  receiveNow(): Uint8Array | undefined
  receive(signal: AbortSignal | undefined): Promise<Uint8Array | undefined>
  /**
   * Whole frames that were not taken. The part of one that has not come whole does not count: it can be taken only
   * when the rest has been let in, so whoever stops reading because of it waits for ever.
   */
  readonly heldBytes: number
  readonly isInFrame: boolean
  readonly isOver: boolean
  /** Here of a frame that is not whole yet. */
  readonly partialBytes: number
  /** Whether anything ever came. */
  readonly isFresh: boolean
}

export function createFrameInbox(
  maxFrameBytes: number,
  /** Called when a frame was taken: there is room again. */
  taken: () => void,
): FrameInbox {
  const frames: Uint8Array[] = []
  const prefix = new Uint8Array(PREFIX_BYTES)
  let prefixBytes = 0
  let partial: Uint8Array | undefined
  let partialBytes = 0
  let waitingBytes = 0
  let isFresh = true
  let isEnded = false
  let failure: Error | undefined
  let receiver: PromiseWithResolvers<Uint8Array | undefined> | undefined

  const fail = (error: Error) => {
    failure ??= error
    if (frames.length > 0) return
    receiver?.reject(failure)
    receiver = undefined
  }
  const deliver = (frame: Uint8Array) => {
    if (receiver === undefined) {
      frames.push(frame)
      waitingBytes += frame.byteLength + FRAME_COST_BYTES
      return
    }
    receiver.resolve(frame)
    receiver = undefined
  }
  const begin = (bytes: number) => {
    if (bytes <= maxFrameBytes) return
    const error = networkError(
      'frame-too-large',
      `the other side announced a frame of ${bytes} bytes; ${maxFrameBytes} are allowed`,
      { blame: 'peer' },
    )
    fail(error)
    throw error
  }
  const isInFrame = () => partial !== undefined || prefixBytes > 0
  const receiveNow = () => {
    const frame = frames.shift()
    if (frame === undefined) return undefined
    waitingBytes -= frame.byteLength + FRAME_COST_BYTES
    taken()
    return frame
  }

  return {
    push(chunk) {
      if (failure !== undefined || isEnded) return
      if (chunk.byteLength > 0) isFresh = false
      let at = 0
      while (at < chunk.byteLength) {
        if (partial === undefined) {
          while (prefixBytes < PREFIX_BYTES && at < chunk.byteLength) {
            prefix[prefixBytes++] = chunk[at++] ?? 0
          }
          if (prefixBytes < PREFIX_BYTES) return
          const length = new DataView(prefix.buffer).getUint32(0)
          begin(length)
          prefixBytes = 0
          if (length === 0) {
            deliver(new Uint8Array())
            continue
          }
          const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length)
          partial = new Uint8Array(buffer, byteOffset, length)
          partialBytes = 0
        }
        const part = chunk.subarray(at, at + partial.byteLength - partialBytes)
        partial.set(part, partialBytes)
        partialBytes += part.byteLength
        at += part.byteLength
        if (partialBytes < partial.byteLength) return
        const whole = partial
        partial = undefined
        partialBytes = 0
        deliver(whole)
      }
    },
    end() {
      if (isEnded) return
      if (isInFrame()) {
        fail(
          networkError('stream-broken', 'the stream ended in the middle of a frame', {
            blame: 'peer',
          }),
        )
      }
      isEnded = true
      if (frames.length > 0) return
      receiver?.resolve(undefined)
      receiver = undefined
    },
    fail,
    drop(error) {
      frames.length = 0
      waitingBytes = 0
      partial = undefined
      partialBytes = 0
      fail(error)
    },
    receiveNow,
    receive(signal) {
      const frame = receiveNow()
      if (frame !== undefined) return Promise.resolve(frame)
      if (failure !== undefined) return Promise.reject(failure)
      if (isEnded) return Promise.resolve(undefined)
      if (receiver !== undefined) {
        return Promise.reject(new Error('somebody receives from this stream already'))
      }
      const waiting = Promise.withResolvers<Uint8Array | undefined>()
      receiver = waiting
      if (signal === undefined) return waiting.promise
      const giveUp = () => {
        if (receiver === waiting) receiver = undefined
        waiting.reject(asError(signal.reason))
      }
      if (signal.aborted) giveUp()
      else signal.addEventListener('abort', giveUp, { once: true })
      return waiting.promise.finally(() => signal.removeEventListener('abort', giveUp))
    },
    get heldBytes() {
      return waitingBytes
    },
    get isInFrame() {
      return isInFrame()
    },
    get isOver() {
      return isEnded || failure !== undefined
    },
    get partialBytes() {
      return partial === undefined ? 0 : partialBytes
    },
    get isFresh() {
      return isFresh
    },
  }
}

/** The prefix of a frame given in parts. Throws `frame-too-large`. */
export function prefixOf(parts: readonly Uint8Array[], maxFrameBytes: number): Uint8Array {
  let length = 0
  for (const part of parts) length += part.byteLength
  if (length > maxFrameBytes) {
    throw networkError(
      'frame-too-large',
      `a frame of ${length} bytes; ${maxFrameBytes} are allowed`,
      { blame: 'caller', fix: 'Split the message into smaller frames.' },
    )
  }
  const prefix = new Uint8Array(PREFIX_BYTES)
  new DataView(prefix.buffer).setUint32(0, length)
  return prefix
}

/** What is given as one piece or in several, always as several. */
export function partsOf(frame: Uint8Array | readonly Uint8Array[]): readonly Uint8Array[] {
  return frame instanceof Uint8Array ? [frame] : frame
}
