import { parseArgs } from 'node:util'

export const MIB = 1024 * 1024

/** One cell: so many devices and seeds, at these rates, with an image of this size. */
export interface Cell {
  readonly hosts: number
  readonly seeds: number
  /** Of each device, in both directions. */
  readonly rateKbit: number
  /** Of each seed, in both directions. */
  readonly seedRateKbit: number
  readonly imageBytes: number
  readonly runs: number
}

const DEFAULT_RATE = '20mbit'
const RIVALS = ['aria2', 'curl'] as const
export type Rival = (typeof RIVALS)[number]

export interface Plan {
  readonly what: 'cell' | 'table' | 'seeds-scale' | 'thin'
  readonly cell: Cell
  /** Of the cells of `--thin` those with this rate, of `--seeds-scale` that with so many seeds. */
  readonly only: { readonly rateKbit: number | undefined; readonly seeds: number | undefined }
  readonly rivals: readonly Rival[]
  readonly json: boolean
}

export const USAGE = `usage: npm run bench:swarm -- [options]
  --hosts N          devices (10)
  --seeds N          seeds (1)
  --rate RATE        of each device in both directions, such as 20mbit or 512kbit (20mbit)
  --seed-rate RATE   of each seed in both directions (as --rate)
  --mib N            image of random bytes (16)
  --runs N           medians over so many releases (1)
  --no-rivals        without aria2 and curl
  --json             one JSON object as the last line
instead of one cell:
  --table            1, 2, 5, 10 and 20 hosts, and a seed of 100 Mbit/s
  --seeds-scale      1, 2, 4 and 8 seeds of 20 Mbit/s, one device of 200 Mbit/s; with --seeds one row
  --thin             64, 128 and 512 kbit/s, with loss, with a black-out; with --rate those of one rate
IOEX_SHAPE=small makes it 3 hosts and 2 MiB without rivals.`

/** Throws RangeError and what `parseArgs` throws. */
export function readPlan(args: readonly string[], shape: string | undefined): Plan {
  const small = shape === 'small'
  const { values } = parseArgs({
    args: [...args],
    options: {
      hosts: { type: 'string', default: small ? '3' : '10' },
      seeds: { type: 'string' },
      rate: { type: 'string' },
      'seed-rate': { type: 'string' },
      mib: { type: 'string' },
      runs: { type: 'string', default: '1' },
      rivals: { type: 'boolean', default: !small },
      json: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      'seeds-scale': { type: 'boolean', default: false },
      thin: { type: 'boolean', default: false },
    },
    allowNegative: true,
  })
  const asked = (['table', 'seeds-scale', 'thin'] as const).filter((name) => values[name])
  if (asked.length > 1) throw new RangeError(`one of ${asked.join(', ')} at a time`)
  const what = asked[0] ?? 'cell'
  const seeds = whole('seeds', values.seeds ?? '1', 1, 20)
  const hosts = whole('hosts', values.hosts, 1, 100)
  const rateKbit = rate('rate', values.rate ?? DEFAULT_RATE)
  return {
    what,
    cell: {
      hosts,
      seeds,
      rateKbit,
      seedRateKbit: rate('seed-rate', values['seed-rate'] ?? values.rate ?? DEFAULT_RATE),
      imageBytes: whole('mib', values.mib ?? defaultMib(what, small), 1, 1024) * MIB,
      runs: whole('runs', values.runs, 1, 100),
    },
    only: {
      rateKbit: values.rate === undefined ? undefined : rateKbit,
      seeds: values.seeds === undefined ? undefined : seeds,
    },
    rivals: values.rivals && (what === 'cell' || what === 'table') ? RIVALS : [],
    json: values.json,
  }
}

function defaultMib(what: Plan['what'], small: boolean): string {
  if (what === 'thin') return '1'
  // Long enough that a rate can be told from the way up to it.
  if (what === 'seeds-scale') return '64'
  return small ? '2' : '16'
}

function whole(name: string, text: string, lowest: number, highest: number): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= lowest && number <= highest) return number
  throw new RangeError(`--${name} ${text}: a whole number from ${lowest} to ${highest}`)
}

function rate(name: string, text: string): number {
  const parts = /^(\d+(?:\.\d+)?)(kbit|mbit)$/.exec(text)
  if (parts === null) throw new RangeError(`--${name} ${text}: write it as 20mbit or 512kbit`)
  return Number(parts[1]) * (parts[2] === 'mbit' ? 1_000 : 1)
}
