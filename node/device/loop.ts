import { asError, type Clock, type Log, type Random, type Startable } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { Network } from '../network/index.ts'
import type { UpdateOutcome } from './agent-types.ts'
import type { DeviceEvent } from './events.ts'
import type { RoundOptions } from './round.ts'
import {
  HEARD_SPREAD_MS,
  POLL_DEFAULT_S,
  POLL_JITTER_SHARE,
  POLL_MAX_S,
  POLL_MIN_S,
  RETRY_FIRST_MS,
} from './limits.ts'

export interface LoopNeeds {
  readonly update: (options: RoundOptions) => Promise<UpdateOutcome>
  readonly network?: Pick<Network, 'listen'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** As the gateway said last. */
  readonly pollAfterS: () => number | undefined
  readonly isNews: (root: string) => boolean
  readonly emit: (event: DeviceEvent) => void
}

/** Rounds, one after the other: at once, when something is announced, and every now and then. */
export function createLoop(
  needs: LoopNeeds,
  options: { readonly vendor: EvmAddress; readonly model: string },
): Startable {
  const { clock, random, log } = needs
  let stopping: AbortController | undefined
  let running: Promise<void> = Promise.resolve()
  let wake = new AbortController()

  const pollMs = () => {
    const seconds = needs.pollAfterS() ?? POLL_DEFAULT_S
    return Math.min(POLL_MAX_S, Math.max(POLL_MIN_S, seconds)) * 1000
  }
  const jittered = (ms: number) => {
    const spread = Math.max(1, Math.floor(ms * POLL_JITTER_SHARE))
    return ms - spread + random.int(2 * spread)
  }

  const pause = async (ms: number, signal: AbortSignal): Promise<'slept' | 'woken'> => {
    wake = new AbortController()
    const either = AbortSignal.any([signal, wake.signal])
    try {
      await clock.sleep(ms, { signal: either })
      return 'slept'
    } catch (thrown) {
      if (!either.aborted) throw thrown
      return 'woken'
    }
  }

  const run = async (signal: AbortSignal): Promise<void> => {
    let retryMs = RETRY_FIRST_MS
    let isPoll = false
    while (!signal.aborted) {
      let waits = true
      try {
        waits = (await needs.update({ signal, isPoll })).outcome === 'waiting'
      } catch (thrown) {
        if (signal.aborted) return
        log.error({ error: asError(thrown) }, 'a round of the update agent failed')
      }
      const waitMs: number = waits ? Math.min(retryMs, pollMs()) : pollMs()
      retryMs = waits ? retryMs * 2 : RETRY_FIRST_MS
      isPoll = (await pause(jittered(waitMs), signal)) === 'slept'
      if (!isPoll && !signal.aborted) {
        retryMs = RETRY_FIRST_MS
        await pause(random.int(HEARD_SPREAD_MS), signal)
      }
    }
  }

  let stopListening: (() => void) | undefined
  return {
    start() {
      if (stopping !== undefined) return Promise.resolve()
      stopping = new AbortController()
      stopListening = needs.network?.listen([options.vendor], ({ root, model, version }) => {
        if (model !== options.model || !needs.isNews(root)) return
        needs.emit({ name: 'heard', root, version })
        wake.abort()
      })
      running = run(stopping.signal)
      return Promise.resolve()
    },
    async stop() {
      stopListening?.()
      stopListening = undefined
      stopping?.abort()
      await running
      stopping = undefined
    },
  }
}
