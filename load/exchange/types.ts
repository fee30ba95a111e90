/** What the parts of the bench hand to one another. */

export const ROW_NAMES = [
  'ours-libp2p',
  'ours-http',
  'helia-bitswap',
  'kubo-bitswap',
  'kubo-bitswap-1mib',
  'kubo-bitswap-pin',
  'kubo-bitswap-1mib-pin',
  'nginx-curl',
] as const
export type RowName = (typeof ROW_NAMES)[number]

/** One side of one run: CPU between "connected, ready" and "done", memory of the process since its start. */
export interface SideUsage {
  readonly cpuSeconds: number
  readonly peakRssBytes: number
}

export interface RunFigures {
  /** From "connected, ready" to "everything verified and durable". */
  readonly seconds: number
  readonly sender: SideUsage
  readonly receiver: SideUsage
}

export interface Competitor {
  /** When its bytes are on the disk; stands below the table. */
  readonly durability: string
  /** What was measured besides, such as the way of fetching. */
  readonly note: string
  readonly version: string
  /** One transfer of the whole content between two fresh processes, into an empty store. */
  run(): Promise<RunFigures>
}

export interface Row {
  readonly name: RowName
  readonly mibPerSecond: number | null
  /** Both sides together. */
  readonly cpuSecondsPerGiB: number | null
  /** The larger of both sides. */
  readonly peakRssMiB: number | null
  readonly sender?: SideFigures
  readonly receiver?: SideFigures
  readonly runsMibPerSecond: readonly number[]
  /** Runs that were not done, or whose checks failed; each counts as speed 0 in the median. */
  readonly failedRuns?: readonly string[]
  readonly version?: string
  readonly durability?: string
  readonly note?: string
  /** Why there are no figures; a row that has one counts as failed unless it is `missing`. */
  readonly error?: string
  readonly missing?: true
}

export interface SideFigures {
  readonly cpuSecondsPerGiB: number
  readonly peakRssMiB: number
}
