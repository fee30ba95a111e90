import { openChunk } from './chunk.ts'
import { inOrder } from './in-order.ts'
import { READ_AHEAD_CHUNKS, READ_AHEAD_NODES, TREE_MAX_PLAIN_BYTES } from './limits.ts'
import { nodeDamaged } from './node-block.ts'
import { openRecipeNode, plainBytesOf, type RecipeNode, type SubtreeRef } from './recipe.ts'
import {
  type ChunkRef,
  chunkError,
  type GetBlock,
  type ReadOptions,
  type TreeBlock,
  type TreeRef,
  type WalkOptions,
} from './types.ts'

type Seen =
  | { readonly kind: 'node'; readonly ref: TreeRef; readonly sealedBytes: number }
  | { readonly kind: 'chunk'; readonly ref: ChunkRef }

/** The chunks of a file in file order. Throws node-damaged, tree-too-deep, tree-too-large, and what `get` throws. */
export async function* walkTree(
  tree: TreeRef,
  get: GetBlock,
  options: WalkOptions = {},
): AsyncGenerator<ChunkRef> {
  for await (const seen of walkAll(tree, get, options)) {
    if (seen.kind === 'chunk') yield seen.ref
  }
}

/** Every block of a tree, nodes before what is below them; a block that is named twice comes twice. */
export async function* treeBlocks(
  tree: TreeRef,
  get: GetBlock,
  options: WalkOptions = {},
): AsyncGenerator<TreeBlock> {
  for await (const seen of walkAll(tree, get, options)) {
    const sealedBytes = seen.kind === 'chunk' ? seen.ref.sealedBytes : seen.sealedBytes
    yield { kind: seen.kind, cid: seen.ref.cid, sealedBytes }
  }
}

/** The plaintext of a file in order, every chunk checked. Throws like `walkTree`, and chunk-damaged. */
export async function* readFile(
  tree: TreeRef,
  get: GetBlock,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  yield* inOrder(
    walkTree(tree, get, options),
    options.aheadChunks ?? READ_AHEAD_CHUNKS,
    async (ref, signal) => openChunk(ref, await get(ref.cid, { signal })),
    options,
  )
}

async function* walkAll(tree: TreeRef, get: GetBlock, options: WalkOptions): AsyncGenerator<Seen> {
  const maxPlainBytes = options.maxPlainBytes ?? TREE_MAX_PLAIN_BYTES
  options.signal?.throwIfAborted()
  const block = await get(tree.cid, options)
  const root = openRecipeNode(block, tree.key)
  const plainBytes = plainBytesOf(root)
  if (plainBytes > maxPlainBytes) {
    throw chunkError('tree-too-large', `the tree claims ${plainBytes} bytes of plaintext`, {
      blame: 'peer',
      fix: `At most ${maxPlainBytes} were expected; do not use it.`,
    })
  }
  yield { kind: 'node', ref: tree, sealedBytes: block.byteLength }
  yield* walkBelow(root, get, options)
}

async function* walkBelow(
  node: RecipeNode,
  get: GetBlock,
  options: WalkOptions,
): AsyncGenerator<Seen> {
  if (isLeaf(node)) {
    for (const ref of node.entries) yield { kind: 'chunk', ref }
    return
  }
  const opened = inOrder(
    node.entries,
    READ_AHEAD_NODES,
    async (ref, signal) => {
      const block = await get(ref.cid, { signal })
      return { ref, child: openChild(ref, block, node.height), sealedBytes: block.byteLength }
    },
    options,
  )
  for await (const { ref, child, sealedBytes } of opened) {
    yield { kind: 'node', ref, sealedBytes }
    yield* walkBelow(child, get, options)
  }
}

function isLeaf(node: RecipeNode): node is Extract<RecipeNode, { height: 0 }> {
  return node.height === 0
}

/** Heights fall by one and sums agree, so that no node leads back up and none holds more than was claimed. */
function openChild(ref: SubtreeRef, block: Uint8Array, parentHeight: number): RecipeNode {
  const child = openRecipeNode(block, ref.key)
  if (child.height !== parentHeight - 1) throw nodeDamaged('stands at the wrong height')
  if (plainBytesOf(child) !== ref.plainBytes)
    throw nodeDamaged('holds another number of bytes than its parent says')
  return child
}
