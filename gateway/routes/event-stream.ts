import { streamSSE } from 'hono/streaming'
import type { Parts } from '../context.ts'
import type { AppContext } from '../env.ts'
import { EVENT_HEARTBEAT_MS, EVENT_LISTENERS_MAX } from '../limits.ts'
import { ProblemError } from '../problems.ts'

export interface EventSource<State> {
  /** The whole state now. */
  readonly read: () => Promise<State>
  /** Calls when there may be a new state; returns the function that ends it. */
  readonly watch: (changed: () => void) => () => void
  /** After such a state the stream ends. */
  readonly isLast: (state: State) => boolean
}

/**
 * Server-sent events that carry the whole state each time: a listener that is slow or joins late misses
 * nothing that counts, and nothing queues up for it.
 */
export function streamState<State>(
  c: AppContext,
  { clock, metrics, log }: Pick<Parts, 'clock' | 'metrics' | 'log'>,
  open: { listeners: number },
  source: EventSource<State>,
): Response {
  if (open.listeners >= EVENT_LISTENERS_MAX) {
    throw new ProblemError('busy', 'too many listen already', { fix: 'Ask again in a minute.' })
  }
  open.listeners++
  metrics.eventListeners.set(open.listeners)
  c.header('x-accel-buffering', 'no')
  c.header('cache-control', 'no-store')
  return streamSSE(
    c,
    async (stream) => {
      let dirty = true
      let wake: (() => void) | undefined
      const changed = () => {
        dirty = true
        wake?.()
      }
      const stopWatching = source.watch(changed)
      stream.onAbort(changed)
      try {
        for (let id = 1; !stream.aborted && !stream.closed; id++) {
          if (dirty) {
            dirty = false
            const state = await source.read()
            await stream.writeSSE({ id: String(id), data: JSON.stringify(state) })
            if (source.isLast(state)) return
          } else {
            await stream.write(': still here\n\n')
          }
          await new Promise<void>((resume) => {
            wake = resume
            const cancel = clock.after(EVENT_HEARTBEAT_MS, resume)
            if (dirty || stream.aborted) {
              cancel()
              resume()
            }
          })
        }
      } finally {
        stopWatching()
        open.listeners--
        metrics.eventListeners.set(open.listeners)
      }
    },
    (thrown) => {
      log.warn({ requestId: c.get('requestId'), error: thrown }, 'a stream of events broke off')
      return Promise.resolve()
    },
  )
}
