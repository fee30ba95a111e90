import { bodyLimit } from 'hono/body-limit'
import type { MiddlewareHandler } from 'hono'
import { JSON_BODY_MAX_BYTES } from '@ioex/node/api'
import type { AppEnv } from '../env.ts'
import { SMALL_BODY_MAX_BYTES } from '../limits.ts'
import { ProblemError } from '../problems.ts'

function limitTo(maxSize: number): MiddlewareHandler<AppEnv> {
  return bodyLimit({
    maxSize,
    onError: () => {
      throw tooLarge(maxSize)
    },
  })
}

export function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError('body-too-large', `the body is over ${maxBytes} bytes`, {
    fix: `Send at most ${maxBytes} bytes at once.`,
  })
}

/** Batches of receipts, wraps of cohorts, TUF metadata. */
const limitJson = limitTo(JSON_BODY_MAX_BYTES)
const limitSmall = limitTo(SMALL_BODY_MAX_BYTES)

/** Bodies that are streamed and count their bytes themselves. */
const STREAMED = [/^\/v1\/vendors\/[^/]+\/(releases|blocks)$/, /^\/v1\/uploads\/[^/]+$/]
const BATCHES = [
  /^\/v1\/receipts$/,
  /^\/v1\/releases\/[^/]+\/(wraps|withdraw)$/,
  /^\/v1\/vendors\/[^/]+\/tuf-metadata$/,
]

/** Every body has a bound before anything reads it. */
export const limitBody: MiddlewareHandler<AppEnv> = (c, next) => {
  const { path } = c.req
  const isJson = c.req.header('content-type')?.includes('json') === true
  if (STREAMED.some((pattern) => pattern.test(path))) {
    return isJson ? limitJson(c, next) : next()
  }
  return BATCHES.some((pattern) => pattern.test(path)) ? limitJson(c, next) : limitSmall(c, next)
}
