import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { openNode, sealNode, type SealedNode } from '../chunks/index.ts'
import type { Snapshot } from './types.ts'
import { type NodeRef, notOurs, refFromValue } from './index-tree.ts'
import { CATALOG_MAX_SNAPSHOTS } from './limits.ts'

/** A snapshot as the catalog has it: with the key that opens its root. */
export interface CatalogEntry extends Snapshot {
  readonly key: Uint8Array
}

/** The root block of a snapshot: a sealed node whose one link is the index. */
export async function sealSnapshotRoot(
  facts: Pick<Snapshot, 'createdAt' | 'label'>,
  index: NodeRef,
  secret: Uint8Array,
): Promise<SealedNode> {
  const payload = dagCbor.encode({
    v: 1,
    createdAt: facts.createdAt,
    label: facts.label,
    index: [index.cid, index.key],
  })
  return sealNode({ links: [index.cid], payload }, secret)
}

export function openSnapshotRoot(bytes: Uint8Array, key: Uint8Array): NodeRef {
  const value: unknown = dagCbor.decode(openNode(bytes, key).payload)
  if (typeof value !== 'object' || value === null || !('v' in value) || !('index' in value))
    throw notOurs()
  if (value.v !== 1) throw notOurs()
  return refFromValue(value.index)
}

/** The list of snapshots, oldest first, as one sealed node without links: each snapshot is pinned by itself. */
export async function sealCatalog(
  snapshots: readonly CatalogEntry[],
  secret: Uint8Array,
): Promise<SealedNode> {
  const rows = snapshots.map((one) => [
    one.root,
    one.key,
    one.createdAt,
    one.label,
    one.files,
    one.bytes,
    one.sealedBytes,
  ])
  return sealNode({ links: [], payload: dagCbor.encode({ v: 1, snapshots: rows }) }, secret)
}

export function openCatalog(bytes: Uint8Array, key: Uint8Array): CatalogEntry[] {
  const value: unknown = dagCbor.decode(openNode(bytes, key).payload)
  if (typeof value !== 'object' || value === null || !('snapshots' in value)) throw notOurs()
  if (!Array.isArray(value.snapshots) || value.snapshots.length > CATALOG_MAX_SNAPSHOTS)
    throw notOurs()
  return value.snapshots.map((row: unknown) => {
    if (!Array.isArray(row)) throw notOurs()
    const [root, rootKey, createdAt, label, files, bytesOfFiles, sealedBytes] = row as unknown[]
    const cid = CID.asCID(root)
    const wellFormed =
      cid !== null &&
      rootKey instanceof Uint8Array &&
      rootKey.byteLength === 32 &&
      typeof createdAt === 'string' &&
      typeof label === 'string' &&
      typeof files === 'number' &&
      typeof bytesOfFiles === 'number' &&
      typeof sealedBytes === 'number'
    if (!wellFormed) throw notOurs()
    return {
      id: cid.toString(),
      root: cid,
      key: rootKey,
      createdAt,
      label,
      files,
      bytes: bytesOfFiles,
      sealedBytes,
    }
  })
}
