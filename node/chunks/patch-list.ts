import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import {
  BUNDLE_MAX_BYTES,
  CHUNK_MAX_BYTES,
  LIST_MAX_BUNDLES,
  LIST_MAX_PATCHES,
  TREE_MAX_PLAIN_BYTES,
} from './limits.ts'
import { openNode } from './node-block.ts'
import { deltaDamaged } from './patch.ts'
import { isOurCid, KEY_BYTES, RAW_CODEC } from './sealing.ts'
import type { Bundle, NodeContent, Patch, TreeRef } from './types.ts'

/** A patch as a list tells it: which chunks of the new image, from which window, how long its frame is. */
export type PatchRow = Omit<Patch, 'bundle' | 'frameAt'>

export interface ListedBundle {
  readonly bundle: Bundle
  readonly rows: readonly PatchRow[]
}

/**
 * Payload, dag-cbor: `[keys, counts, rows]`: the keys of the bundles one behind the other, how many patches are
 * in each, and for every patch `chunks skipped, chunks, bytes skipped, bytes, change of shift, form, sealed bytes
 * of the chunks, frame bytes` in one flat list. The shift is where the window begins, less where the first chunk does: the same for many neighbours.
 */
export function listContent(bundles: readonly ListedBundle[]): NodeContent {
  const keys = new Uint8Array(bundles.length * KEY_BYTES)
  const numbers: number[] = []
  let chunk = 0
  let offset = 0
  let shift = 0
  for (const [index, { bundle, rows }] of bundles.entries()) {
    keys.set(bundle.key, index * KEY_BYTES)
    for (const row of rows) {
      const ownShift = row.windowAt - row.offset
      numbers.push(row.chunk - chunk, row.chunks, row.offset - offset, row.plainBytes)
      numbers.push(ownShift - shift, FORMS.indexOf(row.form))
      numbers.push(row.insteadOfBytes, row.frameBytes)
      chunk = row.chunk + row.chunks
      offset = row.offset + row.plainBytes
      shift = ownShift
    }
  }
  return {
    links: bundles.map(({ bundle }) => bundle.cid),
    payload: dagCbor.encode([keys, bundles.map(({ rows }) => rows.length), numbers]),
  }
}

const ROW_NUMBERS = 8
const FORMS = ['dictionary', 'steps'] as const

/** The patches of one list, in the order of chunks. Throws node-damaged and delta-damaged. */
export function openList(ref: TreeRef, block: Uint8Array): readonly Patch[] {
  const { links, payload } = openNode(block, ref.key)
  const value = decode(payload)
  if (!Array.isArray(value) || value.length !== 3) throw deltaDamaged('a list is none')
  const [keys, counts, numbers] = value as [unknown, unknown, unknown]
  const fits =
    keys instanceof Uint8Array &&
    Array.isArray(counts) &&
    Array.isArray(numbers) &&
    links.length <= LIST_MAX_BUNDLES &&
    keys.byteLength === links.length * KEY_BYTES &&
    counts.length === links.length &&
    numbers.length <= ROW_NUMBERS * LIST_MAX_PATCHES &&
    numbers.every((number) => Number.isSafeInteger(number))
  if (!fits) throw deltaDamaged('a list has impossible sizes')
  return patchesOf({ links, keys, counts, numbers: numbers as number[] })
}

function patchesOf(list: {
  readonly links: readonly CID[]
  readonly keys: Uint8Array
  readonly counts: readonly unknown[]
  readonly numbers: readonly number[]
}): readonly Patch[] {
  const patches: Patch[] = []
  const next = rowReader(list.numbers)
  for (const [index, cid] of list.links.entries()) {
    if (!isOurCid(cid, RAW_CODEC)) throw deltaDamaged('a list links to what is no bundle')
    const count = list.counts[index]
    if (typeof count !== 'number' || !(count > 0 && count <= LIST_MAX_PATCHES)) {
      throw deltaDamaged('a bundle holds an impossible number')
    }
    const rows: (PatchRow & { readonly frameAt: number })[] = []
    let frameAt = 0
    for (let row = 0; row < count; row++) {
      const read = next()
      if (read === undefined) throw deltaDamaged('a row makes no sense')
      rows.push({ ...read, frameAt })
      frameAt += read.frameBytes
    }
    if (frameAt > BUNDLE_MAX_BYTES + CHUNK_MAX_BYTES) throw deltaDamaged('a bundle is too large')
    const key = list.keys.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES)
    const bundle = { cid, key, frameBytes: frameAt }
    for (const row of rows) patches.push({ ...row, bundle })
  }
  if (next() !== undefined) throw deltaDamaged('a list says more than its bundles hold')
  return patches
}

/** One row after the other; undefined for one that is not there or makes no sense. */
function rowReader(numbers: readonly number[]): () => PatchRow | undefined {
  let at = 0
  let chunk = 0
  let offset = 0
  let shift = 0
  return () => {
    const row = numbers.slice(at, at + ROW_NUMBERS)
    at += ROW_NUMBERS
    if (row.length < ROW_NUMBERS) return
    const [chunksSkipped = 0, chunks = 0, bytesSkipped = 0, plainBytes = 0] = row
    const [change = 0, formNumber = 0, insteadOfBytes = 0, frameBytes = 0] = row.slice(4)
    const form = FORMS[formNumber]
    if (form === undefined) return
    chunk += chunksSkipped
    offset += bytesSkipped
    shift += change
    const windowAt = offset + shift
    const read = { chunk, chunks, offset, plainBytes, windowAt, form, insteadOfBytes, frameBytes }
    chunk += chunks
    offset += plainBytes
    return chunksSkipped >= 0 && bytesSkipped >= 0 && isPossible(read) ? read : undefined
  }
}

function isPossible(row: PatchRow): boolean {
  return (
    row.chunk <= TREE_MAX_PLAIN_BYTES &&
    row.chunks > 0 &&
    row.chunks <= row.plainBytes &&
    row.plainBytes <= CHUNK_MAX_BYTES &&
    row.insteadOfBytes >= 0 &&
    row.insteadOfBytes <= TREE_MAX_PLAIN_BYTES &&
    row.frameBytes > 0 &&
    row.frameBytes <= CHUNK_MAX_BYTES &&
    row.offset <= TREE_MAX_PLAIN_BYTES &&
    row.windowAt >= 0 &&
    row.windowAt <= TREE_MAX_PLAIN_BYTES
  )
}

function decode(payload: Uint8Array): unknown {
  try {
    return dagCbor.decode(payload)
  } catch (cause) {
    throw deltaDamaged('a list cannot be read', cause)
  }
}
