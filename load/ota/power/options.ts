import { parseArgs } from 'node:util'

export const USAGE = `usage: npm run bench:ota -- power [--seed TEXT] [--faults N] [--fault NUMBER] [--kills N] [--json]
  --seed TEXT      everything that goes wrong follows from it (default: power 1)
  --faults N       faults in this process (1000; 60 with IOEX_SHAPE=small)
  --fault NUMBER   only this one, with all that is known of it
  --kills N        processes ended with SIGKILL (50; 5 with IOEX_SHAPE=small)
  --json           the last line is one object`

export interface PowerOptions {
  readonly seed: string
  readonly faults: number
  /** Only this one. */
  readonly fault: number | undefined
  readonly kills: number
  readonly json: boolean
  readonly help: boolean
}

const SHAPES = { full: { faults: 1_000, kills: 50 }, small: { faults: 60, kills: 5 } } as const

/** Throws what is wrong with them, for a person. */
export function readOptions(args: readonly string[], shapeName: string | undefined): PowerOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: 'power 1' },
      faults: { type: 'string' },
      fault: { type: 'string' },
      kills: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const shape = shapeName === 'small' ? SHAPES.small : SHAPES.full
  const fault = values.fault === undefined ? undefined : count('--fault', values.fault)
  return {
    seed: values.seed,
    fault,
    faults: fault !== undefined ? 1 : count('--faults', values.faults ?? `${shape.faults}`),
    kills: fault !== undefined ? 0 : count('--kills', values.kills ?? `${shape.kills}`),
    json: values.json,
    help: values.help,
  }
}

function count(option: string, text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new Error(`${option} takes a whole number, not "${text}"`)
}
