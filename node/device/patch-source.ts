import type { CID } from 'multiformats/cid'
import { type AbortOptions, asError, codeOf, type Log } from '../base/index.ts'
import { type ChunkRef, type GetBlock, openPatches, type Patches } from '../chunks/index.ts'
import { openDeltaRoot } from '../firmware/index.ts'
import type { LocalChunks } from './chunk-index.ts'
import { PATCH_FAILURES_MAX } from './limits.ts'
import { deviceError } from './types.ts'

/**
 * Makes chunks of the running image and patches. A chunk that it cannot make is fetched as it is; when there are
 * PATCH_FAILURES_MAX of them it throws `delta-useless`, as the grant is for the delta only.
 */
export interface PatchSource {
  /** Resolves when the patch of this chunk is on the disk; false when there is none. */
  fetch(chunk: number, signal: AbortSignal): Promise<boolean>
  /** The plaintext, checked; undefined when the patch does not make it. */
  make(
    to: { readonly chunk: number; readonly ref: ChunkRef; readonly offset: number },
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined>
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
  let failures = 0
  const failed = (thrown: unknown, signal: AbortSignal, most: number): undefined => {
    signal.throwIfAborted()
    // A fault of the disk, or of ours, is not mended by fetching more.
    if (!isOfTheDelta(thrown)) throw thrown
    failures++
    log.info({ error: asError(thrown), failures }, 'a patch does not do; its chunk is fetched')
    if (failures >= most) throw useless(thrown)
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
  return {
    async fetch(chunk, signal) {
      const patch = patches.find(chunk)
      if (patch === undefined) return false
      try {
        await blocks.fetch(patch.bundle.cid, { signal })
        return true
      } catch (thrown) {
        // The others of its bundle would fail alike.
        failed(thrown, signal, 1)
        return false
      }
    },
    async make(to, signal) {
      const patch = patches.find(to.chunk)
      if (patch === undefined) return undefined
      try {
        return await patches.apply(patch, to, { signal })
      } catch (thrown) {
        return failed(thrown, signal, PATCH_FAILURES_MAX)
      }
    },
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
