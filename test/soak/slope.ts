export interface Slope {
  /** Least squares. */
  readonly perHour: number
  /** Half of the 95 % interval, from the residuals; samples that hang together make it a little too small. */
  readonly halfWidth: number
}

/** How fast a figure grows: samples are [seconds, value]. */
export function slopeOf(samples: readonly (readonly [number, number])[]): Slope {
  const count = samples.length
  const mean = (at: 0 | 1) => samples.reduce((sum, sample) => sum + sample[at], 0) / count
  const [meanX, meanY] = [mean(0), mean(1)]
  const spread = samples.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const slope = samples.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread
  const residual = samples.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  const error = Math.sqrt(residual / (count - 2) / spread)
  return { perHour: 3600 * slope, halfWidth: 3600 * 1.96 * error }
}
