import { ProblemSchema } from '@ioex/node/api'
import type { z } from '@hono/zod-openapi'
import type { ProblemCode } from '../problems.ts'

const problem = { 'application/problem+json': { schema: ProblemSchema } } as const

interface Described<Schema extends z.ZodType> {
  readonly content: { readonly 'application/json': { readonly schema: Schema } }
  readonly description: string
}

/** Every answer of a route: the one that is hoped for, and problem documents. */
export function answers<Status extends 200 | 201 | 202, Schema extends z.ZodType>(
  status: Status,
  schema: Schema,
  description: string,
  codes: readonly ProblemCode[] = [],
) {
  const expected = { [status]: { content: { 'application/json': { schema } }, description } } as {
    [Code in Status]: Described<Schema>
  }
  return { ...expected, ...refusals(codes) }
}

/** Problem documents of a route whose answers are no JSON. */
export function refusals(codes: readonly ProblemCode[]) {
  const listed = codes.length === 0 ? 'refused' : `refused: ${codes.join(', ')}`
  return {
    '4XX': { content: problem, description: listed },
    '5XX': { content: problem, description: 'the gateway failed, or is busy' },
  } as const
}

export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { content: { 'application/json': { schema } }, required: true } as const
}
