import { parseArgs } from 'node:util'
import { PAIR_NAMES, type PairName, ROW_NAMES, type RowName } from './types.ts'

export interface BenchOptions {
  readonly pairs: readonly MadePairName[]
  /** In the place of the pairs. */
  readonly files: { readonly old: string; readonly new: string } | undefined
  readonly only: readonly RowName[]
  /** How often each image is applied; the median by CPU is shown. */
  readonly runs: number
  readonly timeoutMs: number
  /** Publish with the rivals again, whatever is kept. */
  readonly isFresh: boolean
  /** A last line for programs. */
  readonly json: boolean
}

type MadePairName = Exclude<PairName, 'files'>

const FULL = {
  pairs: ['hotfix-tar', 'update-tar', 'update-ext4', 'kernel-tar', 'app-bin', 'update-squashfs'],
  runs: 3,
} as const
/** Done within a minute, after the packages are there. */
const SMALL = { pairs: ['small-tar'], runs: 1 } as const
const MAX_RUNS = 100
/** The slowest publishers take two to three minutes here. */
const TIMEOUT_S = 900
const MAX_TIMEOUT_S = 86_400

const MADE_PAIRS = PAIR_NAMES.filter((name) => name !== 'files')

export const USAGE = `usage: npm run bench:ota -- delta [options]

  --pairs A[,B]   of ${MADE_PAIRS.join(', ')}
                  (default: all but the small one)
  --old FILE --new FILE
                  two images of your own instead
  --only A[,B]    of ${ROW_NAMES.join(', ')}
  --runs N        how often each update is applied (default ${FULL.runs}); the median by CPU is shown
  --timeout S     seconds for one program (default ${TIMEOUT_S})
  --fresh         publish with all of them again; else what the others have published is kept
                  in ~/.cache/ioex/delta, with what it took
  --json          one JSON line last
  IOEX_SHAPE=small means --pairs ${SMALL.pairs.join()} --runs ${SMALL.runs}

example: npm run bench:ota -- delta --pairs kernel-tar --only ours-chunks,zchunk`

/** Undefined: help was asked for. Throws an Error that says what was wrong. */
export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string' },
      old: { type: 'string' },
      new: { type: 'string' },
      only: { type: 'string' },
      runs: { type: 'string' },
      timeout: { type: 'string' },
      fresh: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const shape = environment['IOEX_SHAPE'] === 'small' ? SMALL : FULL
  if ((values.old === undefined) !== (values.new === undefined)) {
    throw new Error('--old and --new go together')
  }
  return {
    pairs: listed('--pairs', values.pairs, MADE_PAIRS) ?? shape.pairs,
    files:
      values.old === undefined || values.new === undefined
        ? undefined
        : { old: values.old, new: values.new },
    only: listed('--only', values.only, ROW_NAMES) ?? ROW_NAMES,
    runs: wholeNumber('--runs', values.runs, shape.runs, MAX_RUNS),
    timeoutMs: wholeNumber('--timeout', values.timeout, TIMEOUT_S, MAX_TIMEOUT_S) * 1_000,
    isFresh: values.fresh,
    json: values.json,
  }
}

function listed<Name extends string>(
  option: string,
  text: string | undefined,
  known: readonly Name[],
): readonly Name[] | undefined {
  return text?.split(',').map((given) => {
    const name = known.find((one) => one === given)
    if (name === undefined) throw new Error(`${option} knows ${known.join(', ')}, not "${given}"`)
    return name
  })
}

function wholeNumber(name: string, text: string | undefined, standard: number, most: number) {
  if (text === undefined) return standard
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new Error(`${name} takes a whole number from 1 to ${most}, not "${text}"`)
}
