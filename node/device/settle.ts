import { CID } from 'multiformats/cid'
import { type AbortOptions, asError, type Log } from '../base/index.ts'
import type { Storage } from '../storage/index.ts'
import { countBoot } from './boots.ts'
import type { CredentialStore } from './credentials.ts'
import type { DeviceEvent } from './events.ts'
import type { FetchPins } from './fetch-pins.ts'
import type { Hooks } from './hooks.ts'
import type { Installer } from './installer.ts'
import { INSTALL_ATTEMPTS } from './limits.ts'
import type { Hold, PolicyGuard } from './policy/policy.ts'
import { setbackOf } from './reasons.ts'
import type { LastingReport, Reporter } from './reporter.ts'
import type { RolloutGuard } from './rollout-guard.ts'
import type { StateFile } from './state-file.ts'
import { type FetchTotals, type InstalledRelease, type Phase, rootsOf } from './types.ts'

export interface SettlerNeeds {
  readonly state: StateFile
  readonly installer: Installer
  readonly storage: Pick<Storage, 'pins' | 'collectGarbage'>
  readonly pins: FetchPins
  readonly reporter: Pick<Reporter, 'with'>
  readonly credentials: Pick<CredentialStore, 'clear'>
  /** Left out where a person stands beside the device and decides: phases are for what comes by itself. */
  readonly guard?: Pick<RolloutGuard, 'ask'>
  /** Left out likewise. */
  readonly policy?: Pick<PolicyGuard, 'holdsSwitch'>
  readonly hooks?: Hooks
  readonly bootId: () => Promise<string | undefined>
  readonly log: Log
  readonly emit: (event: DeviceEvent) => void
}

/** From a whole image on disk to a release that runs, or back to the one before. */
export interface Settler {
  /** Goes on from whatever phase a crash has left, until nothing but fetching is left to do. */
  settle(options?: AbortOptions): Promise<'nothing' | 'updated' | 'fell-back'>
  /** Gives the space of blocks back that nobody needs any more. Safe at any time between two phases. */
  tidy(): Promise<void>
  /** What of the owner's policy keeps a whole image from being switched to, as of the last `settle`. */
  hold(): Hold | undefined
  /** What the last update that was confirmed or fell back has cost. */
  totals(): FetchTotals | undefined
}

/** The pin under which the blocks of the installed release are kept. */
const PIN_OWNER = 'install'
const REPORT_DETAIL_MAX = 2_000

type PhaseOf<Name extends Phase['name']> = Extract<Phase, { name: Name }>

export function createSettler(
  needs: SettlerNeeds,
  options: { readonly keepBlocks?: boolean },
): Settler {
  const { state, installer, reporter, emit, log } = needs
  let lastTotals: FetchTotals | undefined
  let hold: Hold | undefined

  const install = async (phase: PhaseOf<'written'>, abort: AbortOptions): Promise<void> => {
    const { candidate, totals } = phase
    const attempt = phase.attempts + 1
    // Counted before it is tried: an installer that takes the machine down shall not be called for ever.
    const bootId = phase.bootId ?? (await needs.bootId())
    await state.save({ phase: { ...phase, attempts: attempt, bootId, boots: phase.boots ?? 0 } })
    emit({ name: 'switching', candidate, attempt })
    try {
      if (attempt > INSTALL_ATTEMPTS) {
        // It may have been switched to all the same, and nobody has asked whether it is well.
        if (state.now.installed !== null) await installer.restore(state.now.installed, abort)
        throw new Error('the installer never came back')
      }
      await installer.install(candidate, abort)
    } catch (thrown) {
      abort.signal?.throwIfAborted()
      if (attempt >= INSTALL_ATTEMPTS) await giveUp(candidate, thrown)
      throw thrown
    }
    emit({ name: 'switched', candidate })
    await state.save({
      phase: { name: 'trying', candidate, totals, bootId, boots: phase.boots ?? 0 },
      ...reporter.with(reportOf('written', candidate, totals)),
    })
    emit({ name: 'trying', candidate })
    await needs.hooks?.after('after-switch', candidate, abort)
  }

  const giveUp = async (candidate: InstalledRelease, thrown: unknown): Promise<void> => {
    const { root } = candidate
    const detail = asError(thrown).message.slice(0, REPORT_DETAIL_MAX)
    await state.save({
      phase: { name: 'idle' },
      rejected: { root, reason: setbackOf(thrown).reason },
      stale: [...state.now.stale, ...rootsOf(candidate)],
      ...reporter.with({ root, event: 'failed', detail }),
    })
    await needs.credentials.clear()
  }

  const judge = async (phase: PhaseOf<'trying'>, abort: AbortOptions): Promise<boolean> => {
    const { candidate, totals } = phase
    lastTotals = totals
    if (!(await installer.isHealthy(candidate, abort))) {
      const detail = `${candidate.version} did not pass its health check`
      await state.save({ phase: { name: 'falling-back', candidate, detail } })
      emit({ name: 'falling-back', candidate })
      return false
    }
    const { installed, stale } = state.now
    const { delta: _, ...running } = candidate
    const dropped = rootsOf(candidate).filter(
      (root) => options.keepBlocks !== true || root !== candidate.root,
    )
    // Nothing else makes an older one run: the release that it takes the place of is not to come back.
    const left = installed !== null && candidate.sequence < installed.sequence ? installed : null
    const reports: LastingReport[] = [reportOf('confirmed', candidate, totals)]
    if (left !== null) {
      const detail = `rolled back to ${candidate.version}`
      reports.unshift({ root: left.root, event: 'fell-back', detail })
    }
    await state.save({
      phase: { name: 'idle' },
      installed: running,
      previous: installed,
      rejected: left === null ? null : { root: left.root, reason: 'rollout-rolled-back' },
      waiting: null,
      stale: [...stale, ...dropped],
      ...reporter.with(...reports),
    })
    await needs.credentials.clear()
    emit({ name: 'confirmed', installed: candidate, totals })
    await needs.hooks?.after('after-confirm', candidate, abort)
    return true
  }

  const fallBack = async (phase: PhaseOf<'falling-back'>, abort: AbortOptions): Promise<void> => {
    const { candidate, detail } = phase
    const { installed, stale } = state.now
    const { root } = candidate
    if (installed === null) log.error({ root }, 'there is no earlier release to fall back to')
    else await installer.restore(installed, abort)
    const reason = 'health-check-failed'
    await state.save({
      phase: { name: 'idle' },
      rejected: { root, reason },
      waiting: { reason, detail, sinceMs: candidate.sinceMs },
      stale: [...stale, ...rootsOf(candidate)],
      ...reporter.with({ root, event: installed === null ? 'failed' : 'fell-back', detail }),
    })
    await needs.credentials.clear()
    emit({ name: 'fell-back', installed })
    await needs.hooks?.after('after-fall-back', candidate, abort)
  }

  /** The word may have changed while the bytes came: a hold keeps the image where it is. */
  const mayRun = async (candidate: InstalledRelease, abort: AbortOptions): Promise<boolean> => {
    const { installed } = state.now
    if (needs.guard === undefined) return true
    if (installed !== null && candidate.sequence < installed.sequence) {
      const permission = await needs.guard.ask(installed, abort)
      return permission.verdict === 'roll-back' && permission.to === candidate.root
    }
    return (await needs.guard.ask(candidate, abort)).verdict === 'install'
  }

  const holdsSwitch = async (candidate: InstalledRelease, abort: AbortOptions) =>
    (await needs.policy?.holdsSwitch()) ??
    (await needs.hooks?.before('before-switch', candidate, abort))

  const settle = async (abort: AbortOptions = {}): Promise<'nothing' | 'updated' | 'fell-back'> => {
    lastTotals = undefined
    hold = undefined
    for (;;) {
      const { phase } = state.now
      switch (phase.name) {
        case 'idle':
        case 'fetching':
          return lastTotals === undefined ? 'nothing' : 'updated'
        case 'written':
          await countBoot(state, await needs.bootId())
          if (state.now.phase.name !== 'written') break
          if (!(await mayRun(phase.candidate, abort))) return 'nothing'
          // One that was begun before a crash is ended, or the device would stay between two releases.
          if (phase.attempts === 0) hold = await holdsSwitch(phase.candidate, abort)
          if (hold !== undefined) return 'nothing'
          await install(state.now.phase, abort)
          break
        case 'trying':
          await countBoot(state, await needs.bootId())
          if (state.now.phase.name === 'trying') await judge(phase, abort)
          break
        case 'falling-back':
          await fallBack(phase, abort)
          return 'fell-back'
      }
    }
  }

  const keepInstalled = async (): Promise<void> => {
    const { installed } = state.now
    const kept = installed === null ? undefined : CID.parse(installed.root)
    if (kept !== undefined && options.keepBlocks === true) {
      if ((await needs.storage.pins.get(kept)) === undefined) {
        const root = kept.toString()
        const session = await needs.pins.open(root)
        // It came from a file, or when blocks were not kept yet: then there is nothing to serve.
        if (await session.adopt(kept)) await needs.pins.commit(root, { owner: PIN_OWNER })
        else await needs.pins.drop(root)
      }
    }
    for await (const { root, owners } of needs.storage.pins.list()) {
      const isOurs = owners.some(({ owner }) => owner === PIN_OWNER)
      const isKept = options.keepBlocks === true && kept?.equals(root) === true
      if (isOurs && !isKept) await needs.storage.pins.remove(root, PIN_OWNER)
    }
  }

  return {
    settle,
    hold: () => hold,
    totals: () => lastTotals,
    async tidy() {
      const { stale, phase } = state.now
      if (phase.name !== 'idle' && phase.name !== 'fetching') return
      const fetching = phase.name === 'fetching' ? rootsOf(phase.target) : []
      if (phase.name === 'idle') await keepInstalled()
      if (stale.length === 0) return
      for (const root of stale) {
        if (fetching.includes(root)) continue
        await needs.pins.drop(root)
      }
      await needs.storage.collectGarbage()
      await state.save({ stale: [] })
    },
  }
}

function reportOf(
  event: 'written' | 'confirmed',
  { root, sha256 }: InstalledRelease,
  totals: FetchTotals,
): LastingReport {
  const { fetchedBytes, reusedBlocks, sources } = totals
  return {
    root,
    event,
    sha256,
    fetchedBytes,
    reusedBlocks,
    sources: Object.entries(sources).map(([peerId, bytes]) => ({ peerId, bytes })),
  }
}
