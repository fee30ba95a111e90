import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { type AbortOptions, IoexError } from '../base/index.ts'
import { type GetBlock, openNode, type PutBlock, sealNode, type TreeRef } from '../chunks/index.ts'
import { INDEX_AVERAGE_ITEMS, INDEX_MAX_DEPTH, INDEX_MAX_ITEMS } from './limits.ts'

/** A sealed node and the key that opens it. */
export type NodeRef = TreeRef

/**
 * Builds the tree above the pages: nodes of references, cut by the digest of what they refer to, until one is
 * left. A page that changed changes one node on each level.
 */
export async function sealIndex(
  pages: AsyncIterable<NodeRef>,
  put: PutBlock,
  secret: Uint8Array,
): Promise<NodeRef> {
  let level: NodeRef[] = await sealLevel(pages, 0, put, secret)
  for (let height = 1; level.length > 1; height++) {
    if (height > INDEX_MAX_DEPTH) throw tooDeep('caller')
    level = await sealLevel(level, height, put, secret)
  }
  const [top] = level
  // An empty folder has one empty node, so that a snapshot always has an index.
  return top ?? (await sealItems([], 0, put, secret))
}

async function sealLevel(
  items: AsyncIterable<NodeRef> | Iterable<NodeRef>,
  height: number,
  put: PutBlock,
  secret: Uint8Array,
): Promise<NodeRef[]> {
  const nodes: NodeRef[] = []
  let waiting: NodeRef[] = []
  for await (const item of items) {
    waiting.push(item)
    const digest = item.cid.multihash.digest
    const cut = ((digest[30] ?? 0) * 256 + (digest[31] ?? 0)) % INDEX_AVERAGE_ITEMS === 0
    if ((cut && waiting.length > 1) || waiting.length === INDEX_MAX_ITEMS) {
      nodes.push(await sealItems(waiting, height, put, secret))
      waiting = []
    }
  }
  if (waiting.length > 0) nodes.push(await sealItems(waiting, height, put, secret))
  return nodes
}

async function sealItems(
  items: readonly NodeRef[],
  height: number,
  put: PutBlock,
  secret: Uint8Array,
): Promise<NodeRef> {
  const node = await sealNode(
    {
      links: items.map((item) => item.cid),
      payload: dagCbor.encode({ height, items: items.map((item) => [item.cid, item.key]) }),
    },
    secret,
  )
  await put(node)
  return { cid: node.cid, key: node.key }
}

/** The pages of an index in order. Every node is checked before it is followed. */
export async function* walkIndex(
  index: NodeRef,
  get: GetBlock,
  options: AbortOptions,
  height?: number,
): AsyncGenerator<NodeRef> {
  const { payload } = openNode(await get(index.cid, options), index.key)
  const node = parseNode(payload)
  // Heights fall by one from the top, so that no node can lead back up.
  if (node.height > INDEX_MAX_DEPTH || (height !== undefined && node.height !== height)) {
    throw tooDeep('peer')
  }
  for (const item of node.items) {
    if (node.height === 0) yield item
    else yield* walkIndex(item, get, options, node.height - 1)
  }
}

function parseNode(payload: Uint8Array): { height: number; items: NodeRef[] } {
  const value: unknown = dagCbor.decode(payload)
  if (typeof value === 'object' && value !== null && 'height' in value && 'items' in value) {
    const { height, items } = value
    if (
      typeof height === 'number' &&
      Number.isInteger(height) &&
      height >= 0 &&
      Array.isArray(items)
    ) {
      return { height, items: items.map(refFromValue) }
    }
  }
  throw notOurs()
}

/** `[CID, key]`, as references are written everywhere in a snapshot. */
export function refFromValue(value: unknown): NodeRef {
  if (Array.isArray(value)) {
    const [link, key] = value as unknown[]
    const cid = CID.asCID(link)
    if (cid !== null && key instanceof Uint8Array && key.byteLength === 32) return { cid, key }
  }
  throw notOurs()
}

export function notOurs(): IoexError {
  return new IoexError(
    'snapshot-damaged',
    'a part of the snapshot does not have the form it should have',
    {
      blame: 'peer',
      fix: 'restore an earlier snapshot, or make a new one with "ioex backup push"',
    },
  )
}

function tooDeep(blame: 'peer' | 'caller'): IoexError {
  return new IoexError(
    'snapshot-damaged',
    `the index of the snapshot is deeper than ${INDEX_MAX_DEPTH}`,
    {
      blame,
      fix:
        blame === 'peer' ? 'restore an earlier snapshot' : 'back up parts of the folder one by one',
    },
  )
}
