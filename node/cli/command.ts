import type { ExitCode } from './exit-codes.ts'
import type { ArgumentSpec, OptionSpec } from './options.ts'
import type { Say } from './say.ts'
import type { System } from './system.ts'

type Specs<T> = Readonly<Record<string, T>>
/** The value types behind a record of options or arguments. */
type Values<S> = {
  readonly [K in keyof S]: S[K] extends OptionSpec<infer T> | ArgumentSpec<infer T> ? T : never
}

/** What a command is handed when it runs. */
export interface Call<O, A> {
  readonly options: O
  readonly args: A
  readonly say: Say
  readonly system: System
  /** Aborted by Ctrl-C and SIGTERM. A command that then returns has stopped cleanly; one that throws was cut off. */
  readonly signal: AbortSignal
  /** Log what happens. */
  readonly debug: boolean
}

export interface Command<O = Record<string, unknown>, A = Record<string, unknown>> {
  /** One sentence with a full stop: what it does for whoever calls it. */
  readonly about: string
  /** Lines to copy; the first one is the common case. */
  readonly examples: readonly [string, ...string[]]
  readonly options: Specs<OptionSpec<unknown>>
  /** In order. */
  readonly args: Specs<ArgumentSpec<unknown>>
  /** The line that most people type next. */
  readonly next?: string
  /** The result is the process itself: with --json one JSON document per line instead of one in all. */
  readonly follows?: boolean
  /** Ends with `done` unless it returns another code. */
  run(call: Call<O, A>): Promise<ExitCode | undefined>
}

/** Gives the handler the types that its options and arguments parse to. */
export function defineCommand<
  O extends Specs<OptionSpec<unknown>> = Record<never, never>,
  A extends Specs<ArgumentSpec<unknown>> = Record<never, never>,
>(
  command: Omit<Command<Values<O>, Values<A>>, 'options' | 'args' | 'run'> & {
    readonly options?: O
    readonly args?: A
    run(call: Call<Values<O>, Values<A>>): Promise<ExitCode | undefined>
  },
): Command {
  return {
    ...command,
    options: command.options ?? {},
    args: command.args ?? {},
    run: (call) => command.run(call as unknown as Call<Values<O>, Values<A>>),
  }
}

/** A line of the catalogue: enough for help and suggestions without loading the command. */
export interface CatalogueEntry {
  /** Such as `id` or `device run`. */
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<{ readonly command: Command }>
}

export interface Program {
  /** As typed: `ioex`, or `ioex vendor` for a command that is found from outside. */
  readonly name: string
  readonly summary: string
  readonly version: string
  readonly catalogue: readonly CatalogueEntry[]
  /** Commands of other workspaces, by the word that stands where ours are not known. */
  readonly external?: ExternalCommands
}

export interface ExternalCommands {
  list(): Promise<readonly string[]>
  /** Undefined when there is no such command. */
  run(word: string, rest: readonly string[]): Promise<number | undefined>
}
