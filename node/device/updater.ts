import { type AbortOptions, asError, type Clock, type Log } from '../base/index.ts'
import type { DeviceOptions } from './agent-types.ts'
import type { CredentialStore } from './credentials.ts'
import type { DeviceEvent } from './events.ts'
import type { FetchEvents, FetchJob } from './fetch-release.ts'
import { REPORT_EVERY_PERCENT } from './limits.ts'
import { setbackOf } from './reasons.ts'
import type { LastingReport, Reporter } from './reporter.ts'
import type { Settler } from './settle.ts'
import { otherSlot, type Slots } from './slots.ts'
import type { StateFile } from './state-file.ts'
import { type FetchTotals, NO_TOTALS, rootsOf, type SlotName, type Target } from './types.ts'
import type { WrittenImage } from './write-image.ts'

export interface UpdaterNeeds {
  readonly state: StateFile
  readonly reporter: Pick<Reporter, 'with' | 'progress'>
  readonly credentials: Pick<CredentialStore, 'clear'>
  readonly settler: Pick<Settler, 'tidy'>
  readonly slots: Slots
  readonly clock: Clock
  readonly log: Log
  readonly emit: (event: DeviceEvent) => void
}

/** Brings the image into its slot, from wherever the blocks come. */
type TargetWriter = (job: FetchJob, events: FetchEvents) => Promise<WrittenImage>

/** From a target that metadata names to a whole image on disk, each step noted before it is done. */
export interface Updater {
  /** Throws what the writer throws; the state on disk is consistent then, too. */
  bring(target: Target, writer: TargetWriter, options?: AbortOptions): Promise<void>
  /**
   * Somebody, or a disk that lies, removed the image that the state says is running: then nothing is installed. Or
   * the one that is to be switched to: then it is not switched to.
   */
  forgetLostImage(): Promise<void>
}

const REPORT_DETAIL_MAX = 2_000

export function createUpdater(needs: UpdaterNeeds, options: DeviceOptions): Updater {
  const { state, reporter, credentials, settler, slots, clock, log, emit } = needs

  /** Writes ahead which slot will be overwritten, and lets go of what another target has left there. */
  const beginFetch = async (target: Target): Promise<SlotName> => {
    const { phase, stale } = state.now
    const slot = otherSlot(await slots.current())
    if (phase.name === 'fetching' && phase.slot === slot && phase.target.root === target.root) {
      emit({ name: 'fetching', target })
      return slot
    }
    const abandoned =
      phase.name === 'fetching'
        ? rootsOf(phase.target)
        : phase.name === 'written'
          ? rootsOf(phase.candidate)
          : []
    const wanted = rootsOf(target)
    await state.save({
      phase: { name: 'fetching', target, slot, sinceMs: clock.nowMs(), totals: NO_TOTALS },
      previous: null,
      stale: [...stale, ...abandoned].filter((root) => !wanted.includes(root)),
    })
    await slots.clear(slot)
    emit({ name: 'fetching', target })
    reporter.progress({ root: target.root, event: 'downloading', progress: 0 })
    return slot
  }

  const write = async (target: Target, writer: TargetWriter): Promise<void> => {
    const slot = await beginFetch(target)
    const { installed, phase } = state.now
    const { sinceMs, totals: earlier } =
      phase.name === 'fetching' ? phase : { sinceMs: clock.nowMs(), totals: NO_TOTALS }
    let totals: FetchTotals = earlier
    const { sha256, imageBytes } = await writer(
      { ...options, target, slot, installed, totals, giveUpAfterMs: options.giveUpAfterMs },
      {
        async onTotals(now) {
          totals = now
          await state.save({ phase: { name: 'fetching', target, slot, sinceMs, totals } })
        },
        onProgress: showProgress(target),
        onStaged: () => emit({ name: 'staged', target }),
      },
    )
    const candidate = { ...target, sha256, imageBytes, slot, sinceMs: clock.nowMs() }
    await state.save({ phase: { name: 'written', candidate, totals, attempts: 0 }, waiting: null })
    emit({ name: 'written', candidate })
  }

  const showProgress = (target: Target) => {
    let toldPercent = 0
    let shownPercent = -1
    return (now: {
      readonly stagedBytes: number
      readonly imageBytes: number
      readonly fetchedBytes: number
      readonly sources: number
    }) => {
      const percent = Math.floor((100 * now.stagedBytes) / now.imageBytes)
      if (percent > shownPercent) {
        shownPercent = percent
        emit({ name: 'progress', target, percent, ...now })
      }
      if (percent < toldPercent + REPORT_EVERY_PERCENT) return
      toldPercent = percent
      const { fetchedBytes } = now
      reporter.progress({
        root: target.root,
        event: 'downloading',
        progress: percent,
        fetchedBytes,
      })
    }
  }

  /** A full disk must not stay full because of us, and a bad release must not be fetched for ever. */
  const afterFailure = async (thrown: unknown): Promise<void> => {
    const { phase } = state.now
    const { reason, detail, isFinal } = setbackOf(thrown)
    if (reason === 'release-key-wrong') await credentials.clear()
    if (phase.name !== 'fetching' || (reason !== 'disk-full' && !isFinal)) return
    // The files first: on a full disk nothing could be noted before there is room again.
    await slots.clear(phase.slot)
    await credentials.clear()
    const { root } = phase.target
    const stale = [...state.now.stale, ...rootsOf(phase.target)]
    const text = `${reason}: ${detail}`.slice(0, REPORT_DETAIL_MAX)
    const failed: LastingReport = { root, event: 'failed', detail: text }
    await state.save({
      phase: { name: 'idle' },
      stale,
      ...(isFinal ? { rejected: { root, reason }, ...reporter.with(failed) } : {}),
    })
    await settler.tidy()
  }

  return {
    async bring(target, writer, abort = {}) {
      try {
        await write(target, writer)
      } catch (thrown) {
        abort.signal?.throwIfAborted()
        await afterFailure(thrown).catch((second: unknown) => {
          log.error({ error: asError(second) }, 'could not clear up after a failed fetch')
        })
        throw thrown
      }
    },
    async forgetLostImage() {
      const { installed, phase } = state.now
      if (phase.name === 'written') {
        const { candidate } = phase
        const bytes = await slots.imageBytes(candidate.slot)
        if (bytes !== candidate.imageBytes) {
          log.warn(
            { root: candidate.root },
            'the image that was written is gone; it is fetched anew',
          )
          await state.save({ phase: { name: 'idle' } })
        }
      }
      if (installed === null) return
      if ((await slots.imageBytes(installed.slot)) !== undefined) return
      log.warn({ root: installed.root }, 'the installed image is gone; it will be installed anew')
      await state.save({ installed: null, previous: null })
    },
  }
}
