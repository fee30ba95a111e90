import { createHash } from 'node:crypto'
import { createTreeBuilder } from './build-tree.ts'
import { sealChunk } from './chunk.ts'
import { createFindCut, cutStream } from './cut.ts'
import { inOrder } from './in-order.ts'
import { CHUNKS_IN_FLIGHT, REMEMBERED_CHUNKS } from './limits.ts'
import { checkSecret, sha256 } from './sealing.ts'
import {
  type ChunkRef,
  chunkError,
  type PutBlock,
  type SealedFile,
  type SealOptions,
} from './types.ts'

/** The range of zstd's levels that need no more memory than the default window. */
const ZSTD_LEVELS = { lowest: 1, highest: 19 }

/**
 * Cuts, compresses, seals and stores a file and the recipe tree above it. Needs a few MiB of memory whatever
 * the size of the file. Throws seal-options-invalid and whatever the source or `put` throws.
 */
export async function sealFile(
  source: AsyncIterable<Uint8Array>,
  put: PutBlock,
  options: SealOptions,
): Promise<SealedFile> {
  checkOptions(options)
  const findCut = createFindCut(options.profile, options.boundarySecret)
  const whole = createHash('sha256')
  const remembered = new Map<string, Promise<ChunkRef>>()
  const storedNodes = new Set<string>()
  const count = { plainBytes: 0, sealedBytes: 0, chunks: 0, newChunks: 0 }

  const sealOne = async (plain: Uint8Array, hash: Uint8Array): Promise<ChunkRef> => {
    const known = options.known?.(hash.toHex())
    if (known !== undefined && known.plainBytes === plain.byteLength) {
      count.sealedBytes += known.sealedBytes
      return known
    }
    const { ref, bytes } = await sealChunk(plain, hash, options.secret, options.zstdLevel)
    options.signal?.throwIfAborted()
    await put({ cid: ref.cid, bytes })
    count.newChunks++
    count.sealedBytes += ref.sealedBytes
    return ref
  }
  const sealOnce = (plain: Uint8Array): Promise<ChunkRef> => {
    const hash = sha256(plain)
    const name = hash.toHex()
    const earlier = remembered.get(name)
    if (earlier !== undefined) return earlier
    const ref = sealOne(plain, hash)
    forgetOldest(remembered, REMEMBERED_CHUNKS - 1)
    remembered.set(name, ref)
    return ref
  }
  const tree = createTreeBuilder(options.secret, async (node) => {
    const name = node.cid.toString()
    if (storedNodes.has(name)) return
    forgetOldest(storedNodes, REMEMBERED_CHUNKS - 1)
    storedNodes.add(name)
    await put(node)
    count.sealedBytes += node.bytes.byteLength
  })

  const chunks = cutStream(source, options.profile, findCut)
  const refs = inOrder(
    chunks,
    CHUNKS_IN_FLIGHT,
    (plain) => {
      whole.update(plain)
      return sealOnce(plain)
    },
    options,
  )
  for await (const ref of refs) {
    await tree.add(ref)
    count.chunks++
    count.plainBytes += ref.plainBytes
    options.onProgress?.(count.plainBytes)
  }
  const { cid, key } = await tree.finish()
  return { tree: { cid, key }, plainHash: new Uint8Array(whole.digest()), ...count }
}

/** Maps and sets keep the order of insertion. */
function forgetOldest(memory: Map<string, unknown> | Set<string>, keep: number): void {
  if (memory.size <= keep) return
  const oldest = memory.keys().next()
  if (oldest.done !== true) memory.delete(oldest.value)
}

function checkOptions(options: SealOptions): void {
  checkSecret(options.secret, 'the content secret')
  if (options.boundarySecret !== undefined)
    checkSecret(options.boundarySecret, 'the boundary secret')
  const level = options.zstdLevel
  if (Number.isInteger(level) && level >= ZSTD_LEVELS.lowest && level <= ZSTD_LEVELS.highest) return
  throw chunkError('seal-options-invalid', `zstd has no level ${level} here`, {
    blame: 'caller',
    fix: `Use ${ZSTD_LEVELS.lowest} (fast) to ${ZSTD_LEVELS.highest} (small).`,
  })
}
