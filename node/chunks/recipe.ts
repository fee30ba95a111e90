import * as dagCbor from '@ipld/dag-cbor'
import { plausibleSizes } from './chunk.ts'
import { NODE_MAX_ENTRIES, TREE_MAX_HEIGHT } from './limits.ts'
import { nodeDamaged, openNode } from './node-block.ts'
import { DAG_CBOR_CODEC, HASH_BYTES, isOurCid, KEY_BYTES, RAW_CODEC } from './sealing.ts'
import { type ChunkRef, chunkError, type NodeContent, type TreeRef } from './types.ts'

/** A node below another: where it is, how to open it, and how much plaintext lies below. */
export interface SubtreeRef extends TreeRef {
  readonly plainBytes: number
}

/** One opened node of a recipe tree. Height 0 is a leaf. */
export type RecipeNode =
  | { readonly height: 0; readonly entries: readonly ChunkRef[] }
  | { readonly height: number; readonly entries: readonly SubtreeRef[] }

/**
 * Payload, dag-cbor: `[height, entries]`, entry i belongs to link i. Leaf: `[plainBytes, sealedBytes, plainHash,
 * key]`; above: `[plainBytes, key]`. The CIDs stand in the links only, which the node's own CID covers.
 */
export function leafContent(entries: readonly ChunkRef[]): NodeContent {
  return contentOf(
    0,
    entries,
    entries.map((one) => [one.plainBytes, one.sealedBytes, one.plainHash, one.key]),
  )
}

export function innerContent(height: number, entries: readonly SubtreeRef[]): NodeContent {
  return contentOf(
    height,
    entries,
    entries.map((one) => [one.plainBytes, one.key]),
  )
}

function contentOf(height: number, refs: readonly TreeRef[], entries: unknown[]): NodeContent {
  return { links: refs.map((ref) => ref.cid), payload: dagCbor.encode([height, entries]) }
}

/** Opens and checks one node of a recipe. Throws node-damaged or tree-too-deep. */
export function openRecipeNode(block: Uint8Array, key: Uint8Array): RecipeNode {
  const { links, payload } = openNode(block, key)
  const value = decodePayload(payload)
  if (!Array.isArray(value) || value.length !== 2) throw nodeDamaged('is no recipe')
  const [height, rows] = value as [unknown, unknown]
  if (!isCount(height) || !Array.isArray(rows)) throw nodeDamaged('is no recipe')
  if (height > TREE_MAX_HEIGHT) {
    throw chunkError('tree-too-deep', `a recipe tree of height ${height}`, {
      blame: 'peer',
      fix: `No file needs more than ${TREE_MAX_HEIGHT}; ask the publisher.`,
    })
  }
  if (rows.length !== links.length || rows.length > NODE_MAX_ENTRIES) {
    throw nodeDamaged('has another number of links than of entries, or too many')
  }
  if (height > 0 && rows.length === 0) throw nodeDamaged('leads nowhere')
  if (height === 0) {
    return {
      height,
      entries: links.map((cid, index) => ({ cid, ...leafEntry(rows[index]) })).map(checkedChunk),
    }
  }
  return {
    height,
    entries: links.map((cid, index) => ({ cid, ...innerEntry(rows[index]) })).map(checkedSubtree),
  }
}

function decodePayload(payload: Uint8Array): unknown {
  try {
    return dagCbor.decode(payload)
  } catch (cause) {
    throw nodeDamaged('holds something that is not dag-cbor', cause)
  }
}

function leafEntry(row: unknown): Omit<ChunkRef, 'cid'> {
  if (Array.isArray(row) && row.length === 4) {
    const [plainBytes, sealedBytes, plainHash, key] = row as unknown[]
    if (
      isCount(plainBytes) &&
      isCount(sealedBytes) &&
      isBytes(plainHash, HASH_BYTES) &&
      isBytes(key, KEY_BYTES)
    ) {
      return { plainBytes, sealedBytes, plainHash, key }
    }
  }
  throw nodeDamaged('has an entry that is not of the form it should have')
}

function innerEntry(row: unknown): Omit<SubtreeRef, 'cid'> {
  if (Array.isArray(row) && row.length === 2) {
    const [plainBytes, key] = row as unknown[]
    if (isCount(plainBytes) && isBytes(key, KEY_BYTES)) return { plainBytes, key }
  }
  throw nodeDamaged('has an entry that is not of the form it should have')
}

function checkedChunk(ref: ChunkRef): ChunkRef {
  if (!isOurCid(ref.cid, RAW_CODEC)) throw nodeDamaged('has a chunk that is no raw block')
  if (!plausibleSizes(ref.plainBytes, ref.sealedBytes))
    throw nodeDamaged('has a chunk of an impossible size')
  return ref
}

function checkedSubtree(ref: SubtreeRef): SubtreeRef {
  if (!isOurCid(ref.cid, DAG_CBOR_CODEC)) throw nodeDamaged('has a child that is no node')
  // Together with the equal sums this bounds how many chunks a tree can claim.
  if (ref.plainBytes === 0) throw nodeDamaged('has an empty child')
  return ref
}

export function plainBytesOf(node: RecipeNode): number {
  let sum = 0
  for (const entry of node.entries) sum += entry.plainBytes
  return sum
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength === length
}
