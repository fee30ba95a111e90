import { z } from 'zod'
import { DigestSchema } from './scalars.ts'

/** RFC 9457 problem document: what every error of the gateway looks like. */
export const ProblemSchema = z
  .object({
    type: z.string().meta({ description: 'where the code is explained, relative to the gateway' }),
    title: z.string().meta({ description: 'the kind of problem, the same for every case of it' }),
    status: z.int().min(400).max(599),
    code: z
      .string()
      .regex(/^[a-z][a-z0-9-]*$/)
      .meta({ description: 'stable; programs switch on it', example: 'token-scope-missing' }),
    detail: z.string().meta({ description: 'what happened this time' }),
    fix: z.string().optional().meta({ description: 'what to do next, one sentence' }),
    errors: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'one entry for each part of the request that is wrong' }),
    chain: z
      .object({ seq: z.int().min(0), head: DigestSchema })
      .optional()
      .meta({ description: 'of a report that does not follow: the end of the chain that is here' }),
    instance: z.string().optional().meta({ description: 'id of the request, as in the log' }),
  })
  .meta({ id: 'Problem' })
export type Problem = z.infer<typeof ProblemSchema>

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'
