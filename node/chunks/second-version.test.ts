import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { MIB } from '../base/index.ts'
import {
  type ChunkProfile,
  type ChunkRef,
  PROFILE_64K,
  readFile,
  type SealOptions,
  sealFile,
  walkTree,
} from './index.ts'
import { createMemoryBlocks, inPieces, type MemoryBlocks, noise } from '../testing/memory-blocks.ts'

const SECRET = new Uint8Array(32).fill(7)
/** Small chunks, so that a small file has a tree of several levels. */
const TINY: ChunkProfile = { minBytes: 256, averageBytes: 512, maxBytes: 1024 }

const seal = (
  data: Uint8Array,
  store: MemoryBlocks,
  options: Partial<SealOptions> = {},
  pieceBytes?: number,
) =>
  sealFile(inPieces(data, pieceBytes), store.put, {
    profile: PROFILE_64K,
    secret: SECRET,
    zstdLevel: 1,
    ...options,
  })

async function whole(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(parts))
}

describe('a second version', () => {
  test('costs under 5 % when 1 % changed in ten places, one of them an insertion', async (t) => {
    const image = noise(64 * MIB, 9)
    const store = createMemoryBlocks()
    const first = await seal(image, store)
    const known = new Map<string, ChunkRef>()
    for await (const ref of walkTree(first.tree, store.get)) known.set(ref.plainHash.toHex(), ref)

    const changed = Buffer.from(image)
    const partBytes = Math.floor(image.byteLength / 1000)
    for (let place = 0; place < 9; place++) {
      changed.set(noise(partBytes, 100 + place), place * 7 * MIB + 12_345)
    }
    const at = 40 * MIB + 321
    const next = Buffer.concat([
      changed.subarray(0, at),
      noise(partBytes, 200),
      changed.subarray(at),
    ])

    const before = store.blocks.size
    const stored: number[] = []
    const second = await sealFile(
      inPieces(next),
      async (block) => {
        if (store.blocks.has(block.cid.toString())) return
        stored.push(block.bytes.byteLength)
        await store.put(block)
      },
      // Another level would give other bytes, were anything compressed again.
      { profile: PROFILE_64K, secret: SECRET, zstdLevel: 2, known: (hash) => known.get(hash) },
    )
    const newBytes = stored.reduce((sum, bytes) => sum + bytes, 0)
    t.diagnostic(
      `new: ${newBytes} bytes (${((100 * newBytes) / image.byteLength).toFixed(2)} %) in ` +
        `${second.newChunks} of ${second.chunks} chunks and ${stored.length - second.newChunks} nodes`,
    )
    assert.ok(newBytes < 0.05 * image.byteLength)
    assert.equal(store.blocks.size, before + stored.length)
    assert.ok((await whole(readFile(second.tree, store.get))).equals(next))
  })

  test('changes one node on each level for one changed chunk of very many', async () => {
    const image = noise(3 * MIB, 10)
    const store = createMemoryBlocks()
    await seal(image, store, { profile: TINY })
    const nodes = () =>
      [...store.blocks.keys()].filter((cid) => CID.parse(cid).code === 0x71).length
    const before = nodes()
    const next = Buffer.from(image)
    next[2 * MIB] = (next[2 * MIB] ?? 0) ^ 1
    await sealFile(
      inPieces(next),
      (block) => (store.blocks.has(block.cid.toString()) ? Promise.resolve() : store.put(block)),
      { profile: TINY, secret: SECRET, zstdLevel: 1 },
    )
    // Three levels; a cut that moved may change a neighbour too.
    assert.ok(nodes() - before <= 6, `${nodes() - before} of ${before} nodes changed`)
    assert.ok(before > 50)
  })

  test('compresses and stores nothing that is known', async () => {
    const data = noise(MIB, 11)
    const store = createMemoryBlocks()
    const first = await seal(data, store)
    const known = new Map<string, ChunkRef>()
    for await (const ref of walkTree(first.tree, store.get)) known.set(ref.plainHash.toHex(), ref)
    const again = await sealFile(
      inPieces(data),
      ({ cid }) => {
        assert.equal(cid.code, 0x71, 'a chunk was stored')
        return Promise.resolve()
      },
      { profile: PROFILE_64K, secret: SECRET, zstdLevel: 9, known: (hash) => known.get(hash) },
    )
    assert.deepEqual(again, { ...first, newChunks: 0 })
  })
})
