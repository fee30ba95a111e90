import { createRoute } from '@hono/zod-openapi'
import { PollAnswerSchema, PollSchema } from '@ioex/node/api'
import { Hono } from 'hono'
import type { Parts } from '../context.ts'
import type { AppContext, AppEnv } from '../env.ts'
import { forDevice } from '../guards/bearer.ts'
import { invalidParts } from '../middleware/problem.ts'
import { ProblemError } from '../problems.ts'
import type { Said } from '../polls/types.ts'
import { createAppPart } from './app-part.ts'
import { answers } from './described.ts'

const PATH = '/v1/devices/me/poll'
const BEARER = 'Bearer '

/**
 * Polls that say nothing new are nearly all that a gateway is asked, and each layer between costs more than the
 * answer: they are answered from memory, before there is even a request of Hono. All others go on to `next`.
 */
export function recallPolls(
  { polls, metrics }: Pick<Parts, 'polls' | 'metrics'>,
  next: (request: Request, env: unknown) => Response | Promise<Response>,
): (request: Request, env: unknown) => Response | Promise<Response> {
  return (request, env) => {
    const { incoming } = env as AppEnv['Bindings']
    if (incoming?.method === 'GET' && incoming.url?.startsWith(PATH) === true) {
      const header = incoming.headers.authorization
      const answer = header?.startsWith(BEARER)
        ? polls.recall(header.slice(BEARER.length), incoming.url.slice(PATH.length))
        : undefined
      if (answer !== undefined) {
        metrics.recalled()
        return new Response(answer, ANSWER)
      }
    }
    return next(request, env)
  }
}

/**
 * The poll of a device whom, or whose words, the gateway does not remember, still before everything else of the
 * application. Whoever is not a known device goes on to the layers, which say what is wrong.
 */
export function quickPollRoute({ polls, limiters, metrics, clock }: Parts) {
  const part = new Hono<AppEnv>()
  part.get(PATH, async (c, next) => {
    const startMs = clock.monotonicMs()
    const header = c.req.header('authorization')
    const device = header?.startsWith(BEARER)
      ? await polls.find(header.slice(BEARER.length))
      : undefined
    if (device === undefined || !limiters.token.take(device.token)) return next()
    const { url } = c.req
    const at = url.indexOf('?')
    polls.note(device, at < 0 ? '' : url.slice(at), () => saidIn(c))
    const body = await polls.answer(device)
    metrics.polled((clock.monotonicMs() - startMs) / 1000)
    return c.body(body, 200, ANSWER_HEADERS)
  })
  return part
}

const poll = createRoute({
  method: 'get',
  path: PATH,
  summary: 'Device: say what runs, hear whether there is anything new',
  ...forDevice,
  request: { query: PollSchema },
  responses: answers(200, PollAnswerSchema, 'a hint; only TUF metadata decides'),
})

/** Where those come out whom `quickPollRoute` did not know: all but a device of the last second were refused. */
export function devicePollRoute() {
  return createAppPart().openapi(poll, () => {
    throw new ProblemError('busy', 'the token of this device was changed just now', {
      fix: 'Ask again.',
    })
  })
}

const ANSWER_HEADERS: Record<string, string> = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
}

const ANSWER = { status: 200, headers: ANSWER_HEADERS }

function saidIn(c: AppContext): Said {
  const said = PollSchema.safeParse(c.req.query())
  if (!said.success) throw invalidParts('query', said.error)
  const { version, root, state } = said.data
  return { version: version ?? null, root: root ?? null, state: state ?? null }
}
