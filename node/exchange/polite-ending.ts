import { asError, type Clock, type Log } from '../base/index.ts'

/** The polite part of an ending, for so long and no longer; what it could not do is done without. */
export type PoliteEnding = (
  ms: number,
  run: (signal: AbortSignal) => Promise<void>,
) => Promise<void>

export function createPoliteEnding(
  needs: { readonly clock: Clock; readonly log: Log },
  ending: AbortSignal,
): PoliteEnding {
  return async (ms, run) => {
    const limit = new AbortController()
    const cancel = needs.clock.after(ms, () => limit.abort())
    try {
      await run(AbortSignal.any([limit.signal, ending]))
    } catch (thrown) {
      needs.log.debug({ reason: asError(thrown).message }, 'a session did not end politely')
    } finally {
      cancel()
    }
  }
}
