import { type AbortOptions, equalBytes, free } from '../base/index.ts'
import { DELTA_MAX_PATCHES, OPEN_BUNDLES } from './limits.ts'
import { applyPatch, deltaDamaged, openBundle, windowBytes } from './patch.ts'
import { openList } from './patch-list.ts'
import { sha256 } from './sealing.ts'
import type { Bundle, ChunkRef, GetBlock, Patch, TreeRef } from './types.ts'

export interface Patches {
  /** Of the chunk with this number in file order. */
  find(chunk: number): Patch | undefined
  readonly size: number
  /**
   * The chunk's plaintext, compared with the recipe; `offset` is where it begins in the new image. Throws
   * delta-damaged when the patch makes something else, and what `get` and `readBase` throw.
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

/** Reads the lists of a delta; bundles are fetched when they are needed, and the last OPEN_BUNDLES kept open. */
export async function openPatches(
  lists: readonly TreeRef[],
  needs: PatchNeeds,
  options: AbortOptions = {},
): Promise<Patches> {
  const patches = new Map<number, Patch>()
  for (const list of lists) {
    for (const patch of openList(list, await needs.get(list.cid, options))) {
      patches.set(patch.chunk, patch)
    }
    if (patches.size > DELTA_MAX_PATCHES) throw deltaDamaged('there are too many')
  }
  const open = createBundleCache(needs.get)
  return {
    find: (chunk) => patches.get(chunk),
    size: patches.size,
    async apply(patch, { ref, offset }, abort = {}) {
      const windowAt = offset + patch.shift
      if (windowAt < 0) throw deltaDamaged('a window lies before the image')
      const frames = await open(patch.bundle, abort)
      const window = await needs.readBase(windowAt, windowBytes(windowAt, needs.baseBytes))
      if (window === undefined) throw deltaDamaged('a window lies behind the image')
      const frame = frames.subarray(patch.frameAt, patch.frameAt + patch.frameBytes)
      const plain = applied(frame, window, ref)
      free(window)
      if (plain.byteLength === ref.plainBytes && equalBytes(sha256(plain), ref.plainHash)) {
        return plain
      }
      throw deltaDamaged(`that of chunk ${patch.chunk} makes other bytes`)
    },
  }
}

function applied(frame: Uint8Array, window: Uint8Array, ref: ChunkRef): Uint8Array {
  try {
    return applyPatch(frame, window, ref.plainBytes)
  } catch (cause) {
    throw deltaDamaged('one cannot be applied', cause)
  }
}

/** Opens a bundle once for all who wait for it. */
function createBundleCache(get: GetBlock) {
  const opened = new Map<string, Promise<Uint8Array>>()
  return (bundle: Bundle, options: AbortOptions): Promise<Uint8Array> => {
    const name = bundle.cid.toString()
    const known = opened.get(name)
    if (known !== undefined) return known
    const frames = get(bundle.cid, options).then((block) => openBundle(bundle, block))
    opened.set(name, frames)
    frames.catch(() => opened.delete(name))
    for (const oldest of opened.keys()) {
      if (opened.size <= OPEN_BUNDLES) break
      opened.delete(oldest)
    }
    return frames
  }
}
