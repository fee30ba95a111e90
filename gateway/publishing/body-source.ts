import type { Clock } from '@ioex/node/base'
import { tooLarge } from '../guards/body.ts'
import { UPLOAD_STALL_MS } from '../limits.ts'
import { ProblemError } from '../problems.ts'

export interface Body {
  readonly stream: ReadableStream<Uint8Array>
  /** As the sender said; undefined with chunked transfer. */
  readonly lengthBytes: number | undefined
}

/** From a request; refuses forms and bodies that say they are too large before any of it is read. */
export function bodyOf(
  request: { readonly body: ReadableStream<Uint8Array> | null; readonly headers: Headers },
  maxBytes: number,
): Body {
  const type = request.headers.get('content-type') ?? ''
  if (type.startsWith('multipart/')) {
    throw new ProblemError('media-type-unsupported', 'the body is a form', {
      fix: 'Send the bytes of the file alone, as: curl -T FILE',
    })
  }
  const said = request.headers.get('content-length')
  const lengthBytes = said === null ? undefined : Number(said)
  if (lengthBytes !== undefined && lengthBytes > maxBytes) throw tooLarge(maxBytes)
  if (request.body === null || lengthBytes === 0) {
    throw new ProblemError('upload-empty', 'the body is empty', {
      fix: 'Send the bytes of the file as the body, as: curl -T FILE',
    })
  }
  return { stream: request.body, lengthBytes }
}

/**
 * The bytes of a body: counted, at most `maxBytes`, exactly as many as were said, and never waited for
 * longer than two minutes while nothing moves.
 */
export async function* readBody(
  needs: { readonly clock: Clock },
  body: Body,
  options: {
    readonly maxBytes: number
    readonly signal: AbortSignal
    readonly onBytes: (receivedBytes: number) => void
  },
): AsyncGenerator<Uint8Array> {
  const reader = body.stream.getReader()
  let received = 0
  let isDone = false
  try {
    for (;;) {
      const { done, value } = await nextPart(needs, reader, options.signal)
      if (done) break
      received += value.byteLength
      if (received > options.maxBytes) throw tooLarge(options.maxBytes)
      options.onBytes(received)
      yield value
    }
    if (body.lengthBytes !== undefined && received !== body.lengthBytes) {
      throw broken(`${received} of ${body.lengthBytes} bytes came`)
    }
    if (received === 0) {
      throw new ProblemError('upload-empty', 'the body is empty', {
        fix: 'Send the bytes of the file as the body, as: curl -T FILE',
      })
    }
    isDone = true
  } finally {
    if (!isDone) {
      // The sender may be gone already; what it says to being cancelled changes nothing.
      await reader.cancel(broken('it is not wanted any more')).catch(() => undefined)
    }
    reader.releaseLock()
  }
}

async function nextPart(
  { clock }: { readonly clock: Clock },
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
) {
  signal.throwIfAborted()
  let cancel: () => void = () => undefined
  let stopListening: () => void = () => undefined
  const interrupted = new Promise<never>((_, reject) => {
    cancel = clock.after(UPLOAD_STALL_MS, () => {
      reject(broken(`nothing came for ${UPLOAD_STALL_MS / 1000} s`))
    })
    const abort = () => reject(broken('the gateway is stopping'))
    signal.addEventListener('abort', abort, { once: true })
    stopListening = () => signal.removeEventListener('abort', abort)
  })
  try {
    return await Promise.race([
      reader.read().catch((cause: unknown) => {
        throw broken('the connection was lost', cause)
      }),
      interrupted,
    ])
  } finally {
    cancel()
    stopListening()
  }
}

function broken(why: string, cause?: unknown): ProblemError {
  return new ProblemError('upload-broken', `the upload broke off: ${why}`, {
    fix: 'Nothing of it was kept; send it again.',
    cause,
  })
}
