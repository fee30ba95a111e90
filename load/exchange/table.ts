/** The rows for people. */
import type { Row } from './types.ts'

const HEAD = [
  '',
  'MiB/s',
  'lowest-highest',
  'x kubo',
  'x kubo 1 MiB',
  'CPU s/GiB',
  '(sender + receiver)',
  'peak RSS MiB',
  '(sender, receiver)',
]

export function tableOf(rows: readonly Row[]): string {
  const speedOf = (name: string) => rows.find((row) => row.name === name)?.mibPerSecond ?? null
  const kubo = speedOf('kubo-bitswap')
  const kuboBest = speedOf('kubo-bitswap-1mib')
  const cells = rows.map((row) => {
    const { mibPerSecond, sender, receiver, runsMibPerSecond: runs } = row
    if (mibPerSecond === null || sender === undefined || receiver === undefined) return [row.name]
    return [
      row.name,
      mibPerSecond.toFixed(1),
      `${Math.min(...runs).toFixed(0)}-${Math.max(...runs).toFixed(0)}`,
      ratio(mibPerSecond, kubo),
      ratio(mibPerSecond, kuboBest),
      row.cpuSecondsPerGiB?.toFixed(2) ?? '',
      `${sender.cpuSecondsPerGiB.toFixed(2)} + ${receiver.cpuSecondsPerGiB.toFixed(2)}`,
      row.peakRssMiB?.toFixed(0) ?? '',
      `${sender.peakRssMiB.toFixed(0)}, ${receiver.peakRssMiB.toFixed(0)}`,
    ]
  })
  const widths = HEAD.map((title, column) =>
    Math.max(
      title.length,
      ...cells.map((line) => (line.length > 1 ? (line[column] ?? '') : (line[0] ?? '')).length),
    ),
  )
  const aligned = (line: readonly string[]) =>
    line
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
  const table = [
    aligned(HEAD),
    ...rows.map((row, index) =>
      row.error === undefined
        ? aligned(cells[index] ?? [])
        : `${row.name.padEnd(widths[0] ?? 0)}  ${row.missing === true ? 'MISSING' : 'FAILED'}: ${row.error}`,
    ),
  ]
  const notes = rows
    .filter(({ error }) => error === undefined)
    .map(({ name, version, note, durability, failedRuns = [] }) =>
      [
        `${name}: ${version ?? ''}`,
        ...failedRuns.map((why) => `    A RUN FAILED, counted as 0 MiB/s: ${why}`),
        `    ${note ?? ''}`,
        `    durable: ${durability ?? ''}`,
      ].join('\n'),
    )
  return [...table, '', ...notes].join('\n')
}

function ratio(speed: number, other: number | null): string {
  return other === null ? '-' : (speed / other).toFixed(2)
}
