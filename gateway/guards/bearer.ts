import type { Scope } from '@ioex/node/api'
import type { EvmAddress } from '@ioex/node/identity'
import type { MiddlewareHandler } from 'hono'
import type { Parts } from '../context.ts'
import type { AppContext, AppEnv } from '../env.ts'
import { ProblemError } from '../problems.ts'
import type { Bearer } from '../store/tokens.ts'

const MAKE_TOKEN =
  'Send "Authorization: Bearer iox_…" with a token made in the console or by the API.'

/** Finds out who asks and counts it against his rate. A token that is not valid is refused, not ignored. */
export function identify(parts: Pick<Parts, 'tokens' | 'limiters'>): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const header = c.req.header('authorization')
    if (header === undefined) {
      parts.limiters.anonymous.demand(c.get('source'))
      c.set('bearer', undefined)
    } else {
      const bearer = await bearerOf(parts, header, c.get('source'))
      parts.limiters.token.demand(bearer.id)
      c.set('bearer', bearer)
    }
    await next()
  }
}

async function bearerOf(
  { tokens, limiters }: Pick<Parts, 'tokens' | 'limiters'>,
  header: string,
  source: string,
): Promise<Bearer> {
  if (limiters.refusedTokens.isSpent(source)) limiters.refusedTokens.demand(source)
  const token = /^Bearer +(iox_[obvd]_[A-Za-z0-9_-]{43})$/i.exec(header)?.[1]
  const bearer = token === undefined ? undefined : await tokens.find(token)
  if (bearer !== undefined) return bearer
  limiters.refusedTokens.take(source)
  throw new ProblemError('token-refused', 'the token is unknown, revoked or expired', {
    fix: MAKE_TOKEN,
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  })
}

/** For routes that only some may call: what the documentation says and what is checked, in one. */
interface Guard {
  readonly security: { bearer: string[] }[]
  readonly middleware: [MiddlewareHandler<AppEnv>]
}

function guard(names: readonly string[], check: (bearer: Bearer) => void): Guard {
  const middleware: MiddlewareHandler<AppEnv> = async (c, next) => {
    check(bearerIn(c))
    await next()
  }
  return { security: [{ bearer: [...names] }], middleware: [middleware] }
}

/** Who asks. Throws `token-missing` when nobody said. */
export function bearerIn(c: AppContext): Bearer {
  const bearer = c.get('bearer')
  if (bearer !== undefined) return bearer
  throw new ProblemError('token-missing', 'this call needs a token', {
    fix: MAKE_TOKEN,
    headers: { 'www-authenticate': 'Bearer' },
  })
}

function refuse(what: string): never {
  throw new ProblemError('token-scope-missing', `this call needs ${what}`, {
    fix: 'Use a token that has it; an admin token of the vendor can make one.',
  })
}

/** A token of a vendor with this scope (admin has all), or the operator's. */
export function forVendor(scope: Scope): Guard {
  return guard([scope], (bearer) => {
    if (bearer.kind === 'operator') return
    if (bearer.kind !== 'vendor') refuse(`a vendor's token with the scope "${scope}"`)
    if (!bearer.scopes.includes(scope) && !bearer.scopes.includes('admin')) {
      refuse(`the scope "${scope}"`)
    }
  })
}

export const forOperator = guard(['operator'], (bearer) => {
  if (bearer.kind !== 'operator') refuse("the operator's token")
})

export const forBridge = guard(['bridge'], (bearer) => {
  if (bearer.kind !== 'bridge') refuse("the bridge's token")
})

export const forDevice = guard(['device'], (bearer) => {
  if (bearer.kind !== 'device') refuse("a device's token, which enrolment gives")
})

/** Any valid token. */
export const forAnyToken = guard([], () => undefined)

/** The vendor a token acts for. The operator has to say which. */
export function vendorOf(c: AppContext, named?: string): EvmAddress {
  const bearer = bearerIn(c)
  if (bearer.kind === 'operator') {
    if (named !== undefined) return named as EvmAddress
    throw new ProblemError('request-invalid', 'the operator has to say which vendor is meant', {
      fix: "Add ?vendor=0x…, or use a token of the vendor's own.",
    })
  }
  if (bearer.vendor === undefined) refuse("a vendor's token")
  if (named === undefined || named === bearer.vendor) return bearer.vendor
  throw new ProblemError('not-yours', 'the token belongs to another vendor', {
    fix: `This token is for ${bearer.vendor}.`,
  })
}

/** Throws when what belongs to `owner` is asked for by another vendor. As if it were not there. */
export function mustOwn(c: AppContext, owner: string, what: string): void {
  const bearer = bearerIn(c)
  if (bearer.kind === 'operator' || bearer.vendor === owner) return
  throw notFound(what)
}

export function notFound(what: string): ProblemError {
  return new ProblemError('not-found', `there is no ${what}`, {
    fix: 'Check the id; the lists show what is there.',
  })
}

/** The device that asks, after `forDevice`. */
export function deviceIn(c: AppContext): {
  readonly device: EvmAddress
  readonly vendor: EvmAddress
} {
  const { device, vendor } = bearerIn(c)
  if (device === undefined || vendor === undefined) refuse("a device's token")
  return { device, vendor }
}
