import type { DeltaTarget } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { z } from 'zod'
import type { ReleaseRow } from './tables.ts'

const StoredDelta = z.object({
  baseRoot: z.string(),
  deltaRoot: z.string(),
  /** What a device with the base is expected to fetch. */
  bytes: z.int(),
  /** What a seed keeps. */
  pinBytes: z.int(),
})
export type StoredDelta = z.infer<typeof StoredDelta>

/** The patches that lead to a release. */
export function deltasOf(release: Pick<ReleaseRow, 'deltas'>): readonly StoredDelta[] {
  return z.array(StoredDelta).parse(JSON.parse(release.deltas))
}

export function deltaTargets(release: Pick<ReleaseRow, 'deltas'>): readonly DeltaTarget[] {
  return deltasOf(release).map(({ baseRoot, deltaRoot, bytes }) => ({
    baseRoot: CID.parse(baseRoot),
    deltaRoot: CID.parse(deltaRoot),
    bytes,
  }))
}
