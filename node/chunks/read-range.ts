import { openChunk } from './chunk.ts'
import { inOrder } from './in-order.ts'
import { READ_AHEAD_CHUNKS } from './limits.ts'
import { openRecipeNode, plainBytesOf } from './recipe.ts'
import {
  type ChunkRef,
  chunkError,
  type GetBlock,
  type ReadOptions,
  type TreeRef,
} from './types.ts'

/** A chunk of which only the bytes from `skip` up to `end` are wanted. */
interface Piece {
  readonly ref: ChunkRef
  readonly skip: number
  readonly end: number
}

/**
 * The plaintext from byte `from` up to, not including, `to`; only nodes and chunks that hold some of it are read.
 * Throws like `readFile`, and node-damaged when the file ends before `to`.
 */
export async function* readRange(
  tree: TreeRef,
  get: GetBlock,
  range: { readonly from: number; readonly to: number },
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  let left = range.to - range.from
  if (left <= 0) return
  const pieces = piecesIn({ ref: tree, at: 0, height: undefined }, get, range, options)
  const opened = inOrder(
    pieces,
    options.aheadChunks ?? READ_AHEAD_CHUNKS,
    async ({ ref, skip, end }, signal) => {
      const plain = await openChunk(ref, await get(ref.cid, { signal }))
      return plain.subarray(skip, end)
    },
    options,
  )
  for await (const bytes of opened) {
    left -= bytes.byteLength
    yield bytes
  }
  if (left === 0) return
  throw chunkError('node-damaged', `the file ends ${left} bytes before the range does`, {
    blame: 'caller',
    fix: 'Ask for bytes within the file.',
  })
}

async function* piecesIn(
  node: {
    readonly ref: TreeRef & { readonly plainBytes?: number }
    readonly at: number
    readonly height: number | undefined
  },
  get: GetBlock,
  range: { readonly from: number; readonly to: number },
  options: ReadOptions,
): AsyncGenerator<Piece> {
  const opened = openRecipeNode(await get(node.ref.cid, options), node.ref.key)
  const isWrong =
    (node.height !== undefined && opened.height !== node.height) ||
    (node.ref.plainBytes !== undefined && plainBytesOf(opened) !== node.ref.plainBytes)
  if (isWrong) {
    throw chunkError('node-damaged', 'a node is not what its parent says', {
      blame: 'peer',
      fix: 'Fetch it again from another peer; if all agree, ask the publisher.',
    })
  }
  let { at } = node
  for (const entry of opened.entries) {
    const end = at + entry.plainBytes
    if (at >= range.to) return
    if (end > range.from) {
      if ('plainHash' in entry) {
        const skip = Math.max(0, range.from - at)
        yield { ref: entry, skip, end: Math.min(entry.plainBytes, range.to - at) }
      } else {
        yield* piecesIn({ ref: entry, at, height: opened.height - 1 }, get, range, options)
      }
    }
    at = end
  }
}
