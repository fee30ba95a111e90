import { type AbortOptions, equalBytes, free, type HeldBytes, holdBytes } from '../base/index.ts'
import { DELTA_MAX_PATCHES, OPEN_BUNDLES, OPEN_PATCHES } from './limits.ts'
import { applyPatch, deltaDamaged, openBundle, windowBytes } from './patch.ts'
import { openList } from './patch-list.ts'
import { sha256 } from './sealing.ts'
import type { Bundle, ChunkRef, GetBlock, Patch, TreeRef } from './types.ts'

export interface Patches {
  /** The one that makes the chunk with this number in file order. */
  find(chunk: number): Patch | undefined
  /** All that travel together. */
  inBundle(bundle: Bundle): readonly Patch[]
  readonly size: number
  /**
   * The chunk's plaintext, compared with the recipe, to be released by the caller; `offset` is where it begins in the
   * new image. Throws delta-damaged when the patch makes something else, and what `get` and `readBase` throw.
   */
  apply(
    patch: Patch,
    chunk: { readonly ref: ChunkRef; readonly offset: number },
    options?: AbortOptions,
  ): Promise<HeldBytes>
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
      const isBehind =
        before === undefined ||
        (patch.chunk >= before.chunk + before.chunks &&
          patch.offset >= before.offset + before.plainBytes)
      if (!isBehind) throw deltaDamaged('two make the same chunk')
      if (patch.windowAt > needs.baseBytes) throw deltaDamaged('a window lies behind the image')
      patches.push(patch)
    }
    if (patches.length > DELTA_MAX_PATCHES) throw deltaDamaged('there are too many')
  }
  const ofBundle = Map.groupBy(patches, ({ bundle }) => bundle)
  const bundles = createCache(
    OPEN_BUNDLES,
    async (bundle: Bundle, abort) => openBundle(bundle, await needs.get(bundle.cid, abort)),
    free,
  )
  const made = createCache(
    OPEN_PATCHES,
    async ({ bundle, ...patch }: Patch, abort) => {
      const { form, windowAt, frameAt, frameBytes, plainBytes } = patch
      const frames = await bundles.get(bundle, abort)
      // A copy: the bundle may have been given back when the window has been read.
      const frame = { form, bytes: new Uint8Array(frames.subarray(frameAt, frameAt + frameBytes)) }
      const windowSize = windowBytes(windowAt, needs.baseBytes)
      const plain = await applyPatch(
        frame,
        { plainBytes, windowBytes: windowSize },
        (from, bytes) => needs.readBase(windowAt + from, bytes),
      )
      return { plain: holdBytes(plain), missing: patch.chunks }
    },
    ({ plain }) => plain.release(),
  )
  return {
    find: (chunk) => patchOf(patches, chunk),
    inBundle: (bundle) => ofBundle.get(bundle) ?? [],
    size: patches.length,
    async apply(patch, { ref, offset }, abort = {}) {
      const of = await made.get(patch, abort)
      const at = offset - patch.offset
      const isWithin = at >= 0 && at + ref.plainBytes <= of.plain.bytes.byteLength
      const plain = isWithin ? of.plain.share(at, at + ref.plainBytes) : undefined
      // Nobody comes for it again.
      if (--of.missing === 0) made.drop(patch)
      if (plain !== undefined && equalBytes(sha256(plain.bytes), ref.plainHash)) return plain
      plain?.release()
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

/** Makes each thing once for all who wait for it; those made last are kept, the others given back. */
function createCache<Of, Made>(
  most: number,
  make: (of: Of, options: AbortOptions) => Promise<Made>,
  giveBack: (made: Made) => void,
) {
  const kept = new Map<Of, Promise<Made>>()
  const drop = (of: Of) => {
    const made = kept.get(of)
    kept.delete(of)
    // After all who wait for it: they have asked before.
    made?.then(giveBack, () => undefined)
  }
  return {
    drop,
    get(of: Of, options: AbortOptions): Promise<Made> {
      const known = kept.get(of)
      if (known !== undefined) return known
      const made = make(of, options)
      kept.set(of, made)
      made.catch(() => {
        if (kept.get(of) === made) kept.delete(of)
      })
      for (const oldest of kept.keys()) {
        if (kept.size <= most) break
        drop(oldest)
      }
      return made
    },
  }
}
