import type { FaultResult } from './faults.ts'
import type { KillResult } from './kills.ts'
import { LOSSES } from '@ioex/node/testing/power-cut'
import { STEPS } from './plan.ts'
import { HARMS, type Harm } from './verdict.ts'

type Row = readonly (string | number)[]

function format(head: Row, rows: readonly Row[]): string {
  const all = [head, ...rows].map((row) => row.map(String))
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => pad(cell, widths[column] ?? 0, column))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const pad = (cell: string, width: number, column: number) =>
  column === 0 ? cell.padEnd(width) : cell.padStart(width)

const harmed = (results: readonly { readonly findings: FaultResult['findings'] }[], harm: Harm) =>
  results.filter(({ findings }) => findings.some((finding) => finding.harm === harm)).length

const KIB = 1_024
const most = (numbers: readonly number[]) =>
  numbers.reduce((max, number) => Math.max(max, number), 0)

/** A row for each step in which the first cut of a fault fell. */
export function formatFaults(results: readonly FaultResult[]): string {
  const rows = STEPS.map((step): Row => {
    const own = results.filter(({ fault }) => fault.cuts[0]?.step === step)
    return rowOf(step, own)
  })
  const head = [
    'step of the first cut',
    'faults',
    'cuts',
    ...LOSSES,
    'old boots',
    'new boots',
    'first install',
    ...HARMS,
    'again KiB/cut',
    'at most',
    'told again',
  ]
  return format(head, [...rows, rowOf('all', results)])
}

function rowOf(name: string, results: readonly FaultResult[]): Row {
  const cuts = results.flatMap(({ cutIn }) => cutIn)
  const boots = (what: FaultResult['bootedAfter']) =>
    results.filter(({ bootedAfter }) => bootedAfter === what).length
  const again = results.map(({ bytesAgain }) => bytesAgain / KIB)
  return [
    name,
    results.length,
    cuts.length,
    ...LOSSES.map((loss) => cuts.filter((cut) => cut.loss === loss).length),
    boots('old'),
    boots('new'),
    boots('nothing yet'),
    ...HARMS.map((harm) => harmed(results, harm)),
    (again.reduce((sum, kib) => sum + kib, 0) / Math.max(1, cuts.length)).toFixed(1),
    most(again).toFixed(0),
    results.reduce((sum, { toldAgain }) => sum + toldAgain, 0),
  ]
}

export function formatKills(results: readonly KillResult[]): string {
  const rows = results.map(
    ({ update, kills, findings, lostBlocks, servedAgain, toldAgain, at }): Row => [
      `update ${update}`,
      kills,
      lostBlocks,
      (servedAgain / KIB).toFixed(0),
      toldAgain,
      findings.length,
      at.join(', '),
    ],
  )
  const head = [
    'killed with SIGKILL',
    'kills',
    'blocks again',
    'KiB again',
    'told again',
    'harms',
    'last heard before',
  ]
  return format(head, rows)
}

export function summaryOf(
  seed: string,
  faults: readonly FaultResult[],
  kills: readonly KillResult[],
) {
  const harms = Object.fromEntries(
    HARMS.map((harm) => [harm, harmed(faults, harm) + harmed(kills, harm)]),
  ) as Record<Harm, number>
  return {
    seed,
    faults: faults.length,
    cuts: faults.reduce((sum, { cutIn }) => sum + cutIn.length, 0),
    kills: kills.reduce((sum, each) => sum + each.kills, 0),
    harms,
    verifiedBlocksAgainPerCutAtMost: most(faults.map(({ lostBlocks }) => lostBlocks)),
    harmed: faults.filter(({ findings }) => findings.length > 0).map(({ fault }) => fault.number),
  }
}
