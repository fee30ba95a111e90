/** The rows for people. */
import { MIB } from '@ioex/node/base'
import { figuresOf, over, verdictsOf } from './goals.ts'
import type { Figures, PairReport, Row } from './types.ts'

/** Bytes on the wire are told in millions, as line rates are. */
const MB = 1_000_000
const HEAD = [
  '',
  'MB fetched',
  'x zstd -19',
  'x zchunk',
  'x zstd patch',
  'x bsdiff',
  'publish CPU s',
  'peak MiB',
  'apply CPU s',
  'x zstd -d',
  'peak MiB',
  'above idle',
]
const CACHED = '*'

export function tableOf(report: PairReport): string {
  const { pair, rows } = report
  const cells = rows.map((row) =>
    'figures' in row ? cellsOf(row.name, row.figures, rows) : [row.name],
  )
  const widths = HEAD.map((title, column) =>
    Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)),
  )
  const aligned = (line: readonly string[]) =>
    line
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return column === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
  const lines = rows.map((row, index) =>
    'figures' in row
      ? aligned(cells[index] ?? [])
      : `${row.name.padEnd(widths[0] ?? 0)}  ${row.missing === true ? 'MISSING' : 'FAILED'}: ${row.error}`,
  )
  return [
    `${pair.name}: ${pair.what}`,
    `${mb(pair.old.bytes)} MB to ${mb(pair.new.bytes)} MB; sha-256 ${pair.old.sha256.slice(0, 12)} to ${pair.new.sha256.slice(0, 12)}`,
    '',
    aligned(HEAD),
    ...lines,
    '',
    ...rows.flatMap(partsOf),
    ...verdictsOf(report).map(
      ({ goal, value, limit, isMet }) =>
        `${isMet ? 'reached    ' : 'NOT REACHED'} ${goal}: ${value} of at most ${limit}`,
    ),
  ].join('\n')
}

function cellsOf(name: string, figures: Figures, rows: readonly Row[]): readonly string[] {
  const { fetchedBytes, publish, apply, applyGrowthBytes, isPublishCached } = figures
  const bytesOver = (other: Row['name']) =>
    ratio(over(fetchedBytes, figuresOf(rows, other)?.fetchedBytes))
  return [
    name,
    mb(fetchedBytes),
    bytesOver('zstd-full'),
    bytesOver('zchunk'),
    bytesOver('zstd-patch'),
    bytesOver('bsdiff'),
    `${publish.cpuSeconds.toFixed(2)}${isPublishCached ? CACHED : ''}`,
    (publish.peakRssBytes / MIB).toFixed(0),
    apply.cpuSeconds.toFixed(2),
    ratio(over(apply.cpuSeconds, figuresOf(rows, 'zstd-full')?.apply.cpuSeconds)),
    (apply.peakRssBytes / MIB).toFixed(0),
    applyGrowthBytes === undefined ? '' : (applyGrowthBytes / MIB).toFixed(0),
  ]
}

function partsOf(row: Row): readonly string[] {
  if (!('figures' in row) || row.figures.parts === undefined) return []
  const parts = Object.entries(row.figures.parts).map(([name, bytes]) => `${name} ${bytes}`)
  return [`${row.name} fetches, in bytes: ${parts.join(', ')}`]
}

function mb(bytes: number): string {
  return (bytes / MB).toFixed(3)
}

function ratio(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(2)
}
