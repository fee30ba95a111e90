import { type CellOptions, type CellResult, runCell } from './cell.ts'
import type { Lab } from './lab.ts'
import type { Cell } from './plan.ts'

const KBIT_PER_MBIT = 1_000
/** Two cores carry twenty hosts at half the rate; at the full one the processor is what would be measured. */
const SIZES = [
  { hosts: 1, mbit: 20 },
  { hosts: 2, mbit: 20 },
  { hosts: 5, mbit: 20 },
  { hosts: 10, mbit: 20 },
  { hosts: 20, mbit: 10 },
]
const FAST_SEED_MBIT = 100

/** One seed and a growing crowd, then a seed that could serve half of them alone. */
export async function runTable(
  lab: Lab,
  cell: Cell,
  options: CellOptions,
): Promise<readonly CellResult[]> {
  const crowds = SIZES.map(({ hosts, mbit }): Cell => {
    const rateKbit = mbit * KBIT_PER_MBIT
    return { ...cell, hosts, seeds: 1, rateKbit, seedRateKbit: rateKbit }
  })
  const fast: Cell = {
    ...cell,
    hosts: 10,
    seeds: 1,
    rateKbit: 20 * KBIT_PER_MBIT,
    seedRateKbit: FAST_SEED_MBIT * KBIT_PER_MBIT,
  }
  const results: CellResult[] = []
  for (const each of [...crowds, fast]) results.push(await runCell(lab, each, options))
  return results
}
