/** The ways that others go from one image to the next, each as its own documentation says. */
import { casync } from './casync.ts'
import type { Rival, RowName } from './types.ts'
import { bsdiff, xdelta3, zstdFull, zstdPatch } from './whole-file.ts'
import { zchunk } from './zchunk.ts'

export const RIVALS: Readonly<Record<Exclude<RowName, `ours-${string}`>, Rival>> = {
  'zstd-full': zstdFull,
  casync,
  zchunk,
  xdelta3,
  'zstd-patch': zstdPatch,
  bsdiff,
}
