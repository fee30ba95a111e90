/**
 * The one gate between commands and the terminal. Results go to standard output; progress, notes and
 * questions to standard error. With --json there is exactly one document on standard output, on failure
 * too; commands that follow something print one document per line. With --quiet only ids.
 */
import { stripVTControlCharacters, styleText } from 'node:util'
import { type Asking, createAsking } from './ask.ts'
import type { ExitCode } from './exit-codes.ts'
import type { FailureReport } from './failure.ts'
import { createProgress, type Progress, type ProgressOptions } from './progress.ts'
import type { System, TextOutput } from './system.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export interface Outcome {
  /** Field names as in the HTTP API. `ok` is added. */
  readonly json: JsonObject
  /** For people: what changed and the new state. May have several lines. */
  readonly text: string
  /** What --quiet prints: ids, one per line. Nothing when left out. */
  readonly id?: string
}

export interface Say extends Asking {
  readonly json: boolean
  readonly quiet: boolean
  /** The result, once per command. Printed when the command has ended, so that a failure can take its place. */
  result(outcome: Outcome): void
  /** One of several: a line of a follower, printed at once. */
  event(outcome: Outcome): void
  /** What is going on, on standard error; not with --quiet. */
  note(text: string): void
  /** What may need attention, on standard error, always. */
  warn(text: string): void
  progress(options: ProgressOptions): Progress
  /** `ok`, `failed`, `waiting`: words first, colour where it is wanted. */
  word(kind: 'ok' | 'failed' | 'waiting'): string
}

export interface SayOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly noColor: boolean
  readonly noInput: boolean
}

/** What the frame itself calls. */
export interface SayGate extends Say {
  finish(exitCode: ExitCode): void
  fail(report: FailureReport, stack?: string): void
}

const COLOURS = { ok: 'green', failed: 'red', waiting: 'yellow' } as const

/** Text of others (names, greetings, file names) without control characters, so that it cannot steer a terminal. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}')
}

export function createSay(
  system: Pick<System, 'stdin' | 'stdout' | 'stderr' | 'env' | 'clock'>,
  options: SayOptions,
): SayGate {
  const { json, quiet } = options
  let outcome: Outcome | undefined
  let events = 0
  let openProgress: Progress | undefined

  const line = (stream: TextOutput, text: string) => void stream.write(`${text}\n`)
  const aside = (text: string) => {
    openProgress?.interrupt()
    line(system.stderr, text)
  }
  const coloured = (stream: TextOutput, kind: keyof typeof COLOURS, text: string) =>
    json || options.noColor || !wantsColour(stream, system.env)
      ? text
      : styleText(COLOURS[kind], text, { validateStream: false })
  const print = ({ json: document, text, id }: Outcome, ok?: boolean) => {
    openProgress?.interrupt()
    if (json) line(system.stdout, toJson(ok === undefined ? document : { ok, ...document }))
    else if (!quiet) line(system.stdout, text)
    else if (id !== undefined) line(system.stdout, id)
  }

  return {
    ...createAsking(system, { refuse: json || options.noInput }),
    json,
    quiet,
    result(given) {
      outcome = given
    },
    event(given) {
      events++
      print(given)
    },
    note(text) {
      if (!quiet) aside(text)
    },
    warn(text) {
      aside(`${coloured(system.stderr, 'waiting', 'note:')} ${text}`)
    },
    progress(details) {
      openProgress?.stop()
      openProgress = createProgress(system, details, { quiet, plain: json })
      return openProgress
    },
    word: (kind) => coloured(system.stdout, kind, kind),
    finish(exitCode) {
      openProgress?.stop()
      if (outcome !== undefined) print(outcome, exitCode === 0)
      else if (json && events === 0) print({ json: {}, text: '' }, exitCode === 0)
    },
    fail({ code, message, fix, exitCode }, stack) {
      openProgress?.stop()
      if (json) line(system.stdout, toJson({ ok: false, code, message, fix, exitCode }))
      else {
        const label = coloured(system.stderr, 'failed', 'error:')
        line(system.stderr, `${label} ${printable(message)}   [${code}]`)
        if (fix !== undefined) line(system.stderr, `       ${printable(fix)}`)
      }
      if (stack !== undefined) line(system.stderr, stack)
    },
  }
}

/** FORCE_COLOR wins, then NO_COLOR and TERM=dumb, then whether it is a terminal at all. */
function wantsColour(stream: TextOutput, env: System['env']): boolean {
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '') return env.FORCE_COLOR !== '0'
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false
  return stream.isTTY === true && env.TERM !== 'dumb'
}

/** Amounts beyond 2^53 are decimal strings in every JSON of this product. */
function toJson(document: JsonObject): string {
  return JSON.stringify(document, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
}
