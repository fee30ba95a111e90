import { randomUUID } from 'node:crypto'
import { utf8 } from '../base/index.ts'
import type { DdiArtifact } from './fleet.ts'
import { hasTag } from './formats.ts'
import { type ByteRange, planRanges } from './ranges.ts'
import { DdiRefusal } from './refusal.ts'

const TYPE = 'application/octet-stream'

/**
 * The bytes of an artefact: all, one range, or several as `multipart/byteranges` (RFC 7233), which SWUpdate's
 * delta handler needs and many object stores do not have. Nothing is written down for it.
 */
export function answerArtifact(request: Request, artifact: DdiArtifact): Response {
  const { bytes } = artifact
  const etag = `"${artifact.sha256}"`
  const lastModified = new Date(artifact.storedMs).toUTCString()
  const headers = {
    etag,
    'last-modified': lastModified,
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-transform',
    'content-disposition': `attachment; filename="${artifact.filename}"`,
  }
  const ifMatch = request.headers.get('if-match')
  if (ifMatch !== null && !hasTag(ifMatch, etag) && !hasTag(ifMatch, `"${artifact.sha1}"`)) {
    throw new DdiRefusal('ddi-precondition-failed', `the artefact is ${etag}`, {
      fix: 'Begin the download anew.',
    })
  }
  if (hasTag(request.headers.get('if-none-match'), etag)) {
    return new Response(null, { status: 304, headers })
  }
  const ifRange = request.headers.get('if-range')?.trim()
  // A weak tag is none here, and a part of another file is worse than the whole of this one.
  const isSame = ifRange === undefined || ifRange === etag || ifRange === lastModified
  const plan = isSame ? planRanges(request.headers.get('range'), bytes) : WHOLE_FILE
  const isHead = request.method === 'HEAD'
  switch (plan.kind) {
    case 'unsatisfiable':
      throw new DdiRefusal('ddi-range-not-there', `the artefact has ${bytes} bytes`, {
        fix: 'Ask for ranges within it.',
        headers: { 'content-range': `bytes */${bytes}`, 'accept-ranges': 'bytes' },
      })
    case 'whole': {
      const range = { from: 0, to: bytes }
      return new Response(isHead ? null : streamOf([part(artifact, range)]), {
        headers: { ...headers, 'content-type': TYPE, 'content-length': String(bytes) },
      })
    }
    case 'parts': {
      const [only, ...others] = plan.parts
      if (only === undefined || others.length > 0) {
        return answerMultipart(artifact, plan.parts, headers, isHead)
      }
      return new Response(isHead ? null : streamOf([part(artifact, only)]), {
        status: 206,
        headers: {
          ...headers,
          'content-type': TYPE,
          'content-length': String(only.to - only.from),
          'content-range': contentRange(only, bytes),
        },
      })
    }
  }
}

const WHOLE_FILE = { kind: 'whole' } as const

/** The boundary stands without quotes and after one blank: SWUpdate takes the header apart at blanks. */
function answerMultipart(
  artifact: DdiArtifact,
  ranges: readonly ByteRange[],
  headers: Readonly<Record<string, string>>,
  isHead: boolean,
): Response {
  const boundary = randomUUID().replaceAll('-', '')
  const heads = ranges.map((range, index) =>
    utf8(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\ncontent-type: ${TYPE}\r\ncontent-range: ${contentRange(range, artifact.bytes)}\r\n\r\n`,
    ),
  )
  const end = utf8(`\r\n--${boundary}--\r\n`)
  const length = ranges.reduce(
    (sum, range, index) => sum + (heads[index]?.byteLength ?? 0) + range.to - range.from,
    end.byteLength,
  )
  const pieces = ranges.flatMap((range, index) => [
    () => [heads[index] ?? new Uint8Array()],
    part(artifact, range),
  ])
  return new Response(isHead ? null : streamOf([...pieces, () => [end]]), {
    status: 206,
    headers: {
      ...headers,
      'content-type': `multipart/byteranges; boundary=${boundary}`,
      'content-length': String(length),
    },
  })
}

function contentRange({ from, to }: ByteRange, bytes: number): string {
  return `bytes ${from}-${to - 1}/${bytes}`
}

type Piece = (signal: AbortSignal) => Iterable<Uint8Array> | AsyncIterable<Uint8Array>

function part(artifact: DdiArtifact, range: ByteRange): Piece {
  return (signal) => artifact.read(range, { signal })
}

/** Piece after piece, each begun when the reader gets there; a reader that leaves ends it. */
function streamOf(pieces: readonly Piece[]): ReadableStream<Uint8Array> {
  const ended = new AbortController()
  const run = async function* () {
    for (const piece of pieces) yield* piece(ended.signal)
  }
  const running = run()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next: IteratorResult<Uint8Array, void> = await running.next()
        if (next.done === true) controller.close()
        else controller.enqueue(next.value)
      },
      async cancel() {
        ended.abort()
        await running.return()
      },
    },
    // One piece is read when it is wanted, none ahead: `read` does its own reading ahead.
    { highWaterMark: 0 },
  )
}

/** `md5sum -c` reads it. */
export function answerMd5(request: Request, { md5, filename }: DdiArtifact): Response {
  const text = `${md5}  ${filename}`
  return new Response(request.method === 'HEAD' ? null : text, {
    headers: {
      'content-type': 'text/plain',
      'content-length': String(text.length),
      'content-disposition': `attachment; filename="${filename}.MD5SUM"`,
    },
  })
}
