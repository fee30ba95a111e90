import type { Hook } from '@hono/zod-openapi'
import { type Problem, PROBLEM_MEDIA_TYPE } from '@ioex/node/api'
import { asError, codeOf, IoexError, type Log } from '@ioex/node/base'
import { HTTPException } from 'hono/http-exception'
import type { AppContext, AppEnv } from '../env.ts'
import { ProblemError, problemOf } from '../problems.ts'

/** One look shows what is wrong; a batch with a thousand faults need not list them all. */
const MAX_LISTED_FAULTS = 20

/** What zod found wrong, as one problem with an entry for each part. */
export const refuseInvalid: Hook<unknown, AppEnv, string, unknown> = (result) => {
  if (!result.success) throw invalidParts(result.target, result.error)
}

export function invalidParts(
  target: string,
  error: { readonly issues: readonly { readonly path: PropertyKey[]; readonly message: string }[] },
): ProblemError {
  const errors = error.issues.slice(0, MAX_LISTED_FAULTS).map((issue) => ({
    path: [target, ...issue.path.map(String)].join('.'),
    message: issue.message,
  }))
  const [first] = errors
  return new ProblemError(
    'request-invalid',
    first === undefined ? 'the request is not valid' : `${first.path}: ${first.message}`,
    { fix: 'Mend the parts that are named; /docs shows what the call takes.', errors },
  )
}

export function refuseUnknownPath(c: AppContext): Response {
  return answerProblem(
    c,
    new ProblemError('not-found', `nothing is at ${c.req.method} ${c.req.path}`, {
      fix: 'See /docs for what there is.',
    }),
  )
}

/** Turns whatever was thrown into a problem document; what was not foreseen is logged with its cause. */
export function refuseWith(log: Log): (thrown: Error, c: AppContext) => Response {
  return (thrown, c) => {
    const problem = asProblem(thrown)
    if (problem.code === 'fault') {
      log.error({ requestId: c.get('requestId'), path: c.req.path, error: thrown }, 'failed')
    }
    return answerProblem(c, problem)
  }
}

function asProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown
  if (thrown instanceof HTTPException && thrown.status === 415) {
    return new ProblemError('media-type-unsupported', 'the call does not take this kind of body', {
      fix: 'Send JSON with "Content-Type: application/json".',
      cause: thrown,
    })
  }
  if (thrown instanceof HTTPException) {
    // Hono's own: a body that is not JSON, as a rule.
    return new ProblemError('json-invalid', thrown.message, {
      fix: 'Send a JSON document with "Content-Type: application/json".',
      cause: thrown,
    })
  }
  const code = codeOf(thrown)
  if (code === 'quota-exceeded' || code === 'disk-full') {
    return new ProblemError('storage-full', asError(thrown).message, {
      fix: 'Withdraw old releases, or give the gateway more room.',
      cause: thrown,
    })
  }
  return new ProblemError('fault', 'something failed that should not have', {
    fix: 'Try again; if it stays, look up the request id in the log of the gateway.',
    cause: thrown,
  })
}

function answerProblem(c: AppContext, error: ProblemError): Response {
  const requestId: string | undefined = c.get('requestId')
  const problem: Problem = problemOf(error, requestId ?? 'unknown')
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      ...error.headers,
      'content-type': PROBLEM_MEDIA_TYPE,
      'cache-control': 'no-store',
      'x-request-id': problem.instance ?? '',
    },
  })
}

/** For messages of events: code, detail and fix without the rest. */
export function briefOf(thrown: unknown): { code: string; detail: string; fix?: string } {
  const problem = asProblem(thrown)
  const source: Pick<IoexError, 'code' | 'message' | 'fix'> =
    thrown instanceof IoexError ? (thrown as IoexError) : problem
  const fix = source.fix ?? problem.fix
  return {
    code: problem.code === 'fault' ? source.code : problem.code,
    detail: problem.code === 'fault' ? source.message : problem.message,
    ...(fix === undefined ? {} : { fix }),
  }
}
