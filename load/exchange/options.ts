import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { ROW_NAMES, type RowName } from './types.ts'

/** `cat` reads in order, as most programs do; on blocks that Kubo has cut itself. */

export interface BenchOptions {
  readonly mib: number
  readonly runs: number
  readonly only: readonly RowName[]
  /** A last line for programs. */
  readonly json: boolean
  /** On the disk that is to be measured; a folder of the bench's own is made in it. */
  readonly dir: string
  /** Build Kubo when it is not there. */
  readonly mayBuild: boolean
  /** Keep profiles of our processes there. */
  readonly cpuProfDir: string | undefined
}

const FULL = { mib: 256, runs: 5 }
/** Done within two minutes, so Kubo is not built for it. */
const SMALL = { mib: 32, runs: 1 }
/** The content exists seven times on the disk; more than this is no bench but a fill of the disk. */
const MAX_MIB = 8_192
const MAX_RUNS = 100

export const USAGE = `usage: npm run bench:exchange -- [options]

  --mib N         content per run in MiB (default ${FULL.mib})
  --runs N        runs per competitor, interleaved (default ${FULL.runs}); the medians are shown
  --only A[,B]    of ${ROW_NAMES.join(', ')}
  --json          one JSON line last
  --dir FOLDER    where stores are made (default: the folder for temporary files)
  --build         build Kubo now if it is not there, also for a small run
  --cpu-prof DIR  write CPU profiles of our processes there and show where their time goes
  IOEX_SHAPE=small means --mib ${SMALL.mib} --runs ${SMALL.runs}

example: npm run bench:exchange -- --mib 64 --runs 3 --only ours-libp2p,nginx-curl`

/** Undefined: help was asked for. Throws an Error that says what was wrong. */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mib: { type: 'string' },
      runs: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      dir: { type: 'string' },
      build: { type: 'boolean', default: false },
      'cpu-prof': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const shape = environment.IOEX_SHAPE === 'small' ? SMALL : FULL
  const mib = wholeNumber('--mib', values.mib, shape.mib, MAX_MIB)
  const runs = wholeNumber('--runs', values.runs, shape.runs, MAX_RUNS)
  return {
    mib,
    runs,
    only: values.only === undefined ? ROW_NAMES : values.only.split(',').map(rowName),
    json: values.json,
    dir: values.dir ?? tmpdir(),
    mayBuild: values.build || mib > SMALL.mib || runs > SMALL.runs,
    cpuProfDir: values['cpu-prof'],
  }
}

function wholeNumber(name: string, text: string | undefined, standard: number, most: number) {
  if (text === undefined) return standard
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new Error(`${name} takes a whole number from 1 to ${most}, not "${text}"`)
}

function rowName(text: string): RowName {
  const known = ROW_NAMES.find((name) => name === text)
  if (known === undefined) throw new Error(`--only knows ${ROW_NAMES.join(', ')}, not "${text}"`)
  return known
}
