/**
 * What a client's word does to an action, as hawkBit's `DdiRootController` decides it: pure functions, the same
 * for the gateway and for the agent next to a device.
 */
import { MESSAGES_MAX } from './limits.ts'
import type { Confirmation, Execution, Feedback } from './messages.ts'

export const ACTION_STATES = [
  /** The person at the device has to agree first. */
  'awaiting-confirmation',
  /** The client has not said yet that it is at it. */
  'offered',
  'running',
  /** Taken back; the client has to agree that it stopped. */
  'canceling',
  'canceled',
  'finished',
  'error',
] as const
export type ActionState = (typeof ACTION_STATES)[number]

export function isActive(state: ActionState): boolean {
  return state !== 'canceled' && state !== 'finished' && state !== 'error'
}

/** Before the client is at it a pause can still keep it from beginning. */
export function mayBeHeld(state: ActionState): boolean {
  return state === 'awaiting-confirmation' || state === 'offered'
}

/** What became of a release on a device, in the words of this product. */
export interface DdiWord {
  readonly event: 'waiting' | 'downloading' | 'written' | 'confirmed' | 'failed'
  readonly percent: number | null
  readonly detail: string | null
}

/** What follows from a message: another state, or why it is refused. */
export type Step =
  | {
      readonly ok: true
      readonly state: ActionState
      readonly messages: readonly string[]
      /** Undefined when there is nothing to tell of the release. */
      readonly word: DdiWord | undefined
    }
  | { readonly ok: false; readonly reason: 'action-not-active' | 'action-not-there' }

type Decide = (action: { readonly state: ActionState }) => Step

const GONE: Step = { ok: false, reason: 'action-not-active' }
const NOT_THERE: Step = { ok: false, reason: 'action-not-there' }

/** Feedback on a deployment. */
export function onFeedback({ status }: Feedback): Decide {
  return ({ state }) => {
    if (state === 'awaiting-confirmation') return NOT_THERE
    if (!isActive(state)) return GONE
    const { execution } = status
    const messages = messagesOf(status, DEPLOYMENT_TEXT[execution])
    const detail = messages.join('; ')
    const now = state === 'offered' ? 'running' : state
    const stays = (word: DdiWord | undefined): Step => ({ ok: true, state: now, messages, word })
    switch (execution) {
      case 'closed': {
        // "none" counts as success, as hawkBit has it.
        const isError = status.result?.finished === 'failure'
        return {
          ok: true,
          state: isError ? 'error' : 'finished',
          messages,
          word: {
            event: isError ? 'failed' : 'confirmed',
            percent: null,
            detail: isError ? detail : null,
          },
        }
      }
      case 'canceled':
        if (state === 'canceling') return { ok: true, state: 'canceled', messages, word: STOPPED }
        return stays(undefined)
      case 'rejected':
        return stays({ event: 'waiting', percent: null, detail: `rejected: ${detail}` })
      case 'downloaded':
        return stays({ event: 'downloading', percent: 100, detail: null })
      case 'download':
        return stays({ event: 'downloading', percent: 0, detail: null })
      case 'scheduled':
      case 'proceeding':
      case 'resumed':
        return stays(progressOf(status))
    }
  }
}

const STOPPED: DdiWord = { event: 'waiting', percent: null, detail: 'the update was taken back' }

/** A client counts what it has done; all of it done is installed, though not yet started. */
function progressOf({ result }: Feedback['status']): DdiWord {
  const done = result?.progress?.cnt ?? 0
  const of = result?.progress?.of ?? 0
  if (of > 0 && done >= of) return { event: 'written', percent: null, detail: null }
  const percent = of > 0 && done >= 0 ? (100 * done) / of : null
  return { event: 'downloading', percent, detail: null }
}

/** Feedback on a cancelled action. A client that cannot stop any more says so, and goes on. */
export function onCancelFeedback({ status }: Feedback): Decide {
  return ({ state }) => {
    if (!isActive(state)) return GONE
    if (state !== 'canceling') return NOT_THERE
    const { execution } = status
    const isRefused =
      execution === 'rejected' || (execution === 'closed' && status.result?.finished === 'failure')
    if (isRefused) {
      const messages = messagesOf(status, 'The device goes on, it could not stop any more.')
      return { ok: true, state: 'running', messages, word: undefined }
    }
    if (execution === 'closed') {
      const messages = messagesOf(status, 'The device has stopped.')
      return { ok: true, state: 'canceled', messages, word: STOPPED }
    }
    return {
      ok: true,
      state,
      messages: messagesOf(status, 'The device is stopping.'),
      word: undefined,
    }
  }
}

/** The person at the device agrees, or does not, which leaves the question open. */
export function onConfirmation(confirmation: Confirmation): Decide {
  return ({ state }) => {
    if (!isActive(state)) return GONE
    if (state !== 'awaiting-confirmation') return NOT_THERE
    const isConfirmed = confirmation.confirmation === 'confirmed'
    const messages = messagesOf(confirmation, `The update was ${confirmation.confirmation}.`)
    return {
      ok: true,
      state: isConfirmed ? 'offered' : state,
      messages,
      word: isConfirmed
        ? undefined
        : { event: 'waiting', percent: null, detail: 'the update was denied at the device' },
    }
  }
}

/** Taken back by whoever ordered it. */
export const onTakeBack: Decide = ({ state }) => {
  if (!isActive(state)) return GONE
  if (state === 'awaiting-confirmation') {
    return { ok: true, state: 'canceled', messages: ['Taken back before it began.'], word: STOPPED }
  }
  return { ok: true, state: 'canceling', messages: ['Taken back.'], word: undefined }
}

/** Newest first, and no more than are kept. */
export function withMessages(
  before: readonly string[],
  fresh: readonly string[],
): readonly string[] {
  return [...fresh.toReversed(), ...before].slice(0, MESSAGES_MAX)
}

const DEPLOYMENT_TEXT: Readonly<Record<Execution, string>> = {
  closed: 'The device has ended it.',
  proceeding: 'The device is at it.',
  canceled: 'The device has cancelled it.',
  scheduled: 'The device will do it.',
  rejected: 'The device rejects it.',
  resumed: 'The device has resumed it.',
  downloaded: 'The device has downloaded it.',
  download: 'The device downloads it.',
}

function messagesOf(
  said: { readonly details: readonly string[]; readonly code?: number | null | undefined },
  otherwise: string,
): readonly string[] {
  const lines = said.details.length === 0 ? [otherwise] : said.details
  const { code } = said
  return typeof code === 'number' ? [...lines, `Status code of the device: ${code}`] : lines
}
