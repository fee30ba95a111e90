import { ApiError } from '../api/index.ts'
import type { AbortOptions } from '../base/index.ts'
import type { RefreshRefusal, ReleaseTarget } from '../firmware/index.ts'
import type { DeviceNeeds, DeviceOptions } from './agent-types.ts'
import type { CredentialStore } from './credentials.ts'
import type { DeviceEvent } from './events.ts'
import type { FetchPins } from './fetch-pins.ts'
import { fetchRelease } from './fetch-release.ts'
import type { Hooks } from './hooks.ts'
import { LOOK_EVERY_MS, ROLLOUTS_FOLLOWED } from './limits.ts'
import { type PolicyGuard, policyPause } from './policy/policy.ts'
import { setbackOf } from './reasons.ts'
import type { Reporter } from './reporter.ts'
import type { RolloutGuard } from './rollout-guard.ts'
import type { Settler } from './settle.ts'
import type { StateFile } from './state-file.ts'
import { hashImage } from './stage.ts'
import { deviceError, NO_TOTALS, type Target, type WaitReason } from './types.ts'
import { createUpdater } from './updater.ts'

export interface RoundNeeds extends DeviceNeeds {
  readonly state: StateFile
  readonly reporter: Reporter
  readonly credentials: CredentialStore
  readonly pins: FetchPins
  readonly settler: Settler
  readonly guard: RolloutGuard
  readonly policy: PolicyGuard
  readonly hooks: Hooks
  readonly emit: (event: DeviceEvent) => void
}

export interface RoundOptions extends AbortOptions {
  /**
   * Nobody has told of anything new: metadata is left alone while the gateway's hint stays the same. A gateway that
   * lies about it hides a release for an hour, as it could by not answering.
   */
  readonly isPoll?: boolean
}

export interface Round {
  /** Throws what stopped it; the state on disk is consistent then, too. */
  run(options: RoundOptions): Promise<'up-to-date' | 'updated' | 'fell-back'>
  /** Seconds, as the gateway said last. */
  pollAfterS(): number | undefined
}

export function createRound(needs: RoundNeeds, options: DeviceOptions): Round {
  const { state, reporter, settler, clock, log, emit } = needs
  const updater = createUpdater(needs, options)
  let pollAfterS: number | undefined
  /** What the gateway hinted at when metadata was last read to the end and there was nothing to do. */
  let quiet: { readonly hint: string; readonly atMs: number } | undefined

  /** A hint and a sign of life; the round goes on without it. */
  const poll = async (abort: AbortOptions): Promise<string | undefined> => {
    const { installed, waiting } = state.now
    try {
      const answer = await needs.api.poll(
        {
          ...(installed === null ? {} : { version: installed.version, root: installed.root }),
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
      return JSON.stringify(answer)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      if (!(thrown instanceof ApiError)) throw thrown
      log.info({ error: thrown }, 'could not poll')
      return undefined
    }
  }

  /** What metadata and the rollouts in it say shall run here, if it is not what runs. */
  const look = async (abort: AbortOptions): Promise<Target | WaitReason | undefined> => {
    const refreshed = await needs.releases.refresh(abort)
    if (!refreshed.ok) throw metadataRefused(refreshed.reason)
    const runs = state.now.installed?.root
    const targets = needs.releases.current(options.model).map((release) => targetOf(release, runs))
    const back = await wayBack(targets, abort)
    if (back !== undefined) return back
    return choose(targets.toReversed(), abort)
  }

  /** The release to go back to, when the one that runs has to go. */
  const wayBack = async (targets: readonly Target[], abort: AbortOptions) => {
    const { installed, rejected } = state.now
    if (installed === null) return undefined
    const known = targets.find(({ root }) => root === installed.root)
    const permission = await needs.guard.ask({ ...installed, ...known }, abort)
    if (permission.verdict !== 'roll-back') return undefined
    const target = targets.find(({ root }) => root === permission.to)
    if (target === undefined || target.root === rejected?.root) return 'rollback-not-possible'
    if (target.sequence >= installed.sequence) return 'rollback-not-in-policy'
    emit({ name: 'rolling-back', from: installed, to: target })
    return target
  }

  const choose = async (newestFirst: readonly Target[], abort: AbortOptions) => {
    const { installed, rejected } = state.now
    let waits: WaitReason | undefined
    for (const target of newestFirst.slice(0, ROLLOUTS_FOLLOWED)) {
      if (target.root === installed?.root || target.root === rejected?.root) return waits
      if (installed !== null && target.sequence <= installed.sequence) {
        if (target !== newestFirst[0]) return waits
        const detail = `${target.version} is older than ${installed.version}, which runs`
        log.warn({ root: target.root, sequence: target.sequence }, 'a downgrade was refused')
        emit({ name: 'waiting', reason: 'downgrade-refused', detail })
        return undefined
      }
      const permission = await needs.guard.ask(target, abort)
      if (permission.verdict === 'install') return target
      if (permission.verdict === 'wait') waits ??= permission.reason
    }
    return waits
  }

  /** While the gateway is away, an update that was begun goes on: its metadata was checked when it began. */
  const lookOrGoOn = async (abort: AbortOptions): Promise<Target | WaitReason | undefined> => {
    const { phase } = state.now
    const begun = phase.name === 'fetching' ? phase.target : undefined
    try {
      return await look(abort)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      if (begun === undefined || setbackOf(thrown).reason !== 'gateway-unreachable') throw thrown
      if (!mayGoOn(begun)) throw thrown
      log.info({ root: begun.root }, 'the gateway is away; going on with the update that was begun')
      return begun
    }
  }

  const mayGoOn = (begun: Target): boolean => {
    const { installed } = state.now
    if (installed === null || begun.sequence > installed.sequence) {
      return needs.guard.known(begun).verdict === 'install'
    }
    const known = needs.guard.known(installed)
    return known.verdict === 'roll-back' && known.to === begun.root
  }

  /** Whole and unchanged in the other slot, as after an update that is taken back; or whole and waiting already. */
  const isThere = async (target: Target, abort: AbortOptions): Promise<boolean> => {
    const { phase, previous } = state.now
    if (phase.name === 'written' && phase.candidate.root === target.root) return true
    if (previous?.root !== target.root) return false
    const image = await hashImage(needs.slots, previous.slot, abort)
    if (image !== previous.sha256) return false
    await state.save({
      phase: { name: 'written', candidate: previous, totals: NO_TOTALS, attempts: 0 },
    })
    return true
  }

  /** Pauses, by throwing, when the owner's policy wants it. */
  const download = async (target: Target, abort: AbortOptions): Promise<void> => {
    const hold =
      (await needs.policy.holdsDownload()) ??
      (await needs.hooks.before('before-download', target, abort))
    if (hold !== undefined) throw policyPause(hold)
    const watch = needs.policy.watchDownload()
    try {
      const signals = [watch.signal, ...(abort.signal === undefined ? [] : [abort.signal])]
      const either = { signal: AbortSignal.any(signals) }
      await updater.bring(target, (job, events) => fetchRelease(needs, job, events, either), either)
    } finally {
      watch.stop()
    }
    await needs.hooks.after('after-download', target, abort)
  }

  const rest = async (reason: WaitReason | undefined): Promise<void> => {
    const before = state.now.waiting
    const sinceMs = before?.reason === reason ? before?.sinceMs : undefined
    const detail = 'the newest release does not yet reach this device'
    const waiting =
      reason === undefined ? null : { reason, detail, sinceMs: sinceMs ?? clock.nowMs() }
    await state.save({ waiting })
    if (reason !== undefined) emit({ name: 'waiting', reason, detail })
    emit({ name: 'up-to-date', installed: state.now.installed })
  }

  return {
    pollAfterS: () => pollAfterS,
    async run(abort) {
      await updater.forgetLostImage()
      const settled = await settler.settle(abort)
      await settler.tidy()
      if (settled === 'fell-back') return settled
      await reporter.flush(abort)
      const hint = await poll(abort)
      if (abort.isPoll === true && quiet !== undefined && hint === quiet.hint) {
        if (clock.monotonicMs() - quiet.atMs < LOOK_EVERY_MS) return 'up-to-date'
      }
      quiet = undefined
      const target = await lookOrGoOn(abort)
      if (target === undefined || typeof target === 'string') {
        if (settled === 'updated') return settled
        await rest(target)
        if (hint !== undefined && target === undefined) {
          quiet = { hint, atMs: clock.monotonicMs() }
        }
        return 'up-to-date'
      }
      if (!(await isThere(target, abort))) {
        await download(target, abort)
      }
      const outcome = await settler.settle(abort)
      await settler.tidy()
      const held = settler.hold()
      if (outcome === 'nothing' && held !== undefined) throw policyPause(held)
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
  const { root, version, sequence, releaseKeyHash, rollout } = release
  const found = release.deltas.find(({ baseRoot }) => baseRoot.toString() === runs)
  const own = { root: root.toString(), version, sequence, releaseKeyHash }
  return {
    ...own,
    ...(rollout === undefined ? {} : { rollout }),
    ...(found === undefined || runs === undefined
      ? {}
      : { delta: { base: runs, root: found.deltaRoot.toString() } }),
  }
}
