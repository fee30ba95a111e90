import { Presets, SingleBar } from 'cli-progress'
import { formatBytes } from './format.ts'
import type { System } from './system.ts'

export interface ProgressOptions {
  /** A present participle: `Downloading`. */
  readonly label: string
  /** Undefined while nobody knows. */
  readonly total?: number
  readonly unit: 'bytes' | 'items'
}

export interface Progress {
  /** `detail` says what it is waiting for or who helps: `from 3 sources`. */
  update(state: {
    readonly done: number
    readonly total?: number
    readonly detail?: string
    readonly label?: string
  }): void
  /** Makes room for another line of text. */
  interrupt(): void
  /** Ends the display; safe to call twice. */
  stop(): void
}

/** Off a terminal: a line per tenth, or after so long without one. */
const LINE_EVERY_MS = 10_000
const LINE_EVERY_PERCENT = 10
/** More redraws per second are not seen, and fewer look as if it stood still. */
const BAR_FRAMES_PER_SECOND = 5

export function createProgress(
  { stderr, env, clock }: Pick<System, 'stderr' | 'env' | 'clock'>,
  options: ProgressOptions,
  mode: { readonly quiet: boolean; readonly plain: boolean },
): Progress {
  if (mode.quiet) {
    return { update: () => undefined, interrupt: () => undefined, stop: () => undefined }
  }
  const flat = mode.plain || stderr.isTTY !== true || env.TERM === 'dumb' || env.ACCESSIBLE === '1'
  return flat ? createLines(stderr, clock, options) : createBar(stderr, clock, options)
}

interface State {
  label: string
  done: number
  total: number | undefined
  detail: string
}

function initialState({ label, total }: ProgressOptions): State {
  return { label, done: 0, total, detail: '' }
}

function take(state: State, given: Parameters<Progress['update']>[0]): void {
  state.done = given.done
  state.total = given.total ?? state.total
  state.detail = given.detail ?? state.detail
  state.label = given.label ?? state.label
}

function percentOf({ done, total }: State): number | undefined {
  if (total === undefined || total <= 0) return undefined
  return Math.min(100, Math.floor((100 * done) / total))
}

function amountOf({ done, total }: State, unit: ProgressOptions['unit']): string {
  const write = unit === 'bytes' ? formatBytes : String
  return total === undefined ? write(done) : `${write(done)} of ${write(total)}`
}

function createLines(
  stderr: System['stderr'],
  clock: System['clock'],
  options: ProgressOptions,
): Progress {
  const state = initialState(options)
  let printedTenth = 0
  let printedLabel = ''
  let printedLine = ''
  let cancel: (() => void) | undefined

  const print = () => {
    cancel?.()
    const percent = percentOf(state)
    printedTenth = Math.floor((percent ?? 0) / LINE_EVERY_PERCENT)
    printedLabel = state.label
    const parts = [
      percent === undefined ? undefined : `${percent} %`,
      amountOf(state, options.unit),
      state.detail === '' ? undefined : state.detail,
    ]
    const line = `${state.label}: ${parts.filter((part) => part !== undefined).join(', ')}`
    if (line !== printedLine) stderr.write(`${line}\n`)
    printedLine = line
    cancel = clock.after(LINE_EVERY_MS, print)
  }
  cancel = clock.after(LINE_EVERY_MS, print)
  return {
    update(given) {
      take(state, given)
      const tenth = Math.floor((percentOf(state) ?? 0) / LINE_EVERY_PERCENT)
      if (tenth > printedTenth || (printedLabel !== '' && state.label !== printedLabel)) print()
    },
    interrupt: () => undefined,
    stop: () => cancel?.(),
  }
}

function createBar(
  stderr: System['stderr'],
  clock: System['clock'],
  options: ProgressOptions,
): Progress {
  const state = initialState(options)
  const startedMs = clock.monotonicMs()
  let lastFrameMs = Number.NEGATIVE_INFINITY
  let stopped = false
  const bar = new SingleBar(
    {
      format: '{label} [{bar}] {percentage}% {amount} {rate} {detail}',
      stream: stderr,
      barsize: 24,
      linewrap: false,
      // The cursor stays: a killed process could not bring it back.
      hideCursor: null,
      fps: BAR_FRAMES_PER_SECOND,
      gracefulExit: false,
      emptyOnZero: true,
      clearOnComplete: true,
    },
    Presets.legacy,
  )
  const payload = () => ({
    label: state.label,
    amount: amountOf(state, options.unit),
    rate: rateOf(state.done, clock.monotonicMs() - startedMs, options.unit),
    detail: state.detail,
  })
  bar.start(Math.max(1, state.total ?? 1), 0, payload())
  return {
    update(given) {
      take(state, given)
      const nowMs = clock.monotonicMs()
      if (stopped || nowMs - lastFrameMs < 1000 / BAR_FRAMES_PER_SECOND) return
      lastFrameMs = nowMs
      bar.setTotal(Math.max(1, state.total ?? 1))
      bar.update(state.total === undefined ? 0 : Math.min(state.done, state.total), payload())
    },
    interrupt() {
      if (!stopped) stderr.write('\r\u001b[K')
    },
    stop() {
      if (stopped) return
      stopped = true
      bar.stop()
    },
  }
}

function rateOf(done: number, elapsedMs: number, unit: ProgressOptions['unit']): string {
  if (unit !== 'bytes' || elapsedMs < 1000) return ''
  return `${formatBytes((done * 1000) / elapsedMs)}/s`
}
