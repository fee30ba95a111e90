import { IoexError } from '../base/index.ts'

/** What runs in a drive: pushes and prunes one after the other, as each makes a catalog from the one before. */
export interface Turns {
  /** Runs beside others. `signal` also ends with the drive. */
  run<T>(outer: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** Waits for those before it. */
  runAlone<T>(outer: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** Aborts what runs and waits for its end. */
  stop(): Promise<void>
}

export function createTurns(): Turns {
  const stopping = new AbortController()
  const running = new Set<Promise<unknown>>()
  let last: Promise<unknown> = Promise.resolve()

  const run: Turns['run'] = async (outer, work) => {
    const signal = outer === undefined ? stopping.signal : AbortSignal.any([outer, stopping.signal])
    signal.throwIfAborted()
    const mine = work(signal)
    running.add(mine)
    try {
      return await mine
    } finally {
      running.delete(mine)
    }
  }
  return {
    run,
    runAlone(outer, work) {
      const mine = last.then(() => run(outer, work))
      last = mine.catch(() => undefined)
      return mine
    },
    async stop() {
      stopping.abort(stopped())
      await Promise.allSettled([...running])
    },
  }
}

function stopped() {
  return new IoexError('drive-stopped', 'the drive was stopped before it was done', {
    blame: 'local',
    fix: 'Run the same command again to go on.',
  })
}
