import { type AbortOptions, equalBytes, free } from '../base/index.ts'
import { DELTA_MAX_PATCHES, OPEN_BUNDLES, OPEN_PATCHES } from './limits.ts'
import { applyPatch, deltaDamaged, openBundle, windowBytes } from './patch.ts'
import { openList } from './patch-list.ts'
import { sha256 } from './sealing.ts'
import type { Bundle, ChunkRef, GetBlock, Patch, TreeRef } from './types.ts'

export interface Patches {
  /** The one that makes the chunk with this number in file order. */
  find(chunk: number): Patch | undefined
  readonly size: number
  /**
   * The chunk's plaintext, compared with the recipe, in a buffer of its own; `offset` is where it begins in the new
   * image. Throws delta-damaged when the patch makes something else, and what `get` and `readBase` throw.
   */
  apply(
    patch: Patch,
    chunk: { readonly ref: ChunkRef; readonly offset: number },
    options?: AbortOptions,
  ): Promise<Uint8Array>
}

export interface PatchNeeds {
  /** Blocks of the delta. */
  readonly get: GetBlock
  /** Of the earlier image, in memory that nobody else uses: it is freed. Undefined when it is shorter than that. */
  readonly readBase: (offset: number, bytes: number) => Promise<Uint8Array | undefined>
  readonly baseBytes: number
}

/**
 * Reads the lists of a delta. Bundles are fetched when they are needed; the last OPEN_BUNDLES of them, and what the
 * last OPEN_PATCHES patches have made, are kept for the chunks that come next.
 */
export async function openPatches(
  lists: readonly TreeRef[],
  needs: PatchNeeds,
  options: AbortOptions = {},
): Promise<Patches> {
  const patches: Patch[] = []
  for (const list of lists) {
    for (const patch of openList(list, await needs.get(list.cid, options))) {
      const before = patches.at(-1)
      if (before !== undefined && patch.chunk < before.chunk + before.chunks) {
        throw deltaDamaged('two make the same chunk')
      }
      patches.push(patch)
    }
    if (patches.length > DELTA_MAX_PATCHES) throw deltaDamaged('there are too many')
  }
  const openOf = createCache(
    OPEN_BUNDLES,
    ({ cid }: Bundle) => cid.toString(),
    async (bundle, abort) => openBundle(bundle, await needs.get(bundle.cid, abort)),
  )
  const madeBy = createCache(
    OPEN_PATCHES,
    ({ chunk }: Patch) => chunk,
    async (patch, abort) => {
      const frames = await openOf(patch.bundle, abort)
      const { windowAt, frameAt, frameBytes, plainBytes } = patch
      const window = await needs.readBase(windowAt, windowBytes(windowAt, needs.baseBytes))
      if (window === undefined) throw deltaDamaged('a window lies behind the image')
      const made = applied(frames.subarray(frameAt, frameAt + frameBytes), window, plainBytes)
      free(window)
      return made
    },
  )
  return {
    find: (chunk) => patchOf(patches, chunk),
    size: patches.length,
    async apply(patch, { ref, offset }, abort = {}) {
      const made = await madeBy(patch, abort)
      const at = offset - patch.offset
      if (at < 0) throw deltaDamaged('one begins behind its chunk')
      // A copy: zlib gives a Buffer, whose slices are views, and the caller may free what he gets.
      const plain = new Uint8Array(made.subarray(at, at + ref.plainBytes))
      if (plain.byteLength === ref.plainBytes && equalBytes(sha256(plain), ref.plainHash)) {
        return plain
      }
      throw deltaDamaged(`the one from chunk ${patch.chunk} on makes other bytes`)
    },
  }
}

/** They are in the order of chunks. */
function patchOf(patches: readonly Patch[], chunk: number): Patch | undefined {
  let low = 0
  let high = patches.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((patches[middle]?.chunk ?? 0) <= chunk) low = middle + 1
    else high = middle
  }
  const found = patches[low - 1]
  return found !== undefined && chunk < found.chunk + found.chunks ? found : undefined
}

function applied(frame: Uint8Array, window: Uint8Array, plainBytes: number): Uint8Array {
  try {
    return applyPatch(frame, window, plainBytes)
  } catch (cause) {
    throw deltaDamaged('one cannot be applied', cause)
  }
}

/** Makes each thing once for all who wait for it; those made last are kept. */
function createCache<Of>(
  most: number,
  nameOf: (of: Of) => string | number,
  make: (of: Of, options: AbortOptions) => Promise<Uint8Array>,
) {
  const kept = new Map<string | number, Promise<Uint8Array>>()
  return (of: Of, options: AbortOptions): Promise<Uint8Array> => {
    const name = nameOf(of)
    const known = kept.get(name)
    if (known !== undefined) return known
    const made = make(of, options)
    kept.set(name, made)
    made.catch(() => kept.delete(name))
    for (const oldest of kept.keys()) {
      if (kept.size <= most) break
      kept.delete(oldest)
    }
    return made
  }
}
