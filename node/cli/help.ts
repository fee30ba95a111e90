import { Help } from 'commander'
import type { CatalogueEntry, Command, Program } from './command.ts'
import { EXIT_CODE_MEANINGS } from './exit-codes.ts'
import { GLOBAL_FLAGS, takesValue } from './parse.ts'
import type { Outcome } from './say.ts'

/** Wider lines are hard to follow, narrower ones leave no room for the descriptions. */
const MAX_WIDTH = 100
const MIN_WIDTH = 50

type Item = readonly [term: string, description: string]

function items(list: readonly Item[], columns: number | undefined): string {
  const helper = new Help()
  helper.prepareContext({
    helpWidth: Math.max(MIN_WIDTH, Math.min(MAX_WIDTH, columns ?? MAX_WIDTH)),
  })
  const width = Math.max(...list.map(([term]) => term.length))
  return list.map(([term, text]) => helper.formatItem(term, width, text, helper)).join('\n')
}

function usageOf(name: string, command: Command): string {
  const args = Object.values(command.args).map((spec) => {
    const text = spec.variadic ? `${spec.name}…` : spec.name
    return spec.required ? text : `[${text}]`
  })
  const options = Object.values(command.options).map((spec) => {
    const flags = spec.flags.replace(/^-\w, /, '')
    return spec.required ? flags : `[${flags}]`
  })
  return [name, ...args, ...options].join(' ')
}

/** Examples first, as most people copy one and change it. */
export function commandHelp(
  program: Program,
  entry: CatalogueEntry,
  command: Command,
  columns: number | undefined,
): Outcome {
  const name = `${program.name} ${entry.name}`
  const usage = usageOf(name, command)
  const args = Object.values(command.args).map((spec): Item => [spec.name, spec.description])
  const options = Object.values(command.options).map(
    (spec): Item => [
      spec.flags,
      [
        spec.description,
        spec.initial !== undefined && takesValue(spec) && !Array.isArray(spec.initial)
          ? `(default ${shown(spec.initial)})`
          : undefined,
        spec.env === undefined ? undefined : `(or ${spec.env})`,
      ]
        .filter((part) => part !== undefined)
        .join(' '),
    ],
  )
  const everywhere = GLOBAL_FLAGS.map((flag): Item => [flag.flags, flag.description])
  const sections = [
    command.about,
    command.examples.map((line) => `  $ ${line}`).join('\n'),
    `Usage: ${usage}`,
    args.length === 0 ? undefined : items(args, columns),
    `Options:\n${items([...options, ...everywhere], columns)}`,
    exitCodeLine(),
    command.next === undefined ? undefined : `Then: ${command.next}`,
  ]
  return {
    text: sections.filter((section) => section !== undefined).join('\n\n'),
    json: {
      command: name,
      about: command.about,
      examples: command.examples,
      usage,
      options: [...options, ...everywhere].map(([flags, description]) => ({ flags, description })),
      exitCodes: EXIT_CODE_MEANINGS,
      next: command.next,
    },
  }
}

/** The commands below a group; the empty group is the whole program. */
export async function groupHelp(
  program: Program,
  group: readonly string[],
  columns: number | undefined,
): Promise<Outcome> {
  const prefix = group.map((word) => `${word} `).join('')
  const entries = program.catalogue.filter(({ name }) => name.startsWith(prefix))
  const list = entries.map((entry): Item => [entry.name, entry.summary])
  const external = group.length === 0 ? ((await program.external?.list()) ?? []) : []
  const name = [program.name, ...group].join(' ')
  const first = entries[0]
  const sections = [
    group.length === 0 ? program.summary : undefined,
    `Usage: ${name} COMMAND [OPTIONS]`,
    list.length === 0 ? undefined : `Commands:\n${items(list, columns)}`,
    external.length === 0 ? undefined : `From other workspaces: ${external.join(', ')}`,
    exitCodeLine(),
    first === undefined ? undefined : `Then: ${program.name} ${first.name} --help`,
  ]
  return {
    text: sections.filter((section) => section !== undefined).join('\n\n'),
    json: {
      command: name,
      commands: entries.map((entry) => ({ name: entry.name, summary: entry.summary })),
      external,
      exitCodes: EXIT_CODE_MEANINGS,
    },
  }
}

export function exitCodesHelp(): Outcome {
  const rows = Object.entries(EXIT_CODE_MEANINGS).map(([code, meaning]): Item => [code, meaning])
  return { text: items(rows, undefined), json: { exitCodes: EXIT_CODE_MEANINGS } }
}

function exitCodeLine(): string {
  const meanings = Object.entries(EXIT_CODE_MEANINGS).map(([code, text]) =>
    [code, text.split(',')[0]].join(' '),
  )
  return `Exit codes: ${meanings.join(', ')}`
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
