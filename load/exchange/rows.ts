/** From runs to rows. */
import { GIB, MIB } from '@ioex/node/base'
import type { Competitor, Row, RowName, RunFigures, SideFigures, SideUsage } from './types.ts'

export function rowOf(
  name: RowName,
  plainBytes: number,
  competitor: Omit<Competitor, 'run'>,
  runs: readonly RunFigures[],
  failedRuns: readonly string[],
): Row {
  const [firstFailure] = failedRuns
  if (firstFailure !== undefined && failedRuns.length >= runs.length) {
    return emptyRow(name, `${failedRuns.length} runs failed: ${firstFailure}`, false)
  }
  const perSecond = runs.map(({ seconds }) => plainBytes / MIB / seconds)
  const side = (pick: (run: RunFigures) => SideUsage): SideFigures => ({
    cpuSecondsPerGiB: rounded(
      median(runs.map((run) => pick(run).cpuSeconds / (plainBytes / GIB))),
      2,
    ),
    peakRssMiB: rounded(median(runs.map((run) => pick(run).peakRssBytes / MIB)), 1),
  })
  const sender = side((run) => run.sender)
  const receiver = side((run) => run.receiver)
  const { version, durability, note } = competitor
  return {
    name,
    mibPerSecond: rounded(median([...perSecond, ...failedRuns.map(() => 0)]), 1),
    cpuSecondsPerGiB: rounded(sender.cpuSecondsPerGiB + receiver.cpuSecondsPerGiB, 2),
    peakRssMiB: Math.max(sender.peakRssMiB, receiver.peakRssMiB),
    sender,
    receiver,
    runsMibPerSecond: perSecond.map((value) => rounded(value, 1)),
    ...(failedRuns.length === 0 ? {} : { failedRuns }),
    version,
    durability,
    note,
  }
}

/** A row without figures, and why: a competitor is named even when there is nothing to say of it. */
export function emptyRow(name: RowName, error: string, isMissing: boolean): Row {
  return {
    name,
    mibPerSecond: null,
    cpuSecondsPerGiB: null,
    peakRssMiB: null,
    runsMibPerSecond: [],
    error,
    ...(isMissing ? { missing: true } : {}),
  }
}

/** Of an even number the mean of the two in the middle. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN
  return (lower + upper) / 2
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
