import type { Stream } from '@libp2p/interface'
import { asError } from '../base/index.ts'

/**
 * Reading and writing a libp2p stream with bounds on both sides. libp2p's own ways have none: its iterator
 * queues without limit, and `onDrain()` waits for the first time only (test/interop/libp2p-faults.test.ts).
 */
export interface StreamSink {
  /** In the sizes they came in. */
  push(chunk: Uint8Array): void
  end(): void
  fail(cause: unknown): void
  readonly heldBytes: number
}

/** Delivers what the stream has; pauses it while the sink holds more than `readAheadBytes`. */
export function readInto(
  stream: Stream,
  readAheadBytes: number,
  sink: StreamSink,
): {
  /** The sink holds less than before. */
  taken(): void
} {
  const pauseIfFull = () => {
    if (sink.heldBytes > readAheadBytes && stream.readStatus === 'readable') stream.pause()
  }
  // What came together with the negotiation is put back into a stream that may have ended meanwhile.
  const endIfRead = () => {
    if (stream.readableEnded && stream.readBufferLength === 0) sink.end()
  }
  stream.addEventListener('message', ({ data }) => {
    if (data instanceof Uint8Array) sink.push(data)
    else for (const part of data) sink.push(part)
    // Pausing inside the handler is undone by the stream itself, so a microtask later.
    if (sink.heldBytes > readAheadBytes) queueMicrotask(pauseIfFull)
    endIfRead()
  })
  stream.addEventListener('end', () => {
    // A reset tells of the end first and of itself afterwards.
    if (!isBroken(stream)) sink.end()
  })
  stream.addEventListener('close', ({ error }) => {
    if (error !== undefined) sink.fail(error)
    else if (stream.readBufferLength === 0) sink.end()
  })
  if (isBroken(stream)) {
    sink.fail(new Error(`the stream is ${stream.status}`))
  }
  endIfRead()
  return {
    taken() {
      if (sink.heldBytes <= readAheadBytes / 2 && stream.readStatus === 'paused') stream.resume()
    },
  }
}

function isBroken({ status }: Stream): boolean {
  return status === 'aborted' || status === 'reset'
}

/** What a yamux stream has beside libp2p's interface. */
interface Windowed {
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
}

function isWindowed(stream: object): stream is Windowed {
  return 'recvWindow' in stream && 'recvWindowCapacity' in stream && 'sendWindowUpdate' in stream
}

/**
 * The other side is told of room once half the window is used, as other implementations of yamux do it. Stock, each
 * frame is answered by a message of its own, encrypted, written, read and decrypted: a third of a receiver's time.
 */
export function tellRoomByHalves(stream: Stream): void {
  const own: object = stream
  if (!isWindowed(own)) return
  const tell = own.sendWindowUpdate.bind(own)
  own.sendWindowUpdate = () => {
    if (own.recvWindowCapacity <= own.recvWindow / 2) tell()
  }
}

/** Resolves once the transport takes more. Rejects when the stream closes before, or the signal is aborted. */
export async function whenWritable(stream: Stream, signal?: AbortSignal): Promise<void> {
  while (stream.writableNeedsDrain) {
    signal?.throwIfAborted()
    if (stream.writeStatus === 'closed') throw new Error('the stream closed before it drained')
    let onDrain: () => void = () => undefined
    let onClose: (event: { error?: Error }) => void = () => undefined
    let closed: Error | undefined
    try {
      await waitFor((resume) => {
        onDrain = resume
        onClose = (event) => {
          closed = event.error ?? new Error('the stream closed before it drained')
          resume()
        }
        stream.addEventListener('drain', onDrain, { once: true })
        stream.addEventListener('close', onClose, { once: true })
      }, signal)
    } finally {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
    }
    if (closed !== undefined) throw closed
    // The stream goes on sending what it holds in a microtask; only then its state is true again.
    await Promise.resolve()
  }
}

async function waitFor(
  subscribe: (resume: () => void) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => reject(asError(signal?.reason))
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    subscribe(resolve)
    await promise
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
