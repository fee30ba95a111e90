/** "Something changed, look again": everybody who waits is woken by a ring, and rings before are not seen. */
export interface Bell {
  ring(): void
  /** How often it has rung: the same number as before means that nothing has changed since. */
  readonly rings: number
  /** Rejects with the signal's reason when it is aborted. Ask for the promise before looking at the state. */
  next(signal?: AbortSignal): Promise<void>
}

export function createBell(): Bell {
  let rung = Promise.withResolvers<void>()
  let rings = 0
  return {
    get rings() {
      return rings
    },
    ring() {
      rings++
      const waiting = rung
      rung = Promise.withResolvers<void>()
      waiting.resolve()
    },
    next(signal) {
      return signal === undefined ? rung.promise : orAborted(rung.promise, signal)
    },
  }
}

/** Settles as the promise does, or rejects with the signal's reason if that comes first. */
export async function orAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return promise
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
