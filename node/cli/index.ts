/**
 * The command line. `ioex.ts` is the program; this door holds the frame that programs of other workspaces
 * (`ioex-vendor`, `ioex-wallet`, …) stand on, so that flags, exit codes, JSON, progress and errors are the
 * same everywhere.
 *
 * A command is data and one handler (`defineCommand`), in a file of its own that is imported only when it
 * is called. The handler is handed its checked options and a `Say`, the one gate to the terminal: results
 * to standard output, everything else to standard error, one JSON document with `--json`. To end with
 * another exit code than 1 it throws a `Failure`; to end early but in order it watches `signal`.
 *
 * ```ts
 * await runAsBin({ name: 'ioex vendor', summary: '…', version, catalogue: [
 *   { name: 'create', summary: '…', load: () => import('./commands/create.ts') },
 * ] })
 * ```
 */
export {
  type Call,
  type CatalogueEntry,
  type Command,
  defineCommand,
  type Program,
} from './command.ts'
export { ExitCode } from './exit-codes.ts'
export { Failure, misuse } from './failure.ts'
export { formatBytes, formatDuration, formatTable } from './format.ts'
export { homeFolder, homeOption, homePaths } from './home.ts'
export { passphraseOf, passphraseOption } from './home-keystore.ts'
export {
  argument,
  duration,
  flag,
  fromEnv,
  hostAndPort,
  httpUrl,
  many,
  optionalArgument,
  readSecret,
  required,
  restArguments,
  size,
  text,
  value,
  wholeNumber,
  withDefault,
} from './options.ts'
export type { Progress, ProgressOptions } from './progress.ts'
export { runAsBin, runCommand } from './run.ts'
export { type Outcome, printable, type Say } from './say.ts'
export { createProcessSystem, type System } from './system.ts'
