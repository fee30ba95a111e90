import { type Problem, PROBLEM_MEDIA_TYPE } from '../api/index.ts'
import { IoexError } from '../base/index.ts'

/** Stock clients read the status only; the rest is for whoever reads their log. */
const REFUSALS = {
  'ddi-token-refused': [401, 'The device is not known by this token'],
  'ddi-not-found': [404, 'There is no such thing for this device'],
  'ddi-method-not-allowed': [405, 'This address does not take this method'],
  'ddi-action-not-active': [410, 'The action has ended'],
  'ddi-precondition-failed': [412, 'The artefact is another one'],
  'ddi-body-too-large': [413, 'The body is too large'],
  'ddi-body-invalid': [400, 'The body is not what DDI says'],
  'ddi-too-many-attributes': [400, 'The device has too many attributes'],
  'ddi-range-not-there': [416, 'The artefact has no such bytes'],
} as const
export type DdiRefusalCode = keyof typeof REFUSALS

/** Thrown while a request is answered; becomes the answer. */
export class DdiRefusal extends IoexError<DdiRefusalCode> {
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: DdiRefusalCode,
    detail: string,
    details: {
      readonly fix: string
      readonly headers?: Readonly<Record<string, string>>
      readonly cause?: unknown
    },
  ) {
    super(code, detail, {
      blame: 'caller',
      fix: details.fix,
      cause: details.cause,
    })
    this.name = 'DdiRefusal'
    this.headers = details.headers ?? {}
  }
}

export function answerRefusal(refusal: DdiRefusal): Response {
  const [status, title] = REFUSALS[refusal.code]
  const problem: Problem = {
    type: `/docs#problem-${refusal.code}`,
    title,
    status,
    code: refusal.code,
    detail: refusal.message,
    ...(refusal.fix === undefined ? {} : { fix: refusal.fix }),
  }
  return new Response(JSON.stringify(problem), {
    status,
    headers: {
      'content-type': PROBLEM_MEDIA_TYPE,
      'cache-control': 'no-store',
      ...refusal.headers,
    },
  })
}
