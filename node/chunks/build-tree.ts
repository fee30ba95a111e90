import type { CID } from 'multiformats/cid'
import { NODE_CUT_MASK, NODE_MAX_ENTRIES, NODE_MIN_ENTRIES, TREE_MAX_HEIGHT } from './limits.ts'
import { sealNode } from './node-block.ts'
import { innerContent, leafContent, type SubtreeRef } from './recipe.ts'
import { type ChunkRef, chunkError, type NodeContent, type SealedNode } from './types.ts'

/** Takes chunks in file order and gives nodes out as soon as they are full. Holds one open node per level. */
export interface TreeBuilder {
  add(chunk: ChunkRef): Promise<void>
  /** The root, after everything else was handed out. */
  finish(): Promise<SubtreeRef>
}

/**
 * A node ends after an entry whose digest says so, whatever stands before: an insertion therefore changes the
 * node around it and the few above.
 */
export function createTreeBuilder(
  secret: Uint8Array,
  emit: (node: SealedNode) => Promise<void>,
): TreeBuilder {
  let leaf: ChunkRef[] = []
  /** Entries that wait for their parent, by height of that parent minus one. */
  const inner: SubtreeRef[][] = []

  const sealed = async (content: NodeContent, entries: readonly { plainBytes: number }[]) => {
    const node = await sealNode(content, secret)
    await emit(node)
    return { cid: node.cid, key: node.key, plainBytes: total(entries) }
  }
  const closeLeaf = async () => {
    const entries = leaf
    leaf = []
    return sealed(leafContent(entries), entries)
  }
  const closeInner = async (index: number) => {
    const entries = inner[index] ?? []
    inner[index] = []
    return sealed(innerContent(index + 1, entries), entries)
  }
  const addInner = async (index: number, ref: SubtreeRef): Promise<void> => {
    if (index >= TREE_MAX_HEIGHT) throw tooDeep()
    const entries = inner[index] ?? []
    inner[index] = entries
    entries.push(ref)
    if (isFull(entries)) await addInner(index + 1, await closeInner(index))
  }
  return {
    async add(chunk) {
      leaf.push(chunk)
      if (isFull(leaf)) await addInner(0, await closeLeaf())
    },
    async finish() {
      if (inner.length === 0) return closeLeaf()
      if (leaf.length > 0) await addInner(0, await closeLeaf())
      for (let index = 0; ; index++) {
        const entries = inner[index] ?? []
        const isTop = index === inner.length - 1
        const [only] = entries
        if (isTop && entries.length === 1 && only !== undefined) return only
        if (isTop) return closeInner(index)
        if (entries.length > 0) await addInner(index + 1, await closeInner(index))
      }
    },
  }
}

function isFull(entries: readonly { readonly cid: CID }[]): boolean {
  if (entries.length >= NODE_MAX_ENTRIES) return true
  const digest = entries.at(-1)?.cid.multihash.digest
  if (digest === undefined || entries.length < NODE_MIN_ENTRIES) return false
  return ((digest.at(-1) ?? 0) & NODE_CUT_MASK) === 0
}

function total(entries: readonly { readonly plainBytes: number }[]): number {
  return entries.reduce((sum, entry) => sum + entry.plainBytes, 0)
}

function tooDeep() {
  return chunkError('tree-too-deep', 'the file is too large for one recipe tree', {
    blame: 'caller',
    fix: 'Use a profile with larger chunks, or split the file.',
  })
}
