import type { CellResult } from './cell.ts'
import { MIB } from './plan.ts'
import type { ScaleRow } from './seeds-scale.ts'
import type { ThinResult } from './thin.ts'
import type { Moment } from './timeline.ts'

function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    cells.map((cell, at) => cell.padStart(widths[at] ?? 0)).join('  ')
  return [line(head), ...rows.map(line)].join('\n')
}

export function formatCells(results: readonly CellResult[]): string {
  const head = ['hosts', 'Mbit/s', 'seeds', 'MiB', 'who', 'median s', 'last s', 'x limit', 'egress']
  const rows = results.flatMap((result) => {
    const { cell, limitSeconds } = result
    const { hosts, rateKbit, seeds, seedRateKbit, imageBytes } = cell
    const where = [
      String(hosts),
      String(rateKbit / 1000),
      `${seeds} x ${seedRateKbit / 1000}`,
      String(imageBytes / MIB),
    ]
    const row = (who: string, middle: number, last: number, egress: string) => [
      ...where,
      who,
      middle.toFixed(2),
      last.toFixed(2),
      `${(middle / limitSeconds).toFixed(2)} / ${(last / limitSeconds).toFixed(2)}`,
      egress,
    ]
    const { ours, aria2, curl } = result
    return [
      row('fluid limit', limitSeconds, limitSeconds, ''),
      row('ours', ours.medianSeconds, ours.lastSeconds, ours.seedEgressImages.toFixed(2)),
      row('ours, staged', ours.stagedMedianSeconds, ours.stagedLastSeconds, ''),
      ...(aria2 === undefined
        ? []
        : [
            row('aria2', aria2.medianSeconds, aria2.lastSeconds, aria2.seedEgressImages.toFixed(2)),
          ]),
      ...(curl === undefined ? [] : [row('curl', curl.medianSeconds, curl.lastSeconds, '')]),
    ]
  })
  return formatTable(head, rows)
}

export function formatScale(rows: readonly ScaleRow[]): string {
  return formatTable(
    ['seeds', 'payload Mbit/s', 'since announced', 'sockets / payload', 'interface / payload'],
    rows.map((row) => [
      String(row.seeds),
      row.payloadMbit.toFixed(1),
      row.sinceAnnouncedMbit.toFixed(1),
      row.socketShare.toFixed(3),
      row.interfaceShare.toFixed(3),
    ]),
  )
}

export function formatThin({ rows, congestionControl }: ThinResult): string {
  const table = formatTable(
    ['kbit/s', 'trouble', 'seconds', '% of line', '% since announced', 'sockets / payload'],
    rows.map((row) => [
      String(row.kbit),
      row.trouble,
      row.seconds.toFixed(1),
      row.percentOfLine.toFixed(1),
      row.sinceAnnouncedPercent.toFixed(1),
      row.socketShare.toFixed(3),
    ]),
  )
  return `${table}\ncongestion control: ${congestionControl}`
}

export function formatTimeline(moments: readonly Moment[]): string {
  return moments.map(({ ms, what }) => `${String(ms).padStart(7)} ms  ${what}`).join('\n')
}

export function cellJson({ cell, limitSeconds, ours, aria2, curl }: CellResult) {
  const { seedEgressImages, ...times } = ours
  return {
    hosts: cell.hosts,
    seeds: cell.seeds,
    rateMbit: cell.rateKbit / 1000,
    seedRateMbit: cell.seedRateKbit / 1000,
    mib: cell.imageBytes / MIB,
    runs: cell.runs,
    limitSeconds,
    ours: times,
    ...(aria2 === undefined ? {} : { aria2 }),
    ...(curl === undefined ? {} : { curl }),
    seedEgressImages,
  }
}
