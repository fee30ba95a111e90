/** The ways that others go from one image to the next, each as its own documentation says. */
import { casync } from './casync.ts'
import type { Cost, Pair, RowName } from './types.ts'
import { bsdiff, xdelta3, zstdFull, zstdPatch } from './whole-file.ts'
import { zchunk } from './zchunk.ts'

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

export const RIVALS: Readonly<Record<Exclude<RowName, `ours-${string}`>, Rival>> = {
  'zstd-full': zstdFull,
  casync,
  zchunk,
  xdelta3,
  'zstd-patch': zstdPatch,
  bsdiff,
}
