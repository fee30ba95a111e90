import * as dagCbor from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import {
  BUNDLE_MAX_BYTES,
  BUNDLE_MAX_PATCHES,
  CHUNK_MAX_BYTES,
  LIST_MAX_BUNDLES,
  LIST_MAX_PATCHES,
  TREE_MAX_PLAIN_BYTES,
} from './limits.ts'
import { openNode } from './node-block.ts'
import { deltaDamaged } from './patch.ts'
import { isOurCid, KEY_BYTES, RAW_CODEC } from './sealing.ts'
import type { Bundle, NodeContent, Patch, TreeRef } from './types.ts'

/** A patch as a list tells it: which chunk of the new image, from which window, how long its frame is. */
export interface PatchRow {
  /** Of the chunk in file order, from 0. */
  readonly chunk: number
  /** Where the window begins, less where the chunk begins in the new image: the same for many neighbours. */
  readonly shift: number
  readonly frameBytes: number
}

export interface ListedBundle {
  readonly bundle: Bundle
  readonly rows: readonly PatchRow[]
}

/**
 * Payload, dag-cbor: `[keys, counts, rows]`: the keys of the bundles one behind the other, how many patches are
 * in each, and for every patch `chunks skipped, change of shift, frame bytes` in one flat list.
 */
export function listContent(bundles: readonly ListedBundle[]): NodeContent {
  const keys = new Uint8Array(bundles.length * KEY_BYTES)
  const numbers: number[] = []
  let chunk = -1
  let shift = 0
  for (const [index, { bundle, rows }] of bundles.entries()) {
    keys.set(bundle.key, index * KEY_BYTES)
    for (const row of rows) {
      numbers.push(row.chunk - chunk - 1, row.shift - shift, row.frameBytes)
      chunk = row.chunk
      shift = row.shift
    }
  }
  return {
    links: bundles.map(({ bundle }) => bundle.cid),
    payload: dagCbor.encode([keys, bundles.map(({ rows }) => rows.length), numbers]),
  }
}

/** The patches of one list. Throws node-damaged and delta-damaged. */
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
    numbers.length <= 3 * LIST_MAX_PATCHES &&
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
  const { numbers } = list
  const patches: Patch[] = []
  let at = 0
  let chunk = -1
  let shift = 0
  for (const [index, cid] of list.links.entries()) {
    if (!isOurCid(cid, RAW_CODEC)) throw deltaDamaged('a list links to what is no bundle')
    const count = list.counts[index]
    if (typeof count !== 'number' || !(count > 0 && count <= BUNDLE_MAX_PATCHES)) {
      throw deltaDamaged('a bundle holds an impossible number')
    }
    const rows: (PatchRow & { readonly frameAt: number })[] = []
    let frameAt = 0
    for (let row = 0; row < count; row++, at += 3) {
      const [skipped = -1, change = 0, frameBytes = 0] = numbers.slice(at, at + 3)
      chunk += skipped + 1
      shift += change
      const isPossible =
        skipped >= 0 &&
        frameBytes > 0 &&
        frameBytes <= CHUNK_MAX_BYTES &&
        Math.abs(shift) <= TREE_MAX_PLAIN_BYTES
      if (!isPossible) throw deltaDamaged('a row makes no sense')
      rows.push({ chunk, shift, frameBytes, frameAt })
      frameAt += frameBytes
    }
    if (frameAt > BUNDLE_MAX_BYTES + CHUNK_MAX_BYTES) throw deltaDamaged('a bundle is too large')
    const key = list.keys.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES)
    const bundle = { cid, key, frameBytes: frameAt }
    for (const row of rows) patches.push({ ...row, bundle })
  }
  if (at !== numbers.length) throw deltaDamaged('a list says more than its bundles hold')
  return patches
}

function decode(payload: Uint8Array): unknown {
  try {
    return dagCbor.decode(payload)
  } catch (cause) {
    throw deltaDamaged('a list cannot be read', cause)
  }
}
