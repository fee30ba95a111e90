import { hash } from 'node:crypto'
import { decode, encode } from 'cborg'
import type { z } from 'zod'
import { asError, concat, fromUtf8, utf8 } from '../base/index.ts'
import { BODY_MAX_BYTES } from './limits.ts'
import { DdiRefusal } from './refusal.ts'

const JSON_TYPE = 'application/json'
const HAL_TYPE = 'application/hal+json'
const CBOR_TYPE = 'application/cbor'
type Format = typeof JSON_TYPE | typeof HAL_TYPE | typeof CBOR_TYPE

/** The form that the client prefers of those that there are; JSON when it does not care. */
function formatFor(accept: string | null): Format {
  let best: { type: Format; weight: number } = { type: JSON_TYPE, weight: 0 }
  for (const part of (accept ?? '').split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase())
    const quality = parameters.find((parameter) => parameter.startsWith('q='))
    const weight = quality === undefined ? 1 : Number(quality.slice(2)) || 0
    const isKnown = name === JSON_TYPE || name === HAL_TYPE || name === CBOR_TYPE
    if (isKnown && weight > best.weight) best = { type: name, weight }
  }
  return best.type
}

/** A document in the client's form, with an ETag over its bytes; 304 when the client has them. */
export function answerDocument(request: Request, document: unknown): Response {
  const type = formatFor(request.headers.get('accept'))
  const bytes =
    type === CBOR_TYPE ? encode(withoutUndefined(document)) : utf8(JSON.stringify(document))
  const headers = {
    etag: `"${hash('sha256', bytes).slice(0, 32)}"`,
    'cache-control': 'private, no-cache',
    vary: 'accept, authorization',
  }
  if (hasTag(request.headers.get('if-none-match'), headers.etag)) {
    return new Response(null, { status: 304, headers })
  }
  return new Response(request.method === 'HEAD' ? null : new Uint8Array(bytes), {
    headers: { ...headers, 'content-type': type, 'content-length': String(bytes.byteLength) },
  })
}

/** CBOR knows "undefined", which a client would take for a value. */
function withoutUndefined(document: unknown): unknown {
  return JSON.parse(JSON.stringify(document)) as unknown
}

/** Weak comparison, as RFC 9110 has it for If-None-Match. */
export function hasTag(header: string | null, etag: string): boolean {
  if (header === null) return false
  const plain = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((tag) => plain(tag) === plain(etag))
}

/** The body as the schema has it, from JSON or CBOR. An empty one is the empty object. */
export async function readDocument<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const bytes = await readBounded(request)
  const isCbor = request.headers.get('content-type')?.toLowerCase().startsWith(CBOR_TYPE) === true
  let value: unknown
  try {
    if (bytes.byteLength === 0) value = {}
    else value = isCbor ? decode(bytes) : JSON.parse(fromUtf8(bytes))
  } catch (thrown) {
    throw invalid(`the body is no ${isCbor ? 'CBOR' : 'JSON'}: ${asError(thrown).message}`, thrown)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw invalid(`${issue?.path.join('.') ?? 'body'}: ${issue?.message ?? 'invalid'}`, parsed.error)
}

function invalid(detail: string, cause: unknown): DdiRefusal {
  return new DdiRefusal('ddi-body-invalid', detail, {
    fix: "Send what hawkBit's DDI v1 has there.",
    cause,
  })
}

async function readBounded(request: Request): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += part.byteLength
    if (size > BODY_MAX_BYTES) {
      throw new DdiRefusal('ddi-body-too-large', `the body is over ${BODY_MAX_BYTES} bytes`, {
        fix: 'Send fewer lines of log at once.',
      })
    }
    parts.push(part)
  }
  return concat(parts)
}
