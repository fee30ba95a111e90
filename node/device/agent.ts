import { asError } from '../base/index.ts'
import type { DeviceAgent, DeviceNeeds, DeviceOptions, UpdateOutcome } from './agent-types.ts'
import { countBoot, systemBootId } from './boots.ts'
import { createCredentialStore } from './credentials.ts'
import type { DeviceEvent } from './events.ts'
import { createFetchPins } from './fetch-pins.ts'
import { createLoop } from './loop.ts'
import { setbackOf } from './reasons.ts'
import { createHooks } from './hooks.ts'
import { createPolicyGuard } from './policy/policy.ts'
import { createReporter } from './reporter.ts'
import { createRolloutGuard } from './rollout-guard.ts'
import { createRound, type RoundOptions } from './round.ts'
import { createSettler } from './settle.ts'
import { openStateFile } from './state-file.ts'
import { type FetchTotals, NO_TOTALS } from './types.ts'

/** Throws `state-damaged`. */
export async function createDeviceAgent(
  needs: DeviceNeeds,
  options: DeviceOptions,
): Promise<DeviceAgent> {
  const state = await openStateFile(options.folder)
  const { api, clock, log } = needs
  const emit = (event: DeviceEvent) => {
    log.debug({ event: event.name }, 'device')
    needs.onEvent?.(event)
  }
  const reporter = createReporter({ ...needs, state, api, log })
  const credentials = createCredentialStore(needs, options)
  const pins = createFetchPins(needs.storage)
  const guard = createRolloutGuard({ ...needs, state, emit }, options)
  const policy = createPolicyGuard(needs, options.policy ?? {})
  const hooks = createHooks(
    { clock, log, installedVersion: () => state.now.installed?.version ?? '' },
    { folder: options.hooksFolder },
  )
  const bootId = needs.bootId ?? systemBootId
  await countBoot(state, await bootId())
  const shared = { ...needs, state, reporter, credentials, pins, guard }
  const parts = { ...shared, policy, hooks, bootId, emit }
  const settler = createSettler(parts, options)
  const round = createRound({ ...parts, settler }, options)

  const wait = async (thrown: unknown): Promise<void> => {
    const { reason, detail } = setbackOf(thrown)
    const before = state.now.waiting
    const sinceMs = before?.reason === reason ? before.sinceMs : clock.nowMs()
    log.warn({ reason, error: asError(thrown) }, 'the update waits')
    await state.save({ waiting: { reason, detail, sinceMs } })
    emit({ name: 'waiting', reason, detail })
  }

  const totalsNow = (): FetchTotals => {
    const { phase } = state.now
    return 'totals' in phase ? phase.totals : (settler.totals() ?? NO_TOTALS)
  }

  const updateNow = async (abort: RoundOptions): Promise<UpdateOutcome> => {
    abort.signal?.throwIfAborted()
    let outcome: UpdateOutcome['outcome'] = 'waiting'
    try {
      outcome = await round.run(abort)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      await wait(thrown)
    }
    await reporter.settled()
    await reporter.flush(abort)
    const { installed, waiting, outbox } = state.now
    return { outcome, installed, totals: totalsNow(), waiting, reportsPending: outbox.length }
  }

  let turn: Promise<unknown> = Promise.resolve()
  const update = (abort: RoundOptions = {}): Promise<UpdateOutcome> => {
    const mine = turn.then(() => updateNow(abort))
    turn = mine.catch(() => undefined)
    return mine
  }
  /** What runs is told of again when its rollout role has something to say. */
  const isNews = (root: string) => {
    const { installed, rejected } = state.now
    if (root === installed?.root) return installed.rollout !== undefined
    return root !== rejected?.root
  }
  const loop = createLoop(
    { ...needs, update, pollAfterS: () => round.pollAfterS(), isNews, emit },
    options,
  )
  return { ...loop, update, status: () => state.now }
}
