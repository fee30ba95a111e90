import type { MiddlewareHandler } from 'hono'
import type { Parts } from '../context.ts'
import type { AppContext, AppEnv } from '../env.ts'

/** Gives the request an id and a source, and writes one line when it is answered. */
export function beginRequest(
  parts: Pick<Parts, 'clock' | 'random' | 'log' | 'options'>,
): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const requestId = Buffer.from(parts.random.bytes(8)).toString('hex')
    c.set('requestId', requestId)
    c.set('source', sourceOf(c, parts.options.trustProxy))
    const startMs = parts.clock.monotonicMs()
    await next()
    c.header('x-request-id', requestId)
    parts.log.debug(
      {
        requestId,
        method: c.req.method,
        path: c.req.path,
        status: c.res.status,
        ms: Math.round(parts.clock.monotonicMs() - startMs),
      },
      'answered',
    )
  }
}

function sourceOf(c: AppContext, trustProxy: boolean): string {
  if (trustProxy) {
    const forwarded = c.req.header('x-forwarded-for')?.split(',').at(-1)?.trim()
    if (forwarded !== undefined && forwarded !== '') return forwarded
  }
  // `app.request` in tests has no socket.
  return c.env?.incoming?.socket.remoteAddress ?? 'this process'
}

/** Pages and answers load nothing from other hosts, and nobody frames them. */
export const secureAnswers: MiddlewareHandler<AppEnv> = async (c, next) => {
  await next()
  c.header('x-content-type-options', 'nosniff')
  c.header('referrer-policy', 'no-referrer')
  if (c.res.headers.get('content-type')?.startsWith('text/html') !== true) return
  c.header(
    'content-security-policy',
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
  )
}
