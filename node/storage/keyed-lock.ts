/** One run at a time for each key, in the order of asking. */
export type KeyedLock = <T>(key: string, run: () => Promise<T>) => Promise<T>

export function createKeyedLock(): KeyedLock {
  const last = new Map<string, Promise<unknown>>()
  return async (key, run) => {
    const before = last.get(key)
    const turn = (async () => {
      // How the one before ended is for its own caller to hear.
      if (before !== undefined) await Promise.allSettled([before])
      return run()
    })()
    last.set(key, turn)
    try {
      return await turn
    } finally {
      if (last.get(key) === turn) last.delete(key)
    }
  }
}
