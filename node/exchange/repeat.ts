import { asError, type Clock, type Log } from '../base/index.ts'

export interface RepeatOptions {
  /** For the log. */
  readonly what: string
  readonly firstWaitMs: number
  readonly maxWaitMs: number
}

/** Does it again and again until the signal; `run` says after how many milliseconds. Failures wait longer each time. */
export async function repeat(
  needs: { readonly clock: Clock; readonly log: Log },
  { what, firstWaitMs, maxWaitMs }: RepeatOptions,
  signal: AbortSignal,
  run: () => Promise<number>,
): Promise<void> {
  let failureWaitMs = firstWaitMs
  while (!signal.aborted) {
    let waitMs: number
    try {
      waitMs = await run()
      failureWaitMs = firstWaitMs
    } catch (thrown) {
      if (signal.aborted) return
      needs.log.warn({ error: asError(thrown), what }, 'the gateway did not take it; trying again')
      waitMs = failureWaitMs
      failureWaitMs = Math.min(failureWaitMs * 2, maxWaitMs)
    }
    await needs.clock.sleep(waitMs, { signal }).catch((thrown: unknown) => {
      if (!signal.aborted) throw thrown
    })
  }
}
