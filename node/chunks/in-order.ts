import type { AbortOptions } from '../base/index.ts'

/**
 * Runs `task` on up to `limit` items at once and yields the results in the order of the items. When the reader
 * leaves or a task fails, the others are aborted through the signal that they were handed.
 */
export async function* inOrder<Item, Outcome>(
  items: AsyncIterable<Item> | Iterable<Item>,
  limit: number,
  task: (item: Item, signal: AbortSignal) => Promise<Outcome>,
  options: AbortOptions = {},
): AsyncGenerator<Outcome> {
  const ended = new AbortController()
  const signal =
    options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal])
  const running: Promise<Outcome>[] = []
  try {
    for await (const item of items) {
      signal.throwIfAborted()
      const outcome = task(item, signal)
      // It is awaited in its turn; until then its failure is not unhandled.
      outcome.catch(() => undefined)
      running.push(outcome)
      const first = running.length >= limit ? running.shift() : undefined
      if (first !== undefined) yield await first
    }
    while (running.length > 0) yield await (running.shift() as Promise<Outcome>)
  } finally {
    ended.abort()
    await Promise.allSettled(running)
  }
}
