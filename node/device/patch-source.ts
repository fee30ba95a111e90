import type { CID } from 'multiformats/cid'
import { type AbortOptions, asError, codeOf, type HeldBytes, type Log } from '../base/index.ts'
import {
  type Bundle,
  type ChunkRef,
  type GetBlock,
  openPatches,
  type Patch,
  PATCH_WINDOW_BYTES,
  type Patches,
} from '../chunks/index.ts'
import { openDeltaRoot } from '../firmware/index.ts'
import type { LocalChunks } from './chunk-index.ts'
import { PATCH_FAILURES_MAX } from './limits.ts'
import { deviceError } from './types.ts'

/**
 * Makes chunks of the running image and patches. A chunk that it cannot make is fetched as it is; when
 * PATCH_FAILURES_MAX patches have failed it throws `delta-useless`, as the grant is for the delta only.
 */
export interface PatchSource {
  /**
   * Resolves when the patch of this chunk is on the disk; false when there is none, when the running image is
   * damaged where it is needed, or when what is left of its bundle costs more than the chunks.
   */
  fetch(chunk: number, signal: AbortSignal): Promise<boolean>
  /** The plaintext, checked, to be released by the caller; undefined when the patch does not make it. */
  make(
    to: { readonly chunk: number; readonly ref: ChunkRef; readonly offset: number },
    signal: AbortSignal,
  ): Promise<HeldBytes | undefined>
}

/** Blocks of a delta, verified and on the disk. */
export interface DeltaBlocks {
  readonly get: GetBlock
  /** As `get`, without the bytes. */
  readonly fetch: (cid: CID, options: AbortOptions) => Promise<unknown>
}

/** Opens the delta that leads from the running image to the target. Throws `delta-useless`. */
export async function openPatchSource(
  needs: { readonly blocks: DeltaBlocks; readonly local: LocalChunks; readonly log: Log },
  delta: {
    readonly root: CID
    readonly ends: { readonly base: CID; readonly release: CID }
    readonly releaseKey: Uint8Array
  },
  options: AbortOptions,
): Promise<PatchSource> {
  const { blocks, local, log } = needs
  const failures = new Set<Patch>()
  const failed = (patch: Patch, thrown: unknown, signal: AbortSignal, most: number): undefined => {
    signal.throwIfAborted()
    // A fault of the disk, or of ours, is not mended by fetching more.
    if (!isOfTheDelta(thrown)) throw thrown
    if (failures.has(patch)) return undefined
    failures.add(patch)
    const error = asError(thrown)
    log.info({ error, failures: failures.size }, 'a patch does not do; its chunks are fetched')
    if (failures.size >= most) throw useless(thrown)
    return undefined
  }
  let patches: Patches
  try {
    const root = await blocks.get(delta.root, options)
    patches = await openPatches(
      openDeltaRoot(root, delta.ends, delta.releaseKey),
      {
        get: blocks.get,
        readBase: (offset, bytes) => local.readAt(offset, bytes),
        baseBytes: local.imageBytes,
      },
      options,
    )
  } catch (thrown) {
    options.signal?.throwIfAborted()
    throw isOfTheDelta(thrown) ? useless(thrown) : thrown
  }
  const usable = usablePatches(patches, local)
  return {
    async fetch(chunk, signal) {
      const patch = patches.find(chunk)
      if (patch === undefined || failures.has(patch)) return false
      if (!(await usable(patch.bundle)).has(patch)) return false
      try {
        await blocks.fetch(patch.bundle.cid, { signal })
        return true
      } catch (thrown) {
        // The others of its bundle would fail alike.
        failed(patch, thrown, signal, 1)
        return false
      }
    },
    async make(to, signal) {
      const patch = patches.find(to.chunk)
      if (patch === undefined || failures.has(patch)) return undefined
      try {
        return await patches.apply(patch, to, { signal })
      } catch (thrown) {
        return failed(patch, thrown, signal, PATCH_FAILURES_MAX)
      }
    },
  }
}

/**
 * Those of a bundle whose windows are as they were installed; none when the bundle costs more than what they make.
 * So a damaged image never makes an update dearer than a full download, but for the lists of the delta.
 */
function usablePatches(patches: Patches, local: LocalChunks) {
  const known = new Map<Bundle, Promise<ReadonlySet<Patch>>>()
  const look = async (bundle: Bundle): Promise<ReadonlySet<Patch>> => {
    const intact = new Set<Patch>()
    let insteadOfBytes = 0
    for (const patch of patches.inBundle(bundle)) {
      if (!(await local.isIntact(patch.windowAt, PATCH_WINDOW_BYTES))) continue
      intact.add(patch)
      insteadOfBytes += patch.insteadOfBytes
    }
    return insteadOfBytes >= bundle.frameBytes ? intact : new Set()
  }
  return (bundle: Bundle) => {
    const looked = known.get(bundle) ?? look(bundle)
    known.set(bundle, looked)
    return looked
  }
}

function useless(cause: unknown) {
  return deviceError('delta-useless', 'the patches from the running release do not do', {
    blame: 'peer',
    fix: 'The chunks themselves are fetched; nothing has to be done.',
    cause,
  })
}

const OF_THE_DELTA = new Set([
  'delta-damaged',
  'node-damaged',
  'node-too-large',
  'release-damaged',
  'release-key-wrong',
  'no-source',
])

function isOfTheDelta(thrown: unknown): boolean {
  return OF_THE_DELTA.has(codeOf(thrown) ?? '')
}
