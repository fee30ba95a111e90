import { concat } from '../base/index.ts'
import { type BaseReader, createBaseReader, type PlacedRef } from './base-reader.ts'
import { openChunk } from './chunk.ts'
import { type ChunkGroup, groupsOf } from './group-chunks.ts'
import { inOrder } from './in-order.ts'
import {
  BUNDLE_MAX_BYTES,
  LIST_MAX_BUNDLES,
  LIST_MAX_PATCHES,
  PATCH_MAX_SHARE,
  PATCHES_IN_FLIGHT,
} from './limits.ts'
import { sealNode } from './node-block.ts'
import { makePatch, sealBundle, windowBytes } from './patch.ts'
import { type ListedBundle, listContent, type PatchRow } from './patch-list.ts'
import type { PlacedChunk } from './place-windows.ts'
import { walkTree } from './read.ts'
import { checkSecret } from './sealing.ts'
import type { ChunkRef, DeltaOptions, GetBlock, PutBlock, SealedDelta, TreeRef } from './types.ts'

interface Todo extends ChunkGroup {
  readonly refs: readonly ChunkRef[]
}

interface Made {
  readonly chunks: number
  /** Of the chunks as they are. */
  readonly sealedBytes: number
  /** Undefined when it is not worth it. */
  readonly patch?: { readonly row: PatchRow; readonly frame: Uint8Array }
}

/**
 * Makes patches for every chunk of `next` that `base` lacks, from blocks of both. Memory grows with the number
 * of chunks (some 300 bytes each), not with their content. Throws what `walkTree`, `get` and `put` throw.
 */
export async function sealDelta(
  images: { readonly base: TreeRef; readonly next: TreeRef },
  blocks: { readonly get: GetBlock; readonly put: PutBlock },
  options: DeltaOptions,
): Promise<SealedDelta> {
  checkSecret(options.secret, 'the content secret')
  const { get, put } = blocks
  const base = await placed(images.base, get, options)
  const next = await placed(images.next, get, options)
  const baseBytes = endOf(base)
  const reader = createBaseReader(base, get)
  const todo: Todo[] = groupsOf(base.map(named), next.map(named), baseBytes).map((group) => ({
    ...group,
    refs: next.slice(group.chunk, group.chunk + group.chunks).map(({ ref }) => ref),
  }))
  const ofChunks = todo.reduce((sum, { chunks }) => sum + chunks, 0)
  const writer = createDeltaWriter(options.secret, put)
  const count = { patches: 0, patchedChunks: 0, plainBytes: 0, insteadOfBytes: 0 }
  let done = 0

  const made = inOrder(
    todo,
    PATCHES_IN_FLIGHT,
    (one, signal) => patchOf(one, { reader, get, baseBytes }, { ...options, signal }),
    options,
  )
  for await (const { chunks, sealedBytes, patch } of made) {
    done += chunks
    options.onProgress?.(done, ofChunks)
    if (patch === undefined) {
      count.plainBytes += sealedBytes
      continue
    }
    count.patches++
    count.patchedChunks += chunks
    count.insteadOfBytes += sealedBytes
    await writer.add(patch.row, patch.frame)
  }
  const { lists, deltaBytes } = await writer.finish()
  return { lists, deltaBytes, ...count }
}

async function placed(
  tree: TreeRef,
  get: GetBlock,
  options: DeltaOptions,
): Promise<readonly PlacedRef[]> {
  const chunks: PlacedRef[] = []
  let offset = 0
  const walk = options.signal === undefined ? {} : { signal: options.signal }
  for await (const ref of walkTree(tree, get, walk)) {
    chunks.push({ offset, ref })
    offset += ref.plainBytes
  }
  return chunks
}

function endOf(chunks: readonly PlacedRef[]): number {
  const last = chunks.at(-1)
  return last === undefined ? 0 : last.offset + last.ref.plainBytes
}

function named({ offset, ref }: PlacedRef): PlacedChunk {
  return { offset, plainBytes: ref.plainBytes, name: ref.plainHash.toHex() }
}

async function patchOf(
  { refs, ...group }: Todo,
  from: { readonly reader: BaseReader; readonly get: GetBlock; readonly baseBytes: number },
  options: DeltaOptions,
): Promise<Made> {
  const abort = options.signal === undefined ? {} : { signal: options.signal }
  const { windowAt } = group
  const window = await from.reader.read(windowAt, windowBytes(windowAt, from.baseBytes), abort)
  const plain: Uint8Array[] = []
  for (const ref of refs) plain.push(await openChunk(ref, await from.get(ref.cid, abort)))
  const { zstdLevel } = options
  const made = await makePatch(concat(plain), window, { zstdLevel, ...abort })
  const sealedBytes = refs.reduce((sum, ref) => sum + ref.sealedBytes, 0)
  if (made === undefined || made.bytes.byteLength > PATCH_MAX_SHARE * sealedBytes) {
    return { chunks: group.chunks, sealedBytes }
  }
  const { form, bytes: frame } = made
  const row = { ...group, form, insteadOfBytes: sealedBytes, frameBytes: frame.byteLength }
  return { chunks: group.chunks, sealedBytes, patch: { row, frame } }
}

/** Frames become bundles, bundles become lists; each block is put as soon as it is full. */
function createDeltaWriter(secret: Uint8Array, put: PutBlock) {
  const lists: TreeRef[] = []
  let deltaBytes = 0
  let frames: Uint8Array[] = []
  let frameBytes = 0
  let rows: PatchRow[] = []
  let bundles: ListedBundle[] = []
  let listed = 0

  const closeBundle = async () => {
    if (rows.length === 0) return
    const { bundle, bytes } = sealBundle(concat(frames), secret)
    await put({ cid: bundle.cid, bytes })
    deltaBytes += bytes.byteLength
    bundles.push({ bundle, rows })
    listed += rows.length
    frames = []
    rows = []
    frameBytes = 0
  }
  const closeList = async () => {
    await closeBundle()
    if (bundles.length === 0) return
    const { cid, key, bytes } = await sealNode(listContent(bundles), secret)
    await put({ cid, bytes })
    deltaBytes += bytes.byteLength
    lists.push({ cid, key })
    bundles = []
    listed = 0
  }
  return {
    async add(row: PatchRow, frame: Uint8Array): Promise<void> {
      if (frameBytes + frame.byteLength > BUNDLE_MAX_BYTES) await closeBundle()
      const isFull = bundles.length >= LIST_MAX_BUNDLES || listed + rows.length >= LIST_MAX_PATCHES
      if (isFull) await closeList()
      rows.push(row)
      frames.push(frame)
      frameBytes += frame.byteLength
    },
    async finish() {
      await closeList()
      return { lists, deltaBytes }
    },
  }
}
