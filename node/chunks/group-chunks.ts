import { PATCH_EXTENT_BYTES, PATCH_PLAIN_BYTES } from './limits.ts'
import { windowStart } from './patch.ts'
import { expectedOffsets, type PlacedChunk } from './place-windows.ts'

/** Changed chunks of a new image, one behind the other, that one window of the earlier image serves. */
export interface ChunkGroup {
  /** The first of them, in file order, from 0. */
  readonly chunk: number
  readonly chunks: number
  /** Where the first begins in the new image, and how long they are together. */
  readonly offset: number
  readonly plainBytes: number
  readonly windowAt: number
}

interface Growing {
  readonly chunk: number
  chunks: number
  readonly offset: number
  plainBytes: number
  /** Where they should lie in the earlier image. */
  readonly from: number
  to: number
}

/**
 * The chunks that `base` lacks, in groups of up to PATCH_PLAIN_BYTES. Who has the base needs all of a group or, once
 * a part is written, the rest of it: nobody fetches more by it, and all share one set of tables and one window.
 */
export function groupsOf(
  base: readonly PlacedChunk[],
  next: readonly PlacedChunk[],
  baseBytes: number,
): readonly ChunkGroup[] {
  const groups: Growing[] = []
  let group: Growing | undefined
  for (const [chunk, expected] of expectedOffsets(base, next).entries()) {
    const { offset = 0, plainBytes = 0 } = next[chunk] ?? {}
    if (expected === undefined) {
      group = undefined
      continue
    }
    const to = expected + plainBytes
    if (group === undefined || !fits(group, plainBytes, to)) {
      group = { chunk, chunks: 0, offset, plainBytes: 0, from: expected, to }
      groups.push(group)
    }
    group.chunks++
    group.plainBytes += plainBytes
    group.to = to
  }
  return groups.map(({ from, to, ...group }) => ({
    ...group,
    windowAt: windowStart(from, to - from, baseBytes),
  }))
}

/** Content that has moved apart, or past what stood before it, is not in one window. */
function fits(group: Growing, plainBytes: number, to: number): boolean {
  const extent = to - group.from
  return (
    group.plainBytes + plainBytes <= PATCH_PLAIN_BYTES && extent > 0 && extent <= PATCH_EXTENT_BYTES
  )
}
