import type { ChunkProfile } from '@ioex/node/chunks'

/** Two versions of one image. */
export interface Pair {
  readonly name: PairName
  /** For people: what it is and what changed. */
  readonly what: string
  readonly old: ImageFile
  readonly new: ImageFile
  readonly profile: ChunkProfile
  /** Images whose content is compressed already have a floor that no delta coder gets below. */
  readonly isCompressed: boolean
}

export interface ImageFile {
  readonly path: string
  readonly bytes: number
  /** Hex. */
  readonly sha256: string
}

export const PAIR_NAMES = [
  'hotfix-tar',
  'update-tar',
  'update-ext4',
  'kernel-tar',
  'app-bin',
  'update-squashfs',
  'small-tar',
  'files',
] as const
export type PairName = (typeof PAIR_NAMES)[number]

export const ROW_NAMES = [
  'ours-chunks',
  'ours-patches',
  'zstd-full',
  'casync',
  'zchunk',
  'xdelta3',
  'zstd-patch',
  'bsdiff',
] as const
export type RowName = (typeof ROW_NAMES)[number]

/** CPU of user and system, peak of the resident set. */
export interface Cost {
  readonly cpuSeconds: number
  readonly peakRssBytes: number
}

/** What was measured of one way to bring a device from the old image to the new one. */
export interface Figures {
  /** All that a device with the old image has to fetch. */
  readonly fetchedBytes: number
  readonly publish: Cost
  /** Median of the runs by CPU. */
  readonly apply: Cost
  /** Of `peakRssBytes`: above what the idle agent had. Ours only; the others start as processes of their own. */
  readonly applyGrowthBytes?: number
  /** What `fetchedBytes` consists of. */
  readonly parts?: Readonly<Record<string, number>>
  /** The publisher's part is from an earlier run of the same tool over the same images. */
  readonly isPublishCached: boolean
}

export type Row =
  | { readonly name: RowName; readonly figures: Figures }
  | { readonly name: RowName; readonly error: string; readonly missing?: true }

export interface PairReport {
  readonly pair: Pair
  readonly rows: readonly Row[]
}

export interface RivalJob {
  readonly pair: Pair
  /** What was published; kept between runs. Working folder of all programs. */
  readonly published: string
  /** Runs a program in `published` and tells what it took. */
  readonly run: (program: string, ...args: readonly string[]) => Promise<Cost>
}

export interface Rival {
  /** Programs, and the Debian package that has them. */
  readonly programs: readonly string[]
  readonly debianPackage: string
  publish(job: RivalJob): Promise<Cost>
  /** Makes the new image at `output` from the old one and what was published; tells what had to be fetched. */
  apply(job: RivalJob, output: string): Promise<Cost & { readonly fetchedBytes: number }>
}
