import { ApiError, type GatewayClient, type Report } from '../api/index.ts'
import { type AbortOptions, asError, type Log } from '../base/index.ts'
import type { StateFile } from './state-file.ts'

/**
 * Tells the gateway what became of a release. What matters is written into the state first and stays there
 * until the gateway has taken it; progress is told when there is time for it and forgotten otherwise.
 */
export interface Reporter {
  /** The outbox with one more report, to be saved together with the transition that it tells of. */
  with(report: Report): readonly Report[]
  /** Sends what is left, oldest first. False when some stays. */
  flush(options?: AbortOptions): Promise<boolean>
  progress(report: Report): void
  /** Resolves when nothing is being sent. */
  settled(): Promise<void>
}

/** What is written on disk until somebody delivers it. */
export function withReport({ now }: Pick<StateFile, 'now'>, report: Report): readonly Report[] {
  return [...now.outbox, report]
}

/** The gateway understood these and will never take them, so that waiting helps nobody. */
const FINAL_STATUS = new Set([400, 404, 409, 410, 413, 422])

export function createReporter(needs: {
  readonly state: StateFile
  readonly api: Pick<GatewayClient, 'report'>
  readonly log: Log
}): Reporter {
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
        if (status === undefined || !FINAL_STATUS.has(status)) {
          log.info({ error, pending: state.now.outbox.length }, 'a report waits for the gateway')
          return false
        }
        log.warn({ error, event: report.event, root: report.root }, 'the gateway refused a report')
      }
      const sent = report
      await state.save({ outbox: state.now.outbox.filter((other) => other !== sent) })
    }
    return true
  }

  return {
    with: (report) => withReport(state, report),
    flush(options = {}) {
      const mine = turn.then(() => flushNow(options))
      turn = mine.catch(() => undefined)
      return mine
    },
    progress(report) {
      // Never ahead of a report that waits, and never two at once: the next step says it all again.
      if (sendingProgress !== undefined || state.now.outbox.length > 0) return
      sendingProgress = api
        .report(report)
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
