import type { Cell } from './plan.ts'

/**
 * No protocol is faster, headers counted as nothing: the seeds have to send each byte once, each host has to
 * receive all of them, and all uploads together have to carry every copy.
 */
export function fluidLimitSeconds({
  hosts,
  seeds,
  rateKbit,
  seedRateKbit,
  imageBytes,
}: Omit<Cell, 'runs'>): number {
  const kbit = (imageBytes * 8) / 1000
  const seedsKbit = seeds * seedRateKbit
  return Math.max(
    kbit / seedsKbit,
    kbit / rateKbit,
    (hosts * kbit) / (seedsKbit + hosts * rateKbit),
  )
}

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
  const high = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  return (low + high) / 2
}
