import assert from 'node:assert/strict'
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { concat, MIB } from '../base/index.ts'
import {
  type ChunkRef,
  NODE_MAX_BYTES,
  NODE_MAX_PAYLOAD_BYTES,
  openChunk,
  openNode,
  PROFILE_64K,
  readFile,
  sealFile,
  sealNode,
  type TreeRef,
  walkTree,
} from './index.ts'

const SECRET = new Uint8Array(32).fill(7)
const KEY = new Uint8Array(32).fill(9)

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const cidOf = (code: number, bytes: Uint8Array) =>
  CID.createV1(code, Digest.create(0x12, sha256(bytes)))

/** What the format says, written a second time: AES-256-GCM, nonce zero, tag at the end. */
function encrypt(plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', KEY, new Uint8Array(12))
  return concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function chunkOf(
  frame: Uint8Array,
  claims: Partial<ChunkRef>,
): { ref: ChunkRef; block: Uint8Array } {
  const block = encrypt(frame)
  const ref = {
    cid: cidOf(0x55, block),
    sealedBytes: block.byteLength,
    plainBytes: 1,
    plainHash: new Uint8Array(32),
    key: KEY,
    ...claims,
  }
  return { ref, block }
}

async function sealedSample() {
  const blocks = new Map<string, Uint8Array>()
  const data = randomBytes(300_000)
  const source = (async function* () {
    yield data
    await Promise.resolve()
  })()
  const { tree } = await sealFile(
    source,
    ({ cid, bytes }) => Promise.resolve(void blocks.set(cid.toString(), bytes)),
    { profile: PROFILE_64K, secret: SECRET, zstdLevel: 1 },
  )
  const get = (cid: CID) => {
    const bytes = blocks.get(cid.toString())
    return bytes === undefined ? Promise.reject(new Error('missing')) : Promise.resolve(bytes)
  }
  return { blocks, tree, get }
}

/** A tree of nodes that nobody honest would make. */
function hostileTree() {
  const blocks = new Map<string, Uint8Array>()
  return {
    get: (cid: CID) => {
      const bytes = blocks.get(cid.toString())
      return bytes === undefined ? Promise.reject(new Error('missing')) : Promise.resolve(bytes)
    },
    async node(links: readonly CID[], payload: unknown): Promise<TreeRef> {
      const node = await sealNode({ links, payload: dagCbor.encode(payload) }, SECRET)
      blocks.set(node.cid.toString(), node.bytes)
      return node
    },
  }
}

const damagedNode = { code: 'node-damaged', blame: 'peer' }
const damagedChunk = { code: 'chunk-damaged', blame: 'peer' }

describe('a chunk', () => {
  test('with one bit changed anywhere, cut short, or of another key is refused', async () => {
    const { tree, get } = await sealedSample()
    const [ref] = await Array.fromAsync(walkTree(tree, get))
    assert.ok(ref !== undefined)
    const block = await get(ref.cid)
    assert.equal((await openChunk(ref, block)).byteLength, ref.plainBytes)
    for (const at of [0, 1, block.byteLength >> 1, block.byteLength - 17, block.byteLength - 1]) {
      const changed = Uint8Array.from(block)
      changed[at] = (changed[at] ?? 0) ^ 1
      await assert.rejects(openChunk(ref, changed), damagedChunk)
    }
    await assert.rejects(openChunk(ref, block.subarray(1)), damagedChunk)
    await assert.rejects(openChunk(ref, new Uint8Array()), damagedChunk)
    await assert.rejects(openChunk({ ...ref, key: KEY }, block), damagedChunk)
    await assert.rejects(openChunk({ ...ref, key: new Uint8Array(3) }, block), damagedChunk)
    await assert.rejects(openChunk({ ...ref, plainHash: KEY }, block), damagedChunk)
    await assert.rejects(openChunk({ ...ref, plainBytes: ref.plainBytes + 1 }, block), damagedChunk)
    await assert.rejects(openChunk({ ...ref, plainBytes: ref.plainBytes - 1 }, block), damagedChunk)
  })

  test('that would unpack to more than it claims is stopped at what it claims', async () => {
    const bomb = zstdCompressSync(new Uint8Array(256 * MIB))
    assert.ok(bomb.byteLength < 64 * 1024)
    const before = process.memoryUsage().rss
    const { ref, block } = chunkOf(bomb, { plainBytes: 256 * 1024 })
    await assert.rejects(openChunk(ref, block), damagedChunk)
    assert.ok(process.memoryUsage().rss - before < 32 * MIB)
    await assert.rejects(openChunk({ ...ref, plainBytes: 256 * MIB }, block), damagedChunk)
  })

  test('that seals no zstd frame is refused', async () => {
    const { ref, block } = chunkOf(randomBytes(100), { plainBytes: 100 })
    await assert.rejects(openChunk(ref, block), damagedChunk)
  })
})

describe('a node', () => {
  test('carries any payload and its links, the same block for the same content', async () => {
    const links = [cidOf(0x55, KEY), cidOf(0x71, SECRET)]
    const payload = dagCbor.encode({ names: ['a', 'b'] })
    const node = await sealNode({ links, payload }, SECRET)
    const { links: back, payload: opened } = openNode(node.bytes, node.key)
    assert.deepEqual(back.map(String), links.map(String))
    assert.deepEqual(Buffer.from(opened), Buffer.from(payload))
    assert.deepEqual(await sealNode({ links, payload }, SECRET), node)
    assert.notDeepEqual((await sealNode({ links, payload }, KEY)).key, node.key)
  })

  test('is refused by its maker when it would be too large', async () => {
    const tooLarge = { code: 'node-too-large', blame: 'caller' }
    const noise = randomBytes(NODE_MAX_BYTES)
    await assert.rejects(sealNode({ links: [], payload: noise }, SECRET), tooLarge)
    const zeros = new Uint8Array(NODE_MAX_PAYLOAD_BYTES + 1)
    await assert.rejects(sealNode({ links: [], payload: zeros }, SECRET), tooLarge)
  })

  test('is refused by its reader when it was changed, is foreign, or unpacks without end', async () => {
    const node = await sealNode({ links: [], payload: new Uint8Array(10) }, SECRET)
    const flipped = Uint8Array.from(node.bytes)
    const last = flipped.byteLength - 1
    flipped[last] = (flipped[last] ?? 0) ^ 1
    const sealed = encrypt(zstdCompressSync(new Uint8Array(64 * MIB)))
    const cases: readonly (readonly [Uint8Array, Uint8Array])[] = [
      [flipped, node.key],
      [node.bytes, KEY],
      [node.bytes, new Uint8Array(31)],
      [node.bytes.subarray(0, -1), node.key],
      [new Uint8Array(), node.key],
      [new Uint8Array(NODE_MAX_BYTES + 1), node.key],
      [dagCbor.encode({ links: [], sealed }), KEY],
      [dagCbor.encode({ links: [], sealed: new Uint8Array(3) }), KEY],
      [dagCbor.encode({ links: ['text'], sealed: KEY }), KEY],
      [dagCbor.encode({ links: [CID.createV1(0x70, Digest.create(0x12, KEY))], sealed: KEY }), KEY],
      [dagCbor.encode({ links: [], sealed: KEY, more: 1 }), KEY],
      [dagCbor.encode([1, 2]), KEY],
      [dagCbor.encode(null), KEY],
    ]
    for (const [bytes, key] of cases) assert.throws(() => openNode(bytes, key), damagedNode)
  })
})

describe('a recipe tree', () => {
  const chunk = cidOf(0x55, KEY)
  const row = [1000, 900, KEY, KEY]
  const read = (tree: TreeRef, get: (cid: CID) => Promise<Uint8Array>, maxPlainBytes?: number) =>
    Array.fromAsync(walkTree(tree, get, maxPlainBytes === undefined ? {} : { maxPlainBytes }))

  test('whose node does not have the form is refused', async () => {
    const tree = hostileTree()
    const inner = await tree.node([chunk], [0, [row]])
    const cases: readonly (readonly [readonly CID[], unknown])[] = [
      [[], { height: 0 }],
      [[], [0]],
      [[], ['0', []]],
      [[], [-1, []]],
      [[], [1, []]],
      [[chunk], [0, []]],
      [[], [0, [row]]],
      [[chunk], [0, [[1000, 900, KEY]]]],
      [[chunk], [0, [[1000.5, 900, KEY, KEY]]]],
      [[chunk], [0, [[0, 900, KEY, KEY]]]],
      [[chunk], [0, [[1000, 2000, KEY, KEY]]]],
      [[chunk], [0, [[16 * MIB, 900, KEY, KEY]]]],
      [[chunk], [0, [[1000, 900, KEY.subarray(1), KEY]]]],
      [[inner.cid], [0, [row]]],
      [[chunk], [1, [[1000, KEY]]]],
      [[inner.cid], [1, [[0, inner.key]]]],
      [new Array<CID>(400).fill(chunk), [0, new Array(400).fill(row)]],
    ]
    for (const [links, payload] of cases) {
      await assert.rejects(read(await tree.node(links, payload), tree.get), damagedNode)
    }
  })

  test('that multiplies itself, claims too much, or leads back up is refused before it costs anything', async () => {
    const tree = hostileTree()
    const leaf = await tree.node([chunk], [0, [row]])
    const wide = 300
    const many = await tree.node(new Array<CID>(wide).fill(leaf.cid), [
      1,
      new Array(wide).fill([1000, leaf.key]),
    ])
    assert.equal((await read(many, tree.get)).length, wide)
    await assert.rejects(read(many, tree.get, 1000 * wide - 1), { code: 'tree-too-large' })
    const lying = await tree.node([leaf.cid], [1, [[1, leaf.key]]])
    await assert.rejects(read(lying, tree.get), damagedNode)
    const skipping = await tree.node([leaf.cid], [2, [[1000, leaf.key]]])
    await assert.rejects(read(skipping, tree.get), damagedNode)
    const deep = await tree.node([leaf.cid], [9, [[1000, leaf.key]]])
    await assert.rejects(read(deep, tree.get), { code: 'tree-too-deep', blame: 'peer' })
  })

  test('stops fetching when its reader leaves or aborts, and passes on what the store throws', async () => {
    const { tree, get, blocks } = await sealedSample()
    let aborted = 0
    const slow = (cid: CID, options?: { readonly signal?: AbortSignal | undefined }) =>
      new Promise<Uint8Array>((resolve, reject) => {
        const bytes = blocks.get(cid.toString())
        if (cid.code === 0x71 && bytes !== undefined) return resolve(bytes)
        const fail = () => {
          aborted++
          reject(new Error('aborted'))
        }
        if (options?.signal?.aborted === true) return fail()
        options?.signal?.addEventListener('abort', fail)
        return undefined
      })
    const stop = new AbortController()
    const reading = Array.fromAsync(readFile(tree, slow, { signal: stop.signal }))
    setImmediate(() => stop.abort())
    await assert.rejects(reading, /aborted/)
    assert.ok(aborted > 1)

    const [first] = await Array.fromAsync(walkTree(tree, get))
    for await (const part of readFile(tree, get)) {
      assert.equal(part.byteLength, first?.plainBytes)
      break
    }
    blocks.delete(String(first?.cid))
    await assert.rejects(Array.fromAsync(readFile(tree, get)), /missing/)
  })
})
