import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeOf, MIB } from '../base/index.ts'
import {
  type ChunkRef,
  type GetBlock,
  openPatches,
  PROFILE_64K,
  type SealedDelta,
  sealDelta,
  sealFile,
  type TreeRef,
  walkTree,
} from './index.ts'
import { createMemoryBlocks, inPieces, noise } from '../testing/memory-blocks.ts'

const SECRET = new Uint8Array(32).fill(7)
const SEAL = { profile: PROFILE_64K, secret: SECRET, zstdLevel: 3 }
const DELTA = { secret: SECRET, zstdLevel: 6 }

interface Pair {
  readonly store: ReturnType<typeof createMemoryBlocks>
  readonly base: Buffer
  readonly next: Buffer
  readonly trees: { readonly base: TreeRef; readonly next: TreeRef }
  readonly delta: SealedDelta
}

async function pairOf(before: Uint8Array, after: Uint8Array): Promise<Pair> {
  const store = createMemoryBlocks()
  const base = await sealFile(inPieces(before), store.put, SEAL)
  const next = await sealFile(inPieces(after), store.put, SEAL)
  const trees = { base: base.tree, next: next.tree }
  return {
    store,
    base: Buffer.from(before),
    next: Buffer.from(after),
    trees,
    delta: await sealDelta(trees, store, DELTA),
  }
}

/** Builds the new image as a device would: what the base has is copied, what has a patch is patched. */
async function rebuilt(pair: Pair, get: GetBlock = pair.store.get) {
  const { base } = pair
  const have = new Set<string>()
  for await (const ref of walkTree(pair.trees.base, pair.store.get)) have.add(hex(ref))
  const patches = await openPatches(pair.delta.lists, {
    get,
    readBase: async (offset, bytes) =>
      offset + bytes > base.byteLength
        ? undefined
        : Uint8Array.from(base.subarray(offset, offset + bytes)),
    baseBytes: base.byteLength,
  })
  let offset = 0
  let chunk = 0
  let patched = 0
  let plain = 0
  for await (const ref of walkTree(pair.trees.next, pair.store.get)) {
    const patch = patches.find(chunk++)
    const wanted = pair.next.subarray(offset, offset + ref.plainBytes)
    if (patch !== undefined) {
      assert.ok(!have.has(hex(ref)), 'no patch for what the base has')
      const plain = await patches.apply(patch, { ref, offset })
      assert.ok(wanted.equals(plain.bytes))
      plain.release()
      patched++
    } else if (!have.has(hex(ref))) plain++
    offset += ref.plainBytes
  }
  return { patched, plain }
}

const hex = ({ plainHash }: ChunkRef) => plainHash.toHex()

/** Every 3,000th byte is another one, which leaves no chunk as it was; a piece in front moves all of it. */
function edited(base: Uint8Array): Buffer {
  const next = Buffer.from(base)
  for (let at = 1_000; at < next.byteLength; at += 3_000) next[at] = (next[at] ?? 0) ^ 0x55
  return Buffer.concat([noise(5_000, 5), next])
}

describe('patches', () => {
  test('of an image in which every chunk has changed cost a fraction of the chunks', async () => {
    const base = noise(6 * MIB, 1)
    const pair = await pairOf(base, edited(base))
    const { patched, plain } = await rebuilt(pair)
    assert.ok(patched > 60 && plain <= 1, `${patched} patched, ${plain} plain`)
    const { delta } = pair
    assert.equal(delta.patchedChunks, patched)
    assert.ok(delta.patches < patched / 4, 'neighbours share a patch')
    assert.ok(delta.deltaBytes < 0.1 * delta.insteadOfBytes, `${delta.deltaBytes} bytes`)
  })

  test('are not made where the earlier image has nothing alike', async () => {
    const pair = await pairOf(noise(MIB, 1), noise(MIB, 2))
    assert.equal(pair.delta.patches, 0)
    assert.equal(pair.delta.deltaBytes, 0)
    assert.ok(pair.delta.plainBytes > MIB)
  })

  test('work with a base that is smaller than a window, and one of nothing', async () => {
    const small = noise(40_000, 1)
    const { patched } = await rebuilt(await pairOf(small, edited(small)))
    assert.ok(patched >= 1)
    const pair = await pairOf(Buffer.alloc(0), small)
    assert.equal(pair.delta.patches, 0)
  })

  test('are the same blocks when they are made again, and other blocks than any chunk', async () => {
    const base = noise(MIB, 1)
    const pair = await pairOf(base, edited(base))
    const before = pair.store.blocks.size
    const again = await sealDelta(pair.trees, pair.store, DELTA)
    assert.deepEqual(again, pair.delta)
    assert.equal(pair.store.blocks.size, before)
  })

  test('whose bundle is another, or whose base is damaged, are told and not taken', async () => {
    const base = noise(2 * MIB, 1)
    const pair = await pairOf(base, edited(base))
    const isDelta = (thrown: unknown) => codeOf(thrown) === 'delta-damaged'
    const lists = new Set(pair.delta.lists.map(({ cid }) => cid.toString()))
    const flipped: GetBlock = async (cid, options) => {
      const block = await pair.store.get(cid, options)
      if (cid.code !== 0x55 || lists.has(cid.toString())) return block
      const changed = Uint8Array.from(block)
      changed[10] = (changed[10] ?? 0) ^ 1
      return changed
    }
    await assert.rejects(rebuilt(pair, flipped), isDelta)
    const damaged = { ...pair, base: Buffer.from(noise(base.byteLength, 9)) }
    await assert.rejects(rebuilt(damaged), isDelta)
    const short = { ...pair, base: Buffer.from(base.subarray(0, MIB)) }
    await assert.rejects(rebuilt(short), isDelta)
  })
})
