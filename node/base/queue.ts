import { IoexError } from './errors.ts'

/** A first-in first-out queue between one producer and one consumer that never holds more than its limits. */
export interface BoundedQueue<T> extends AsyncIterable<T> {
  /** Resolves when the item was taken in; waits while the queue is full. Throws `queue-closed` after `close`. */
  push(item: T): Promise<void>
  /** False when it is full or closed; the item was not taken in. */
  offer(item: T): boolean
  /** The next item, or undefined once the queue is closed and empty. Throws the error it was closed with. */
  next(): Promise<T | undefined>
  close(error?: Error): void
  readonly length: number
  readonly weight: number
}

export interface QueueLimits<T> {
  readonly maxItems: number
  readonly maxWeight?: number
  /** What an item counts against `maxWeight`, bytes as a rule. An item heavier than all is let in alone. */
  readonly weigh?: (item: T) => number
}

export function createBoundedQueue<T>(limits: QueueLimits<T>): BoundedQueue<T> {
  const items: T[] = []
  const weigh = limits.weigh ?? (() => 1)
  const maxWeight = limits.maxWeight ?? Number.POSITIVE_INFINITY
  let weight = 0
  let closed = false
  let failure: Error | undefined
  let wakeConsumers: (() => void)[] = []
  let wakeProducers: (() => void)[] = []

  const hasRoom = (item: T) =>
    items.length === 0 || (items.length < limits.maxItems && weight + weigh(item) <= maxWeight)
  const wake = (waiting: (() => void)[]) => {
    for (const resume of waiting) resume()
  }
  const queue: BoundedQueue<T> = {
    get length() {
      return items.length
    },
    get weight() {
      return weight
    },
    offer(item) {
      if (closed || !hasRoom(item)) return false
      items.push(item)
      weight += weigh(item)
      const waiting = wakeConsumers
      wakeConsumers = []
      wake(waiting)
      return true
    },
    async push(item) {
      while (!queue.offer(item)) {
        if (closed)
          throw failure ?? new IoexError('queue-closed', 'the queue is closed', { blame: 'local' })
        await new Promise<void>((resume) => wakeProducers.push(resume))
      }
    },
    async next() {
      for (;;) {
        const item = items.shift()
        if (item !== undefined) {
          weight -= weigh(item)
          const waiting = wakeProducers
          wakeProducers = []
          wake(waiting)
          return item
        }
        if (failure !== undefined) throw failure
        if (closed) return undefined
        await new Promise<void>((resume) => wakeConsumers.push(resume))
      }
    },
    close(error) {
      if (closed) return
      closed = true
      failure = error
      wake(wakeConsumers.splice(0))
      wake(wakeProducers.splice(0))
    },
    async *[Symbol.asyncIterator]() {
      for (let item = await queue.next(); item !== undefined; item = await queue.next()) yield item
    },
  }
  return queue
}
