import { createRoute, z } from '@hono/zod-openapi'
import {
  EvmAddressSchema,
  type Scope,
  TokenCreatedSchema,
  TokenCreateSchema,
  TokenListSchema,
} from '@ioex/node/api'
import type { Parts } from '../context.ts'
import { forVendor, notFound, vendorOf } from '../guards/bearer.ts'
import { TOKENS_PER_VENDOR } from '../limits.ts'
import { ProblemError } from '../problems.ts'
import type { TokenRow } from '../store/tables.ts'
import { timeOf } from '../store/times.ts'
import { createAppPart } from './app-part.ts'
import { answers, jsonBody } from './described.ts'

const params = z.object({ vendor: EvmAddressSchema })
const create = createRoute({
  method: 'post',
  path: '/v1/vendors/{vendor}/tokens',
  summary: 'Make a token',
  ...forVendor('admin'),
  request: { params, body: jsonBody(TokenCreateSchema) },
  responses: answers(201, TokenCreatedSchema, 'the token, shown this once', ['too-many']),
})
const list = createRoute({
  method: 'get',
  path: '/v1/vendors/{vendor}/tokens',
  summary: 'Tokens of the vendor',
  ...forVendor('admin'),
  request: { params },
  responses: answers(200, TokenListSchema, 'without their secrets'),
})
const revoke = createRoute({
  method: 'delete',
  path: '/v1/vendors/{vendor}/tokens/{token}',
  summary: 'Revoke a token at once',
  ...forVendor('admin'),
  request: { params: params.extend({ token: z.string().regex(/^[0-9a-f]{16}$/) }) },
  responses: answers(200, z.object({ revoked: z.string() }), 'the id', ['not-found']),
})

export function tokenRoutes({ db, tokens, clock }: Parts) {
  return createAppPart()
    .openapi(create, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      const { name, scopes, expiresAt } = c.req.valid('json')
      const expiresMs = expiresAt === undefined ? undefined : Date.parse(expiresAt)
      if (expiresMs !== undefined && expiresMs <= clock.nowMs()) {
        throw new ProblemError('request-invalid', 'expiresAt lies in the past', {
          fix: 'Give a later time, or leave it out.',
        })
      }
      const known = await db
        .selectFrom('vendors')
        .select('id')
        .where('id', '=', vendor)
        .executeTakeFirst()
      if (known === undefined) throw notFound(`vendor ${vendor}`)
      if ((await tokens.list(vendor)).length >= TOKENS_PER_VENDOR) {
        throw new ProblemError('too-many', `${TOKENS_PER_VENDOR} tokens are the most`, {
          fix: 'Revoke tokens that are no longer used.',
        })
      }
      const { row, token } = await tokens.create({
        kind: 'vendor',
        vendor,
        name,
        scopes: [...new Set(scopes)],
        ...(expiresMs === undefined ? {} : { expiresMs }),
      })
      return c.json({ ...tokenOf(row), token }, 201)
    })
    .openapi(list, async (c) => {
      const vendor = vendorOf(c, c.req.valid('param').vendor)
      return c.json({ items: (await tokens.list(vendor)).map(tokenOf) }, 200)
    })
    .openapi(revoke, async (c) => {
      const { vendor, token } = c.req.valid('param')
      if (!(await tokens.revoke(vendorOf(c, vendor), token))) throw notFound(`token ${token}`)
      return c.json({ revoked: token }, 200)
    })
}

function tokenOf(row: TokenRow) {
  return {
    id: row.id,
    name: row.name,
    scopes: row.scopes.split(' ') as Scope[],
    createdAt: timeOf(row.created_ms),
    expiresAt: timeOf(row.expires_ms),
    lastUsedAt: timeOf(row.used_ms),
  }
}
