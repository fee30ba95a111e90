import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { MIB } from '../base/index.ts'
import {
  type ChunkProfile,
  NODE_MAX_BYTES,
  nodeLinks,
  PROFILE_64K,
  type PutBlock,
  readFile,
  type SealOptions,
  sealFile,
  treeBlocks,
  walkTree,
} from './index.ts'
import { createMemoryBlocks, inPieces, type MemoryBlocks, noise } from '../testing/memory-blocks.ts'

const SECRET = new Uint8Array(32).fill(7)
/** Small chunks, so that a small file has a tree of several levels. */
const TINY: ChunkProfile = { minBytes: 256, averageBytes: 512, maxBytes: 1024 }

/** Within one file no block is put twice. */
const putOnce =
  ({ blocks, put }: MemoryBlocks): PutBlock =>
  (block) => {
    assert.ok(!blocks.has(block.cid.toString()), 'a block was put twice')
    return put(block)
  }

const seal = (
  data: Uint8Array,
  store: MemoryBlocks,
  options: Partial<SealOptions> = {},
  pieceBytes?: number,
) =>
  sealFile(inPieces(data, pieceBytes), putOnce(store), {
    profile: PROFILE_64K,
    secret: SECRET,
    zstdLevel: 1,
    ...options,
  })

async function whole(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(parts))
}

describe('sealing a file', () => {
  test('comes back equal for every size around the limits, whatever the pieces', async () => {
    const { minBytes, averageBytes, maxBytes } = TINY
    const edges = [0, 1, 2, 255, minBytes, averageBytes, maxBytes, 2 * maxBytes, 4 * maxBytes]
    const sizes = edges.flatMap((edge) => [edge - 1, edge, edge + 1]).filter((size) => size >= 0)
    for (let n = 0; n < 60; n++) sizes.push((n * 7919 * 13) % 120_000)
    for (const [index, size] of sizes.entries()) {
      const store = createMemoryBlocks()
      const data = noise(size, index % 250)
      // Every other file is compressible.
      if (index % 2 === 0) for (let at = 0; at < size; at += 2) data[at] = 0
      const sealed = await seal(data, store, { profile: TINY }, 1 + ((index * 997) % 5000))
      const plain = await whole(readFile(sealed.tree, store.get))
      assert.ok(plain.equals(data), `size ${size}`)
      assert.equal(sealed.plainBytes, size)
      assert.deepEqual(Buffer.from(sealed.plainHash), createHash('sha256').update(data).digest())
      const refs = await Array.fromAsync(walkTree(sealed.tree, store.get))
      assert.equal(refs.length, sealed.chunks)
      for (const [at, ref] of refs.entries()) {
        assert.ok(ref.plainBytes <= maxBytes)
        assert.ok(at === refs.length - 1 || ref.plainBytes >= minBytes)
      }
    }
  })

  test('an empty file is one node and no chunk', async () => {
    const store = createMemoryBlocks()
    const sealed = await seal(new Uint8Array(), store)
    assert.deepEqual([sealed.chunks, sealed.plainBytes, store.blocks.size], [0, 0, 1])
    assert.deepEqual(await Array.fromAsync(readFile(sealed.tree, store.get)), [])
  })

  test('counts every block once and names every block to whoever pins, with and without keys', async () => {
    const store = createMemoryBlocks()
    const sealed = await seal(noise(2 * MIB, 3), store, { profile: TINY })
    const byTree = new Map<string, number>()
    for await (const { cid, sealedBytes } of treeBlocks(sealed.tree, store.get)) {
      byTree.set(cid.toString(), sealedBytes)
    }
    assert.deepEqual([...byTree.keys()].sort(), [...store.blocks.keys()].sort())
    const stored = [...store.blocks.values()].reduce((sum, block) => sum + block.byteLength, 0)
    assert.equal(sealed.sealedBytes, stored)
    assert.equal(
      [...byTree.values()].reduce((sum, bytes) => sum + bytes, 0),
      stored,
    )

    const byLinks = new Set<string>()
    const follow = (cid: CID) => {
      byLinks.add(cid.toString())
      const block = store.blocks.get(cid.toString())
      assert.ok(block !== undefined && block.byteLength <= NODE_MAX_BYTES)
      if (cid.code === 0x71) for (const link of nodeLinks(block)) follow(link)
    }
    follow(sealed.tree.cid)
    assert.equal(byLinks.size, store.blocks.size)
  })

  test('gives the same blocks for the same bytes, and nothing in common under another secret', async () => {
    const data = noise(MIB, 4)
    const [one, again, other] = [createMemoryBlocks(), createMemoryBlocks(), createMemoryBlocks()]
    const first = await seal(data, one, {}, 1000)
    const second = await seal(data, again, {}, 333_333)
    assert.deepEqual(first.tree, second.tree)
    assert.deepEqual([...one.blocks.keys()].sort(), [...again.blocks.keys()].sort())
    await seal(data, other, { secret: new Uint8Array(32).fill(8) })
    for (const cid of other.blocks.keys()) assert.ok(!one.blocks.has(cid))
  })

  test('cuts elsewhere under a boundary secret', async () => {
    const lengths = async (boundarySecret?: Uint8Array) => {
      const store = createMemoryBlocks()
      const options = boundarySecret === undefined ? {} : { boundarySecret }
      const { tree } = await seal(noise(4 * MIB, 5), store, options)
      return (await Array.fromAsync(walkTree(tree, store.get))).map((ref) => ref.plainBytes)
    }
    const mine = await lengths(new Uint8Array(32).fill(1))
    assert.deepEqual(mine, await lengths(new Uint8Array(32).fill(1)))
    assert.notDeepEqual(mine, await lengths(new Uint8Array(32).fill(2)))
    assert.notDeepEqual(mine, await lengths())
  })

  test('stores a chunk that comes again only once', async () => {
    const store = createMemoryBlocks()
    const sealed = await seal(new Uint8Array(40 * MIB), store)
    assert.equal(sealed.chunks, 320)
    assert.equal(sealed.newChunks, 1)
    assert.ok(sealed.sealedBytes < 64 * 1024, `${sealed.sealedBytes} bytes`)
    assert.equal((await whole(readFile(sealed.tree, store.get))).byteLength, 40 * MIB)
  })

  test('refuses secrets, levels and profiles that are out of bounds', async () => {
    const store = createMemoryBlocks()
    const wrong: Partial<SealOptions>[] = [
      { secret: new Uint8Array(31) },
      { boundarySecret: new Uint8Array() },
      { zstdLevel: 0 },
      { zstdLevel: 23 },
      { profile: { ...PROFILE_64K, minBytes: 1 } },
      { profile: { ...PROFILE_64K, averageBytes: 65_000 } },
      { profile: { ...PROFILE_64K, maxBytes: 2 * MIB } },
    ]
    for (const options of wrong) {
      const refused = { code: 'seal-options-invalid', blame: 'caller' }
      await assert.rejects(seal(noise(1000, 1), store, options), refused)
    }
    assert.equal(store.blocks.size, 0)
  })

  test('ends with the error of the source, of the store, or of the signal', async () => {
    const store = createMemoryBlocks()
    const broken = (async function* () {
      yield* inPieces(noise(MIB, 6))
      throw new Error('disk gone')
    })()
    const options = { profile: PROFILE_64K, secret: SECRET, zstdLevel: 1 }
    await assert.rejects(sealFile(broken, store.put, options), /disk gone/)
    const full = () => Promise.reject(new Error('store full'))
    await assert.rejects(sealFile(inPieces(noise(MIB, 6)), full, options), /store full/)
    const stop = new AbortController()
    const aborted = seal(noise(4 * MIB, 7), store, {
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('no longer wanted')),
    })
    await assert.rejects(aborted, /no longer wanted/)
  })
})
