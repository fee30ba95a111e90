import { asError } from '../base/index.ts'
import type { Command, Program } from './command.ts'
import { ExitCode } from './exit-codes.ts'
import { Interrupted, misuse, reportOf } from './failure.ts'
import { commandHelp, exitCodesHelp, groupHelp } from './help.ts'
import {
  type GlobalFlags,
  matchCommand,
  matchGroup,
  parseCall,
  takeGlobalFlags,
  throwUnknownCommand,
} from './parse.ts'
import { createSay, type SayGate } from './say.ts'
import { createProcessSystem, type System } from './system.ts'

/**
 * Runs one command line and resolves to the exit code of the process. Never throws: what goes wrong is
 * said, in the form that the line asked for.
 */
export async function runCommand(
  program: Program,
  argv: readonly string[],
  system: System,
): Promise<number> {
  const { flags, words } = takeGlobalFlags(argv)
  const say = createSay(system, flags)
  const interruption = listenForInterrupts(system, say)
  try {
    const code = await dispatch(program, { argv, words, flags, say, system, ...interruption })
    return code
  } catch (thrown) {
    const wasCutOff = interruption.signal.aborted && !(thrown instanceof Interrupted)
    const report = reportOf(wasCutOff ? interruption.signal.reason : thrown)
    say.fail(report, flags.debug ? asError(thrown).stack : undefined)
    return report.exitCode
  } finally {
    interruption.stop()
  }
}

/** The whole life of a bin: run, then end with the code. The process must not outlive its command. */
export async function runAsBin(program: Program): Promise<void> {
  const system = createProcessSystem()
  // Whoever closed the other end of the pipe has seen enough.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' ? ExitCode.done : ExitCode.failed)
    })
  }
  const code = await runCommand(program, process.argv.slice(2), system)
  process.exitCode = code
  // Standard output may still be on its way into a pipe; only then is it safe to go.
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit(code)
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resume) => stream.write('', () => resume()))
}

interface Dispatch {
  readonly argv: readonly string[]
  readonly words: readonly string[]
  readonly flags: GlobalFlags
  readonly say: SayGate
  readonly system: System
  readonly signal: AbortSignal
}

async function dispatch(program: Program, call: Dispatch): Promise<number> {
  const { words, flags, say, system } = call
  if (flags.version) {
    say.result({ json: { version: program.version }, text: program.version, id: program.version })
    return finish(say, ExitCode.done)
  }
  const asksForHelp = flags.help || words[0] === 'help'
  const rest = words[0] === 'help' ? words.slice(1) : words
  if (rest[0] === 'exit-codes' && asksForHelp) {
    say.result(exitCodesHelp())
    return finish(say, ExitCode.done)
  }
  const match = matchCommand(program, rest)
  if (match !== undefined) {
    const { command } = await match.entry.load()
    const [stray] = match.rest
    if (Object.keys(command.args).length === 0 && stray !== undefined && !stray.startsWith('-')) {
      await refuseUnknown(program, match.entry.name.split(' '), match.rest)
    }
    if (!asksForHelp) {
      const name = `${program.name} ${match.entry.name}`
      return execute(name, command, match.rest, call)
    }
    say.result(commandHelp(program, match.entry, command, system.stdout.columns))
    return finish(say, ExitCode.done)
  }
  const external = rest[0] === undefined ? undefined : await runExternal(program, rest[0], call)
  if (external !== undefined) return external

  const group = matchGroup(program, rest)
  const unknown = rest.slice(group.length)
  if (unknown[0] !== undefined) await refuseUnknown(program, group, unknown)
  if (!asksForHelp && group.length > 0) {
    const name = [program.name, ...group].join(' ')
    throw misuse('missing-command', `${name} needs a command`, `Type ${name} --help to see them.`)
  }
  say.result(await groupHelp(program, group, system.stdout.columns))
  return finish(say, ExitCode.done)
}

function finish(say: SayGate, code: ExitCode): ExitCode {
  say.finish(code)
  return code
}

async function execute(
  name: string,
  command: Command,
  rest: readonly string[],
  { say, system, signal, flags }: Dispatch,
): Promise<ExitCode> {
  const { options, args } = parseCall(name, command, rest, system.env)
  const code =
    (await command.run({ options, args, say, system, signal, debug: flags.debug })) ?? ExitCode.done
  return finish(say, code)
}

async function runExternal(
  program: Program,
  word: string,
  { argv }: Dispatch,
): Promise<number | undefined> {
  if (program.external === undefined || matchGroup(program, [word]).length > 0) return undefined
  const at = argv.indexOf(word)
  // Flags in front of the word are the user's wish for the whole line, so they go along.
  return program.external.run(word, [...argv.slice(at + 1), ...argv.slice(0, at)])
}

async function refuseUnknown(
  program: Program,
  group: readonly string[],
  words: readonly string[],
): Promise<never> {
  const prefix = group.map((word) => `${word} `).join('')
  const names = program.catalogue
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ name }) => name.slice(prefix.length).split(' ')[0] ?? '')
  const external = group.length === 0 ? ((await program.external?.list()) ?? []) : []
  const where = [program.name, ...group].join(' ')
  if (names.length === 0) {
    throw misuse(
      'excess-arguments',
      `${where} takes no argument, but got: ${words[0]}`,
      `Type ${where} --help to see how it is used.`,
    )
  }
  return throwUnknownCommand([...new Set([...names, ...external])], words, where)
}

/** Ctrl-C is answered at once, and the second one does not wait for anybody. */
function listenForInterrupts(system: System, say: SayGate) {
  const controller = new AbortController()
  const stop = system.onInterrupt(() => {
    if (controller.signal.aborted) {
      system.kill(ExitCode.interrupted)
      return
    }
    say.note('Stopping. Press Ctrl-C again to end at once.')
    controller.abort(new Interrupted())
  })
  return { signal: controller.signal, stop }
}
