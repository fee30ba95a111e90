import { asError } from '../base/index.ts'

/** So much work at once and no more; the first failure ends the rest. */
export interface Window {
  /** Aborted by the caller's signal and by the first failure. */
  readonly signal: AbortSignal
  readonly failure: Error | undefined
  hasRoom(weight: number): boolean
  /** Resolves when the work has begun; waits while the window is full. Throws the first failure. */
  enter(weight: number, work: (signal: AbortSignal) => Promise<void>): Promise<void>
  /** Resolves when the work is done; waits like `enter`. Throws what the work throws. */
  run(weight: number, work: (signal: AbortSignal) => Promise<void>): Promise<void>
  /** Ends the rest with this failure, unless there was one before. */
  fail(thrown: unknown): void
  /** Resolves when all work has ended. */
  finish(): Promise<void>
}

export function createWindow(limits: {
  readonly maxItems: number
  readonly maxWeight: number
  readonly signal?: AbortSignal | undefined
}): Window {
  const stop = new AbortController()
  const signal =
    limits.signal === undefined ? stop.signal : AbortSignal.any([limits.signal, stop.signal])
  let items = 0
  let weight = 0
  let failure: Error | undefined
  /** In the order of coming, so that nobody waits for ever. */
  const waiting: (() => void)[] = []
  let finished: (() => void) | undefined

  const fail = (thrown: unknown) => {
    failure ??= asError(thrown)
    stop.abort(failure)
  }
  const hasRoom = (own: number) =>
    items === 0 || (items < limits.maxItems && weight + own <= limits.maxWeight)
  const take = async (own: number) => {
    while (!hasRoom(own)) await new Promise<void>((resume) => waiting.push(resume))
    // Those behind are woken as well when there is room for more than one.
    waiting.shift()?.()
    if (failure !== undefined) throw failure
    signal.throwIfAborted()
    items++
    weight += own
  }
  const leave = (own: number) => {
    items--
    weight -= own
    waiting.shift()?.()
    if (items === 0) finished?.()
  }
  const run: Window['run'] = async (own, work) => {
    await take(own)
    try {
      await work(signal)
    } finally {
      leave(own)
    }
  }
  return {
    signal,
    get failure() {
      return failure
    },
    hasRoom,
    async enter(own, work) {
      await take(own)
      work(signal)
        .catch(fail)
        .finally(() => leave(own))
    },
    run,
    fail,
    async finish() {
      while (items > 0) {
        await new Promise<void>((resume) => {
          finished = resume
        })
      }
    },
  }
}
