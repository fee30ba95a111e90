import {
  ApiError,
  type GatewayClient,
  type Progress,
  type Report,
  type ReportHead,
  ReportSchema,
  type SignedReport,
} from '../api/index.ts'
import { type AbortOptions, asError, type Clock, type Log } from '../base/index.ts'
import { type ChainEnd, signReport } from '../firmware/index.ts'
import type { Identity } from '../identity/index.ts'
import { OUTBOX_MAX_BODIES } from './limits.ts'
import type { StateFile } from './state-file.ts'
import type { DeviceState } from './types.ts'

/** What is kept until the gateway has taken it: all but the moving of bytes. */
export type LastingReport = Report & { readonly event: ReportHead['event'] }

/** Chain and outbox as they will be, to be saved together with the transition that the reports tell of. */
export type Told = Pick<DeviceState, 'chain' | 'outbox'>

export interface Signing {
  readonly identity: Pick<Identity, 'evmAddress' | 'signMessage'>
  readonly clock: Pick<Clock, 'nowMs'>
}

/**
 * Tells the gateway what became of a release. What matters is written into the state first and stays there
 * until the gateway has taken it; progress is told when there is time for it and forgotten otherwise.
 */
export interface Reporter {
  /** Signs reports as the next of this device's chain. */
  with(...reports: readonly LastingReport[]): Told
  /** Sends what is left, oldest first. False when some stays. */
  flush(options?: AbortOptions): Promise<boolean>
  progress(progress: Progress): void
  /** Resolves when nothing is being sent. */
  settled(): Promise<void>
}

/** Signs what is written on disk until somebody delivers it. Nothing is sent that is not in the chain on disk. */
export function withReports(
  { now }: Pick<StateFile, 'now'>,
  { identity, clock }: Signing,
  reports: readonly LastingReport[],
): Told {
  let { chain } = now
  const outbox = [...now.outbox]
  for (const report of reports) {
    const { signed, end } = signReport(identity, chain, report, clock.nowMs())
    outbox.push(signed)
    chain = end
  }
  // A device that was without a network for years keeps its chain whole, and the words of the newest only.
  const wordless = outbox.length - OUTBOX_MAX_BODIES
  return {
    chain,
    outbox: outbox.map((signed, n) => (n < wordless ? { ...signed, report: null } : signed)),
  }
}

/** The gateway understood these and will never take them, so that waiting helps nobody. */
const FINAL_STATUS = new Set([400, 404, 410, 413, 422])

export function createReporter(
  needs: Signing & {
    readonly state: StateFile
    readonly api: Pick<GatewayClient, 'report' | 'progress'>
    readonly log: Log
  },
): Reporter {
  const { state, api, log } = needs
  let turn: Promise<unknown> = Promise.resolve()
  let sendingProgress: Promise<void> | undefined

  const flushNow = async (options: AbortOptions): Promise<boolean> => {
    for (let report = state.now.outbox[0]; report !== undefined; report = state.now.outbox[0]) {
      try {
        await api.report(report, options)
      } catch (thrown) {
        options.signal?.throwIfAborted()
        const status = thrown instanceof ApiError ? thrown.status : undefined
        const error = asError(thrown)
        const ahead = chainAhead(thrown, report)
        if (ahead !== undefined) {
          log.warn({ seq: ahead.seq }, 'the chain of this device was lost; going on after its end')
          await state.save(renewed(state, needs, ahead))
          continue
        }
        if (status === undefined || !FINAL_STATUS.has(status)) {
          log.info({ error, pending: state.now.outbox.length }, 'a report waits for the gateway')
          return false
        }
        log.warn({ error, seq: report.head.seq }, 'the gateway refused a report')
      }
      const sent = report
      await state.save({ outbox: state.now.outbox.filter((other) => other !== sent) })
    }
    return true
  }

  return {
    with: (...reports) => withReports(state, needs, reports),
    flush(options = {}) {
      const mine = turn.then(() => flushNow(options))
      turn = mine.catch(() => undefined)
      return mine
    },
    progress(progress) {
      // Never ahead of a report that waits, and never two at once: the next step says it all again.
      if (sendingProgress !== undefined || state.now.outbox.length > 0) return
      sendingProgress = api
        .progress(progress)
        .catch((thrown: unknown) => log.debug({ error: asError(thrown) }, 'progress was not told'))
        .finally(() => {
          sendingProgress = undefined
        })
    },
    async settled() {
      await turn
      await sendingProgress
    },
  }
}

/**
 * The gateway holds reports that this device has signed and knows nothing of: its state was lost. (A gateway that
 * holds less than was acknowledged has lost its own; no report is signed a second time for that.)
 */
function chainAhead(thrown: unknown, { head }: SignedReport): ChainEnd | undefined {
  if (!(thrown instanceof ApiError) || thrown.problem?.code !== 'report-forked') return undefined
  const have = thrown.problem.chain
  return have !== undefined && have.seq >= head.seq ? have : undefined
}

/** The reports that wait, signed anew as the ones that follow `end`. What has lost its words is left out. */
function renewed(state: StateFile, signing: Signing, end: ChainEnd): Told {
  const reports = state.now.outbox.flatMap(({ head, report }): LastingReport[] => {
    if (report === null) return []
    return [{ ...ReportSchema.parse(JSON.parse(report)), event: head.event }]
  })
  return withReports({ now: { ...state.now, chain: end, outbox: [] } }, signing, reports)
}
