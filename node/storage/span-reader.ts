import { type HeldBytes, holdBytes } from '../base/index.ts'
import type { StoredFile } from './file-layer.ts'
import { MAX_SPANS, SPAN_BYTES } from './limits.ts'
import { RECORD_HEADER_BYTES } from './segment-format.ts'

/**
 * Reads of segments, with an eye on whoever reads one record after the other: then a whole span is read at once,
 * and the next ones are views of it. Whoever jumps about gets what he asks for and no more.
 */
export interface SpanReader {
  /** `end` is where the sound part of the segment ends. Shorter than asked when the file is. To be released. */
  read(place: {
    readonly segment: number
    readonly offset: number
    readonly length: number
    readonly end: number
  }): Promise<HeldBytes>
}

interface Span {
  readonly start: number
  readonly length: number
  readonly held: Promise<HeldBytes>
}

export function createSpanReader(
  use: <T>(segment: number, read: (file: StoredFile) => Promise<T>) => Promise<T>,
): SpanReader {
  const spans = new Map<number, Span>()
  /** Where the last read of a segment ended. */
  const ends = new Map<number, number>()

  const readAt = (segment: number, offset: number, length: number): Promise<HeldBytes> =>
    use(segment, async (file) => {
      // Not from the pool of small buffers: what is handed out lives as long as a stream needs it.
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
      return holdBytes(bytes.subarray(0, await file.read(bytes, offset)))
    })
  const rememberEnd = (segment: number, end: number) => {
    ends.delete(segment)
    ends.set(segment, end)
    const [oldest] = ends.keys()
    if (ends.size > MAX_SPANS && oldest !== undefined) ends.delete(oldest)
  }
  const forget = (segment: number) => {
    const span = spans.get(segment)
    spans.delete(segment)
    // Whoever reads it at this moment sees the error.
    span?.held.then((held) => held.release()).catch(() => undefined)
  }
  const rememberSpan = (segment: number, span: Span) => {
    forget(segment)
    spans.set(segment, span)
    const [oldest] = spans.keys()
    if (spans.size > MAX_SPANS && oldest !== undefined) forget(oldest)
  }

  return {
    async read({ segment, offset, length, end }) {
      const isNext = ends.get(segment) === offset - RECORD_HEADER_BYTES
      rememberEnd(segment, offset + length)
      const known = spans.get(segment)
      if (known !== undefined && isWithin(known, offset, length))
        return viewOf(known, offset, length)
      if (!isNext || length >= SPAN_BYTES) return readAt(segment, offset, length)
      const spanBytes = Math.min(SPAN_BYTES, Math.max(length, end - offset))
      const span = { start: offset, length: spanBytes, held: readAt(segment, offset, spanBytes) }
      rememberSpan(segment, span)
      try {
        return await viewOf(span, offset, length)
      } catch (thrown) {
        if (spans.get(segment) === span) spans.delete(segment)
        throw thrown
      }
    },
  }
}

function isWithin({ start, length }: Span, offset: number, wanted: number): boolean {
  return offset >= start && offset + wanted <= start + length
}

async function viewOf({ start, held }: Span, offset: number, length: number): Promise<HeldBytes> {
  return (await held).share(offset - start, offset - start + length)
}
