import type { z } from 'zod'
import { asError, type Clock, IoexError, type AbortOptions } from '../base/index.ts'
import {
  BODY_IDLE_TIMEOUT_MS,
  CALL_TIMEOUT_MS,
  JSON_ANSWER_MAX_BYTES,
  PROBLEM_MAX_BYTES,
} from './limits.ts'
import { type Problem, PROBLEM_MEDIA_TYPE, ProblemSchema } from './problem.ts'

export type ApiErrorCode =
  | 'gateway-unreachable'
  | 'gateway-refused'
  | 'gateway-answer-invalid'
  | 'gateway-answer-too-large'

/** A call that did not succeed. `problem` is there when the gateway said why. */
export class ApiError extends IoexError<ApiErrorCode> {
  readonly status: number | undefined
  readonly problem: Problem | undefined

  constructor(
    code: ApiErrorCode,
    message: string,
    details: {
      readonly fix: string
      readonly status?: number
      readonly problem?: Problem
      readonly cause?: unknown
    },
  ) {
    super(code, message, {
      blame: code === 'gateway-refused' ? 'caller' : 'peer',
      fix: details.problem?.fix ?? details.fix,
      cause: details.cause,
    })
    this.name = 'ApiError'
    this.status = details.status
    this.problem = details.problem
  }
}

export interface HttpNeeds {
  readonly clock: Clock
  /** The global one, or `app.request` of a gateway in the same process. */
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
}

export interface HttpOptions {
  /** Such as `https://fw.example`; a path below it is kept. */
  readonly gateway: string
  readonly token?: string | undefined
}

export interface Call extends AbortOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | undefined>>
  readonly json?: unknown
  /** Instead of `json`: bytes as they are, streamed. */
  readonly body?: { readonly stream: ReadableStream<Uint8Array>; readonly type: string }
  readonly maxBytes?: number
  /** How long the head of the answer may take; longer for uploads, whose answer comes last. */
  readonly timeoutMs?: number
}

export interface Http {
  /** The answer checked by the schema. */
  json<Schema extends z.ZodType>(call: Call, schema: Schema): Promise<z.infer<Schema>>
  /** The answer's bytes; undefined when the gateway has no such thing (404). */
  bytes(call: Call): Promise<Uint8Array | undefined>
  /** The answer's bytes as they come, for what is too large to hold; read to the end before it resolves. */
  stream<T>(call: Call, take: (parts: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T>
}

/** One HTTP caller with bounds: on the bytes of an answer, on silence, and by the caller's signal. */
export function createHttp(needs: HttpNeeds, options: HttpOptions): Http {
  const base = options.gateway.replace(/\/+$/, '')
  if (!/^https?:\/\/[^/]+/.test(base)) {
    throw new ApiError('gateway-unreachable', `"${options.gateway}" is not a web address`, {
      fix: 'Write the gateway as http://host:port or https://host.',
    })
  }

  /** Runs a call; `read` gets the answer and a function to call whenever bytes have moved. */
  const run = async <T>(
    call: Call,
    read: (answer: Response, moved: () => void) => Promise<T>,
  ): Promise<T> => {
    call.signal?.throwIfAborted()
    const silence = new AbortController()
    const signal =
      call.signal === undefined ? silence.signal : AbortSignal.any([call.signal, silence.signal])
    const giveUpAfter = (ms: number) =>
      needs.clock.after(ms, () => silence.abort(new Error(`no answer for ${ms / 1000} s`)))
    let cancel = giveUpAfter(call.timeoutMs ?? CALL_TIMEOUT_MS)
    const moved = () => {
      cancel()
      cancel = giveUpAfter(BODY_IDLE_TIMEOUT_MS)
    }
    try {
      const answer = await needs.fetch(urlOf(base, call), {
        method: call.method,
        headers: headersOf(call, options.token),
        signal,
        redirect: 'error',
        ...(call.json === undefined ? {} : { body: JSON.stringify(call.json) }),
        // Half duplex is what the fetch standard asks for with a streamed body.
        ...(call.body === undefined ? {} : { body: call.body.stream, duplex: 'half' }),
      } as RequestInit)
      moved()
      return await read(answer, moved)
    } catch (thrown) {
      call.signal?.throwIfAborted()
      if (thrown instanceof ApiError) throw thrown
      const cause = silence.signal.aborted ? asError(silence.signal.reason) : asError(thrown)
      throw new ApiError('gateway-unreachable', `${base} did not answer: ${causeText(cause)}`, {
        fix: 'Check the address and the network; trying again may help.',
        cause,
      })
    } finally {
      cancel()
    }
  }

  return {
    json: (call, schema) =>
      run(call, async (answer, moved) => {
        if (!answer.ok) throw await refusal(base, answer, moved)
        const bytes = await readBounded(answer, call.maxBytes ?? JSON_ANSWER_MAX_BYTES, moved)
        const parsed = schema.safeParse(parseJson(bytes))
        if (parsed.success) return parsed.data
        throw new ApiError(
          'gateway-answer-invalid',
          `${base} answered ${call.method} ${call.path} with something else than the API says`,
          {
            fix: 'Use the same version on both sides.',
            status: answer.status,
            cause: parsed.error,
          },
        )
      }),
    bytes: (call) =>
      run(call, async (answer, moved) => {
        if (answer.status === 404) {
          await answer.body?.cancel()
          return undefined
        }
        if (!answer.ok) throw await refusal(base, answer, moved)
        return readBounded(answer, call.maxBytes ?? JSON_ANSWER_MAX_BYTES, moved)
      }),
    async stream(call, take) {
      // What the taker throws is no fault of the gateway and keeps its own words.
      const end = await run(call, async (answer, moved) => {
        if (!answer.ok) throw await refusal(base, answer, moved)
        let broken: unknown
        const parts = async function* () {
          try {
            for await (const part of answer.body ?? []) {
              moved()
              yield part
            }
          } catch (thrown) {
            broken = thrown
            throw thrown
          }
        }
        try {
          return { value: await take(parts()) }
        } catch (thrown) {
          if (thrown === broken) throw thrown
          return { thrown }
        }
      })
      if ('thrown' in end) throw end.thrown
      return end.value
    },
  }
}

function urlOf(base: string, call: Call): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) query.set(name, String(value))
  }
  const text = query.toString()
  return text === '' ? base + call.path : `${base}${call.path}?${text}`
}

function headersOf(call: Call, token: string | undefined): Record<string, string> {
  return {
    accept: `application/json, ${PROBLEM_MEDIA_TYPE}, */*;q=0.5`,
    ...(call.json === undefined ? {} : { 'content-type': 'application/json' }),
    ...(call.body === undefined ? {} : { 'content-type': call.body.type }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
}

/** Reads at most `maxBytes`; more is an error, never a cut text. */
async function readBounded(
  answer: Response,
  maxBytes: number,
  moved: () => void,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  if (answer.body !== null) {
    for await (const part of answer.body) {
      moved()
      size += part.byteLength
      if (size > maxBytes) {
        throw new ApiError('gateway-answer-too-large', `the answer is over ${maxBytes} bytes`, {
          fix: 'Check that the address is that of an ioeX gateway.',
          status: answer.status,
        })
      }
      parts.push(part)
    }
  }
  return new Uint8Array(Buffer.concat(parts))
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}

async function refusal(base: string, answer: Response, moved: () => void): Promise<ApiError> {
  const bytes = await readBounded(answer, PROBLEM_MAX_BYTES, moved)
  const parsed = ProblemSchema.safeParse(parseJson(bytes))
  const problem = parsed.success ? parsed.data : undefined
  const code = answer.status >= 500 ? 'gateway-unreachable' : 'gateway-refused'
  return new ApiError(code, problem?.detail ?? `${base} answered with status ${answer.status}`, {
    fix: 'Check that the address is that of an ioeX gateway.',
    status: answer.status,
    ...(problem === undefined ? {} : { problem }),
  })
}

function causeText(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}
