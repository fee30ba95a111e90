/** What is to be reached, and whether it was. */
import { MIB } from '@ioex/node/base'
import type { Figures, Pair, PairReport, Row, RowName } from './types.ts'

export interface Verdict {
  readonly goal: string
  readonly value: number
  readonly limit: number
  readonly isMet: boolean
}

const CHUNKS_OVER_ZCHUNK = 1
const PATCHES_OVER_ZSTD_PATCH = 1
const PATCHES_OVER_BSDIFF = 1.5
const CPU_OVER_ZSTD = 3
const GROWTH_MIB = 64
/** Times are told in hundredths of a second: of less than this a ratio says nothing. */
const LEAST_CPU_SECONDS = 0.1

/** Goals whose figures are there; both sides of a ratio are of this run. */
export function verdictsOf({ pair, rows }: PairReport): readonly Verdict[] {
  const figures = (name: RowName) => figuresOf(rows, name)
  const chunks = figures('ours-chunks')
  const patches = figures('ours-patches')
  const bytes = (own: Figures | undefined, other: RowName) =>
    over(own?.fetchedBytes, figures(other)?.fetchedBytes)
  const verdicts = [
    verdict('chunks alone over zchunk', bytes(chunks, 'zchunk'), CHUNKS_OVER_ZCHUNK),
    pair.isCompressed
      ? undefined
      : verdict('patches over zstd patch', bytes(patches, 'zstd-patch'), PATCHES_OVER_ZSTD_PATCH),
    isLargeChange(pair)
      ? verdict('patches over bsdiff', bytes(patches, 'bsdiff'), PATCHES_OVER_BSDIFF)
      : undefined,
  ]
  const zstd = figures('zstd-full')?.apply.cpuSeconds ?? 0
  for (const [name, own] of Object.entries({ chunks, patches })) {
    const ratio = zstd < LEAST_CPU_SECONDS ? undefined : over(own?.apply.cpuSeconds, zstd)
    const growth = own?.applyGrowthBytes
    verdicts.push(
      verdict(`CPU of applying ${name} over zstd -d`, ratio, CPU_OVER_ZSTD),
      verdict(
        `MiB above the idle agent, applying ${name}`,
        growth === undefined ? undefined : growth / MIB,
        GROWTH_MIB,
      ),
    )
  }
  return verdicts.filter((one) => one !== undefined)
}

export function figuresOf(rows: readonly Row[], name: RowName): Figures | undefined {
  const row = rows.find((one) => one.name === name)
  return row !== undefined && 'figures' in row ? row.figures : undefined
}

export function over(own: number | undefined, other: number | undefined): number | undefined {
  return own === undefined || other === undefined ? undefined : own / other
}

/** Where much has changed, what a recipe takes beside the patches is small. */
function isLargeChange({ name }: Pair): boolean {
  return name.startsWith('update-') || name === 'kernel-tar' || name === 'app-bin'
}

function verdict(goal: string, value: number | undefined, limit: number): Verdict | undefined {
  if (value === undefined) return undefined
  return { goal, value: Number(value.toFixed(3)), limit, isMet: value <= limit }
}
