import { ApiError } from '../api/index.ts'
import type { AbortOptions } from '../base/index.ts'
import type { RefreshRefusal, ReleaseTarget } from '../firmware/index.ts'
import type { DeviceNeeds, DeviceOptions } from './agent-types.ts'
import type { CredentialStore } from './credentials.ts'
import type { DeviceEvent } from './events.ts'
import type { FetchPins } from './fetch-pins.ts'
import { fetchRelease } from './fetch-release.ts'
import { setbackOf } from './reasons.ts'
import type { Reporter } from './reporter.ts'
import type { Settler } from './settle.ts'
import type { StateFile } from './state-file.ts'
import { deviceError, type Target } from './types.ts'
import { createUpdater } from './updater.ts'

export interface RoundNeeds extends DeviceNeeds {
  readonly state: StateFile
  readonly reporter: Reporter
  readonly credentials: CredentialStore
  readonly pins: FetchPins
  readonly settler: Settler
  readonly emit: (event: DeviceEvent) => void
}

export interface Round {
  /** Throws what stopped it; the state on disk is consistent then, too. */
  run(options: AbortOptions): Promise<'up-to-date' | 'updated' | 'fell-back'>
  /** Seconds, as the gateway said last. */
  pollAfterS(): number | undefined
}

export function createRound(needs: RoundNeeds, options: DeviceOptions): Round {
  const { state, reporter, settler, clock, log, emit } = needs
  const updater = createUpdater(needs, options)
  let pollAfterS: number | undefined

  /** A hint and a sign of life; the round goes on without it. */
  const checkIn = async (abort: AbortOptions) => {
    const { installed, waiting } = state.now
    try {
      const answer = await needs.api.checkIn(
        {
          running: { version: installed?.version ?? null, root: installed?.root ?? null },
          ...(waiting === null ? {} : { state: waiting.reason }),
        },
        abort,
      )
      pollAfterS = answer.pollAfterS
      await state.save({ heardMs: clock.nowMs() })
      const known = options.networkVersion
      if (known !== undefined && answer.networkVersion > known) {
        emit({ name: 'network-file', version: answer.networkVersion })
      }
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      if (!(thrown instanceof ApiError)) throw thrown
      log.info({ error: thrown }, 'could not check in')
    }
  }

  /** What metadata says shall run here, if it is not what runs. */
  const look = async (abort: AbortOptions): Promise<Target | undefined> => {
    const refreshed = await needs.releases.refresh(abort)
    if (!refreshed.ok) throw metadataRefused(refreshed.reason)
    const newest = needs.releases.newest(options.model)
    const { installed, rejected } = state.now
    if (newest === undefined) return undefined
    const target = targetOf(newest, installed?.root)
    if (target.root === installed?.root || target.root === rejected?.root) return undefined
    if (installed !== null && target.sequence <= installed.sequence) {
      const detail = `${target.version} is older than ${installed.version}, which runs`
      log.warn({ root: target.root, sequence: target.sequence }, 'a downgrade was refused')
      emit({ name: 'waiting', reason: 'downgrade-refused', detail })
      return undefined
    }
    return target
  }

  /** While the gateway is away, an update that was begun goes on: its metadata was checked when it began. */
  const lookOrGoOn = async (abort: AbortOptions): Promise<Target | undefined> => {
    const { phase } = state.now
    const begun = phase.name === 'fetching' ? phase.target : undefined
    try {
      return await look(abort)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      if (begun === undefined || setbackOf(thrown).reason !== 'gateway-unreachable') throw thrown
      log.info({ root: begun.root }, 'the gateway is away; going on with the update that was begun')
      return begun
    }
  }

  return {
    pollAfterS: () => pollAfterS,
    async run(abort) {
      await updater.forgetLostImage()
      const settled = await settler.settle(abort)
      await settler.tidy()
      if (settled === 'fell-back') return settled
      await reporter.flush(abort)
      await checkIn(abort)
      const target = await lookOrGoOn(abort)
      if (target === undefined) {
        if (settled === 'updated') return settled
        await state.save({ waiting: null })
        emit({ name: 'up-to-date', installed: state.now.installed })
        return 'up-to-date'
      }
      await updater.bring(target, (job, events) => fetchRelease(needs, job, events, abort), abort)
      const outcome = await settler.settle(abort)
      await settler.tidy()
      return outcome === 'nothing' ? 'up-to-date' : outcome
    },
  }
}

export function metadataRefused(reason: RefreshRefusal) {
  return deviceError('metadata-refused', `the vendor's metadata was refused: ${reason}`, {
    blame: 'peer',
    fix: 'Check the clock of this device; if it is right, the publisher has to sign anew.',
  })
}

/** `runs`: the root of what is installed, from which there may be a delta. */
export function targetOf(release: ReleaseTarget, runs?: string): Target {
  const { root, version, sequence, releaseKeyHash } = release
  const found = release.deltas.find(({ baseRoot }) => baseRoot.toString() === runs)
  return {
    root: root.toString(),
    version,
    sequence,
    releaseKeyHash,
    ...(found === undefined || runs === undefined
      ? {}
      : { delta: { base: runs, root: found.deltaRoot.toString() } }),
  }
}
