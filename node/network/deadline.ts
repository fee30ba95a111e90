import { asError, type Clock } from '../base/index.ts'

interface Deadline {
  readonly signal: AbortSignal
  /** Must be called when the work is over, so that no timer is left behind. */
  clear(): void
}

/** Aborts after `ms`, or with the caller's signal, whichever is first. */
function deadline(clock: Clock, ms: number, outer?: AbortSignal): Deadline {
  const controller = new AbortController()
  const cancel = clock.after(ms, () => {
    controller.abort(new DOMException(`no answer within ${ms} ms`, 'TimeoutError'))
  })
  const signal =
    outer === undefined ? controller.signal : AbortSignal.any([outer, controller.signal])
  return { signal, clear: cancel }
}

/** Runs `work` with a deadline and clears it afterwards. */
export async function within<T>(
  clock: Clock,
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = deadline(clock, ms, outer)
  try {
    return await work(limit.signal)
  } finally {
    limit.clear()
  }
}

/** The promise, unless the signal is aborted before; the work itself goes on unheard. */
export async function raceSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(asError(signal.reason))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    work.catch(() => undefined)
  }
}
