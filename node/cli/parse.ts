import { Argument, Command as Parser, InvalidArgumentError, Option } from 'commander'
import type { CatalogueEntry, Command, Program } from './command.ts'
import { misuse } from './failure.ts'
import type { ArgumentSpec, OptionSpec } from './options.ts'

/** Flags that every command has; they may stand anywhere before `--`. */
export const GLOBAL_FLAGS = [
  { flags: '--json', description: 'print one JSON document, on failure too' },
  { flags: '-q, --quiet', description: 'print ids only' },
  { flags: '--no-input', description: 'never ask; end with 2 and name the missing flag' },
  { flags: '--no-color', description: 'plain text, also by NO_COLOR' },
  { flags: '--debug', description: 'log what happens, and where an error came from' },
  { flags: '-h, --help', description: 'show this' },
] as const

export interface GlobalFlags {
  readonly json: boolean
  readonly quiet: boolean
  readonly noInput: boolean
  readonly noColor: boolean
  readonly debug: boolean
  readonly help: boolean
  readonly version: boolean
}

const GLOBAL_NAMES: Readonly<Record<string, keyof GlobalFlags>> = {
  '--json': 'json',
  '-q': 'quiet',
  '--quiet': 'quiet',
  '--no-input': 'noInput',
  '--no-color': 'noColor',
  '--debug': 'debug',
  '-h': 'help',
  '--help': 'help',
  '-V': 'version',
  '--version': 'version',
}

/** Takes the global flags out of the line; what stands after `--` is left alone. */
export function takeGlobalFlags(argv: readonly string[]): {
  readonly flags: GlobalFlags
  readonly words: readonly string[]
} {
  const end = argv.indexOf('--')
  const before = end === -1 ? argv : argv.slice(0, end)
  const found = new Set<string>()
  const words = before.filter((word) => {
    const name = GLOBAL_NAMES[word]
    // `--version 1.5.0` is an option of some commands; alone in front it is ours.
    if (name === undefined || (name === 'version' && word !== before[0])) return true
    found.add(name)
    return false
  })
  const has = (name: keyof GlobalFlags) => found.has(name)
  return {
    words: end === -1 ? words : [...words, ...argv.slice(end)],
    flags: {
      json: has('json'),
      quiet: has('quiet'),
      noInput: has('noInput'),
      noColor: has('noColor'),
      debug: has('debug'),
      help: has('help'),
      version: has('version'),
    },
  }
}

/** The longest entry that the line starts with, and what follows it. */
export function matchCommand(
  program: Program,
  words: readonly string[],
): { readonly entry: CatalogueEntry; readonly rest: readonly string[] } | undefined {
  for (let length = Math.min(words.length, 3); length > 0; length--) {
    const name = words.slice(0, length).join(' ')
    const entry = program.catalogue.find((candidate) => candidate.name === name)
    if (entry !== undefined) return { entry, rest: words.slice(length) }
  }
  return undefined
}

/** The leading words that are a group of the catalogue, such as `device`. */
export function matchGroup(program: Program, words: readonly string[]): readonly string[] {
  const group: string[] = []
  for (const word of words) {
    const prefix = [...group, word, ''].join(' ')
    if (!program.catalogue.some(({ name }) => name.startsWith(prefix))) break
    group.push(word)
  }
  return group
}

/** Throws the parser's "unknown command" with its nearest neighbour. */
export function throwUnknownCommand(
  names: readonly string[],
  words: readonly string[],
  where: string,
): never {
  const parser = silentParser(where)
  for (const name of names) parser.command(name)
  parser.parse([...words], { from: 'user' })
  throw misuse(
    'unknown-command',
    `unknown command '${words.join(' ')}'`,
    `Type ${where} --help to see the commands.`,
  )
}

export interface ParsedCall {
  readonly options: Record<string, unknown>
  readonly args: Record<string, unknown>
}

/** Options and arguments of one command line, checked. Throws the parser's error or a misuse. */
export function parseCall(
  name: string,
  command: Command,
  rest: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedCall {
  const parser = silentParser(name)
  const known = new Map<string, Option>()
  for (const [key, spec] of Object.entries(command.options)) {
    const option = parserOption(spec)
    known.set(key, option)
    parser.addOption(option)
  }
  for (const { flags } of GLOBAL_FLAGS) {
    const global = new Option(flags)
    if (![...known.values()].some((option) => option.long === global.long)) {
      parser.addOption(global)
    }
  }
  for (const spec of Object.values(command.args)) parser.addArgument(parserArgument(spec))
  parser.action(() => undefined)
  parser.parse([...rest], { from: 'user' })

  const given = parser.opts()
  const options: Record<string, unknown> = {}
  for (const [key, spec] of Object.entries(command.options)) {
    const attribute = known.get(key)?.attributeName() ?? key
    const isGiven = parser.getOptionValueSource(attribute) === 'cli'
    options[key] = isGiven ? given[attribute] : fallbackOf(spec, env)
  }
  const args = Object.fromEntries(
    Object.entries(command.args).map(([key, spec], index) => [
      key,
      parser.processedArgs[index] ?? (spec.variadic ? [] : undefined),
    ]),
  )
  return { options, args }
}

function silentParser(name: string): Parser {
  return new Parser(name)
    .helpOption(false)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: () => undefined,
      writeErr: () => undefined,
      outputError: () => undefined,
    })
}

/** `--space SIZE` -> `--space <SIZE>`, which is how commander knows that a value has to follow. */
function parserOption(spec: OptionSpec<unknown>): Option {
  const option = new Option(spec.flags.replace(/ ([^ ]+)$/, takesValue(spec) ? ' <$1>' : ' $1'))
  if (takesValue(spec)) option.argParser((text, previous) => parsed(spec, text, previous))
  return option
}

export function takesValue(spec: OptionSpec<unknown>): boolean {
  return spec.parse !== undefined
}

function parserArgument(spec: ArgumentSpec<unknown>): Argument {
  const name = spec.variadic ? `${spec.name}...` : spec.name
  const argument = new Argument(spec.required ? `<${name}>` : `[${name}]`)
  return argument.argParser((text, previous) => parsed(spec, text, previous))
}

function parsed(
  spec: Pick<OptionSpec<unknown>, 'parse'>,
  text: string,
  previous: unknown,
): unknown {
  try {
    return spec.parse?.(text, previous) ?? text
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new InvalidArgumentError(`${thrown.message}.`)
    throw thrown
  }
}

function fallbackOf(
  spec: OptionSpec<unknown>,
  env: Readonly<Record<string, string | undefined>>,
): unknown {
  const text = spec.env === undefined ? undefined : env[spec.env]
  if (text !== undefined && text !== '') {
    try {
      return spec.parse?.(text, undefined) ?? text
    } catch (thrown) {
      if (!(thrown instanceof RangeError)) throw thrown
      throw misuse(
        'invalid-argument',
        `the environment variable ${spec.env} is '${text}': ${thrown.message}`,
        `Set it anew, or give ${spec.flags}.`,
      )
    }
  }
  if (!spec.required) return spec.initial
  const orEnv = spec.env === undefined ? '' : `, or set ${spec.env}`
  throw misuse('missing-option', `${spec.flags} is missing`, `Add ${spec.flags}${orEnv}.`)
}
