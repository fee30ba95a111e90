/**
 * Joins what many callers want written at the same time: while one group is being written and synced the next
 * one gathers. Each group costs one barrier, however many callers are in it.
 */
export interface GroupCommit<T> {
  /** Resolves once all items are durable; rejects when the group of one of them failed. */
  submit(items: readonly T[]): Promise<void>
  /** Resolves when nothing is on its way. */
  idle(): Promise<void>
}

export interface GroupOptions<T> {
  readonly maxWeight: number
  readonly weigh: (item: T) => number
  /** Makes the items durable, or throws and leaves none of them visible. */
  readonly write: (items: readonly T[]) => Promise<void>
}

interface Ticket {
  open: number
  readonly done: () => void
  readonly failed: (reason: unknown) => void
}

export function createGroupCommit<T>(options: GroupOptions<T>): GroupCommit<T> {
  let waiting: { readonly item: T; readonly ticket: Ticket }[] = []
  let running: Promise<void> | undefined

  const takeGroup = () => {
    let weight = 0
    let count = 0
    for (const { item } of waiting) {
      weight += options.weigh(item)
      if (count > 0 && weight > options.maxWeight) break
      count++
    }
    const group = waiting.slice(0, count)
    waiting = waiting.slice(count)
    return group
  }
  const run = async () => {
    while (waiting.length > 0) {
      const group = takeGroup()
      try {
        await options.write(group.map(({ item }) => item))
        for (const { ticket } of group) if (--ticket.open === 0) ticket.done()
      } catch (thrown) {
        for (const { ticket } of group) ticket.failed(thrown)
      }
    }
    running = undefined
  }

  return {
    submit(items) {
      if (items.length === 0) return Promise.resolve()
      return new Promise<void>((done, failed) => {
        const ticket = { open: items.length, done, failed }
        for (const item of items) waiting.push({ item, ticket })
        running ??= run()
      })
    },
    async idle() {
      while (running !== undefined) await running
    },
  }
}
