import type { Problem } from '../../gateway/client.ts'

/** A call that the gateway refused, or that got no answer. The text is for people, `fix` says what to do. */
export class CallError extends Error {
  readonly status: number | undefined
  readonly code: string
  readonly fix: string | undefined

  constructor(
    message: string,
    details: { status?: number; code: string; fix?: string | undefined },
  ) {
    super(message)
    this.name = 'CallError'
    this.status = details.status
    this.code = details.code
    this.fix = details.fix
  }
}

/** The problem document of an answer that is not ok, as an error. */
export async function problemOf(answer: {
  readonly status: number
  json(): Promise<unknown>
}): Promise<CallError> {
  const problem = (await answer.json().catch(() => undefined)) as Partial<Problem> | undefined
  return new CallError(problem?.detail ?? `the gateway answered ${answer.status}`, {
    status: answer.status,
    code: problem?.code ?? 'gateway-answer-invalid',
    fix: problem?.fix,
  })
}

export function unreachable(): CallError {
  return new CallError('The gateway does not answer.', {
    code: 'gateway-unreachable',
    fix: 'What you see may be old. The page tries again by itself.',
  })
}
