import { DdiControllerSchema } from '../api/index.ts'
import { asError, codeOf, type Log } from '../base/index.ts'
import { onCancelFeedback, onConfirmation, onFeedback, type Step } from './action.ts'
import { answerArtifact, answerMd5 } from './artifact-answer.ts'
import {
  artifactList,
  cancelDocument,
  confirmationBase,
  confirmationBaseOf,
  deploymentBase,
  type Place,
  pollRoot,
} from './documents.ts'
import type { DdiClaim, DdiDevice, DdiFleet } from './fleet.ts'
import { answerDocument, readDocument } from './formats.ts'
import { ACTION_ID_MAX } from './limits.ts'
import {
  AutoConfirmSchema,
  ConfigDataSchema,
  ConfirmationSchema,
  FeedbackSchema,
} from './messages.ts'
import { answerRefusal, DdiRefusal } from './refusal.ts'

export interface DdiFaceNeeds {
  readonly fleet: DdiFleet
  readonly log: Log
}

export interface DdiFaceOptions {
  /** Path in front of `/{tenant}/controller/v1/…`, without a slash at its end; empty for none. */
  readonly basePath: string
  /** How soon a client shall ask again. */
  readonly pollS: number
}

export interface DdiFace {
  /** `source`: where the request came from, for rates. What the fleet throws beyond a DdiRefusal comes through. */
  answer(
    request: Request,
    context: { readonly source: string; readonly origin: string },
  ): Promise<Response>
}

/** One request, taken apart. */
interface Asked {
  readonly request: Request
  readonly device: DdiDevice
  readonly place: Place
  readonly query: URLSearchParams
  /** What follows the controller's id. */
  readonly rest: readonly string[]
}

const PATH = /^\/([^/]+)\/controller\/v1\/([^/]+)((?:\/[^/]+)*)\/?$/

/** Answers as hawkBit's DDI does; every REST call that succeeds with exactly 200. */
export function createDdiFace({ fleet, log }: DdiFaceNeeds, options: DdiFaceOptions): DdiFace {
  const poll = async ({ request, device, place }: Asked) =>
    answerDocument(request, pollRoot(place, await device.poll(), options.pollS))

  const deployment = async (asked: Asked) => {
    const { request, device, place, rest } = asked
    if (rest.length === 3) return feedback(asked, onFeedback)
    mustBe(request, 'GET')
    const action = await device.action(actionId(rest))
    const isThere =
      action !== undefined &&
      !action.isHeld &&
      action.state !== 'awaiting-confirmation' &&
      action.state !== 'canceling' &&
      action.state !== 'canceled'
    if (!isThere) throw notThere('such deployment')
    return answerDocument(request, deploymentBase(place, action, historyOf(asked)))
  }

  const feedback = async (
    { request, device, rest }: Asked,
    meaning: typeof onFeedback,
  ): Promise<Response> => {
    mustBe(request, 'POST')
    mustEnd(rest, 'feedback')
    const decide = meaning(await readDocument(request, FeedbackSchema))
    return answerStep(await device.step(actionId(rest), decide))
  }

  const cancel = async (asked: Asked) => {
    const { request, device, rest } = asked
    if (rest.length === 3) return feedback(asked, onCancelFeedback)
    mustBe(request, 'GET')
    const action = await device.action(actionId(rest))
    if (action?.state !== 'canceling' && action?.state !== 'canceled') {
      throw notThere('cancelled action of this id')
    }
    return answerDocument(request, cancelDocument(action))
  }

  const installed = async (asked: Asked) => {
    const { request, device, place, rest } = asked
    mustBe(request, 'GET')
    const action = await device.action(actionId(rest))
    if (action?.state !== 'finished' && action?.state !== 'error') {
      throw notThere('ended deployment of this id')
    }
    return answerDocument(request, deploymentBase(place, action, historyOf(asked)))
  }

  const configData = async ({ request, device, rest }: Asked) => {
    if (rest.length !== 1) throw notThere('such path')
    mustBe(request, 'PUT')
    const { mode, data } = await readDocument(request, ConfigDataSchema)
    if (await device.putAttributes(mode ?? 'merge', data)) return done()
    throw new DdiRefusal('ddi-too-many-attributes', 'the device would have too many attributes', {
      fix: 'Remove some, or replace them all with "mode": "replace".',
    })
  }

  const confirmation = async (asked: Asked) => {
    const { request, device, place, rest } = asked
    const [, second] = rest
    if (second === undefined) {
      mustBe(request, 'GET')
      const { action } = await device.poll()
      return answerDocument(request, confirmationBase(place, await device.autoConfirm(), action))
    }
    if (second === 'activateAutoConfirm' && rest.length === 2) {
      mustBe(request, 'POST')
      const { initiator, remark } = await readDocument(request, AutoConfirmSchema)
      await device.setAutoConfirm({ initiator: initiator ?? null, remark: remark ?? null })
      return done()
    }
    if (second === 'deactivateAutoConfirm' && rest.length === 2) {
      mustBe(request, 'POST')
      await device.setAutoConfirm(undefined)
      return done()
    }
    if (rest.length === 3) {
      mustBe(request, 'POST')
      mustEnd(rest, 'feedback')
      const decide = onConfirmation(await readDocument(request, ConfirmationSchema))
      return answerStep(await device.step(actionId(rest), decide))
    }
    mustBe(request, 'GET')
    const action = await device.action(actionId(rest))
    if (action?.state !== 'awaiting-confirmation' || action.isHeld) {
      throw notThere('question of this id')
    }
    return answerDocument(request, confirmationBaseOf(place, action, historyOf(asked)))
  }

  const artifacts = async ({ request, device, place, rest }: Asked) => {
    const [, module, list, name] = rest
    mustBe(request, 'GET')
    const id = Number(module)
    const found =
      list === 'artifacts' && rest.length <= 4 && Number.isSafeInteger(id)
        ? await device.module(id)
        : undefined
    if (found === undefined) throw notThere('such artefact')
    if (name === undefined) return answerDocument(request, artifactList(place, found))
    const { artifact } = found
    if (name === artifact.filename) return answerArtifact(request, artifact)
    if (name === `${artifact.filename}.MD5SUM`) return answerMd5(request, artifact)
    throw notThere('such artefact')
  }

  const CALLS: Readonly<Record<string, (asked: Asked) => Promise<Response>>> = {
    deploymentBase: deployment,
    cancelAction: cancel,
    installedBase: installed,
    configData,
    confirmationBase: confirmation,
    softwaremodules: artifacts,
  }

  const answer = async (
    request: Request,
    { source, origin }: { readonly source: string; readonly origin: string },
  ) => {
    const url = new URL(request.url)
    const path = url.pathname
    const { basePath } = options
    const [, tenant, controller, tail] =
      (path.startsWith(basePath) ? PATH.exec(path.slice(basePath.length)) : null) ?? []
    if (tenant === undefined || controller === undefined) throw notThere('such path')
    const controllerId = DdiControllerSchema.safeParse(decoded(controller))
    if (!controllerId.success) throw notThere('such controller')
    const device = await fleet.admit({
      tenant: decoded(tenant),
      controllerId: controllerId.data,
      credential: credentialOf(request.headers.get('authorization')),
      source,
    })
    if (device === undefined) {
      throw new DdiRefusal('ddi-token-refused', 'the token is missing, unknown or revoked', {
        fix: 'Send "Authorization: TargetToken …" of this device, or "GatewayToken …" of its vendor.',
        headers: { 'www-authenticate': 'TargetToken, GatewayToken' },
      })
    }
    const rest = (tail ?? '').split('/').slice(1).map(decoded)
    const place = { url: `${origin}${basePath}/${tenant}/controller/v1/${controller}` }
    const asked = { request, device, place, query: url.searchParams, rest }
    const [first] = rest
    if (first === undefined) {
      mustBe(request, 'GET')
      return poll(asked)
    }
    const call = Object.hasOwn(CALLS, first) ? CALLS[first] : undefined
    if (call === undefined) throw notThere('such path')
    return call(asked)
  }

  return {
    async answer(request, context) {
      try {
        return await answer(request, context)
      } catch (thrown) {
        // A body that is not read to its end would be taken for the next request on the connection.
        await request.body?.cancel().catch(() => undefined)
        if (!(thrown instanceof DdiRefusal)) throw thrown
        log.debug({ code: codeOf(thrown), error: asError(thrown) }, 'a DDI call was refused')
        return answerRefusal(thrown)
      }
    },
  }
}

/** hawkBit answers with an empty body; clients look at the 200. */
function done(): Response {
  return new Response(null, { status: 200, headers: { 'content-length': '0' } })
}

function answerStep(step: Step | undefined): Response {
  if (step?.ok === true) return done()
  if (step?.reason === 'action-not-active') {
    throw new DdiRefusal('ddi-action-not-active', 'the action has ended', {
      fix: 'Poll for what is to be done now.',
    })
  }
  throw notThere('such action')
}

function credentialOf(header: string | null): DdiClaim['credential'] {
  const [, scheme, token] = /^(TargetToken|GatewayToken)\s+(\S+)$/i.exec(header?.trim() ?? '') ?? []
  if (scheme === undefined || token === undefined) return undefined
  return { kind: scheme.toLowerCase() === 'targettoken' ? 'target' : 'gateway', token }
}

function actionId([, text, ...others]: readonly string[]): number {
  const id = /^\d{1,10}$/.test(text ?? '') ? Number(text) : 0
  if (id < 1 || id > ACTION_ID_MAX || others.length > 1) throw notThere('such action')
  return id
}

/** hawkBit: 0 for none, which is also what is meant when it is left out; below 0 for all. */
function historyOf({ query }: Asked): number {
  const count = Number(query.get('actionHistory') ?? 0)
  return Number.isSafeInteger(count) ? count : 0
}

function mustBe({ method }: Request, expected: 'GET' | 'POST' | 'PUT'): void {
  if (method === expected || (expected === 'GET' && method === 'HEAD')) return
  throw new DdiRefusal('ddi-method-not-allowed', `${method} is not taken here`, {
    fix: `Use ${expected}.`,
    headers: { allow: expected === 'GET' ? 'GET, HEAD' : expected },
  })
}

function mustEnd(rest: readonly string[], name: string): void {
  if (rest.at(-1) !== name) throw notThere('such path')
}

function notThere(what: string): DdiRefusal {
  return new DdiRefusal('ddi-not-found', `there is no ${what}`, {
    fix: 'Poll the root and follow its links.',
  })
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    // A stray percent sign: what it stands for is not known, so it names nothing.
    return ''
  }
}
