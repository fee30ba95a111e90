import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { type Clock, KIB, MIB, systemClock } from '../base/index.ts'
import type { Block, Storage } from './index.ts'
import {
  block,
  DAG_CBOR,
  RAW,
  randomBlocks,
  seededRandom,
  segmentPaths,
  using,
  withFolder,
  withStorage,
} from './trial-storage.ts'

const ME = { owner: 'me' }

async function pin(storage: Storage, root: Block, rest: readonly Block[], owner = ME) {
  const session = await storage.pins.open(root.cid)
  await session.add([root, ...rest])
  return session.commit(owner)
}

async function here(storage: Storage, all: readonly Block[]): Promise<boolean[]> {
  return Promise.all(all.map(({ cid }) => storage.blocks.has(cid)))
}

describe('a pin', () => {
  test('keeps its blocks through garbage collection and restart, and tells of them with their codecs', async () => {
    await withFolder(async (folder) => {
      const root = block('root', DAG_CBOR)
      const leaves = [block('leaf'), block('protobuf', 0x70), block('json', 0x0129)]
      await using(folder, {}, async (storage) => {
        const made = await pin(storage, root, leaves)
        assert.deepEqual(made, { root: root.cid, owners: [ME], blocks: 4, bytes: 20 })
        await storage.blocks.put(block('cached').cid, block('cached').bytes)
        const { deletedBlocks, liveBlocks } = await storage.collectGarbage()
        assert.deepEqual([deletedBlocks, liveBlocks], [1, 4])
      })
      await using(folder, {}, async (storage) => {
        const listed = await Array.fromAsync(storage.pins.blocks(root.cid), String)
        assert.deepEqual(listed.sort(), [root, ...leaves].map(({ cid }) => String(cid)).sort())
        assert.deepEqual(await here(storage, [root, ...leaves]), [true, true, true, true])
        assert.equal(await storage.pins.contains(root.cid, block('leaf').cid), true)
        assert.equal(await storage.pins.contains(root.cid, block('cached').cid), false)
      })
    })
  })

  test('is not there, empty and without blocks for a root that nobody pinned', async () => {
    await withStorage({}, async ({ pins }) => {
      const { cid } = block('nobody')
      assert.equal(await pins.get(cid), undefined)
      assert.deepEqual(await Array.fromAsync(pins.blocks(cid)), [])
      assert.equal(await pins.contains(cid, cid), false)
      assert.equal(await pins.share(cid, ME), false)
      assert.equal(await pins.remove(cid, 'me'), false)
    })
  })

  test('goes with its last owner, not before', async () => {
    await withStorage({}, async (storage) => {
      const root = block('root')
      await pin(storage, root, [])
      assert.equal(await storage.pins.share(root.cid, { owner: 'friend', untilMs: 5e12 }), true)
      assert.equal(await storage.pins.remove(root.cid, 'stranger'), false)
      assert.equal(await storage.pins.remove(root.cid, 'me'), true)
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [root]), [true])
      assert.deepEqual((await storage.pins.get(root.cid))?.owners, [
        { owner: 'friend', untilMs: 5e12 },
      ])
      assert.equal(await storage.pins.remove(root.cid, 'friend'), true)
      assert.equal(await storage.pins.get(root.cid), undefined)
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [root]), [false])
    })
  })

  test('ends when the time of its last owner is up', async () => {
    let nowMs = 1_000
    const clock: Clock = { ...systemClock, nowMs: () => nowMs }
    await withStorage({ clock }, async (storage) => {
      const root = block('root')
      const session = await storage.pins.open(root.cid)
      await session.add([root])
      await session.commit({ owner: 'order', untilMs: 2_000 })
      nowMs = 1_999
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [root]), [true])
      nowMs = 2_000
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [root]), [false])
      assert.equal(await storage.pins.get(root.cid), undefined)
    })
  })

  test('shares blocks with another pin, and taking one away, again and again, hurts neither', async () => {
    await withStorage({}, async (storage) => {
      const [a, b, shared] = [block('a', DAG_CBOR), block('b', DAG_CBOR), block('shared')]
      await pin(storage, a, [shared])
      await pin(storage, b, [shared])
      for (let round = 0; round < 3; round++) {
        await storage.pins.remove(a.cid, 'me')
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [a, b, shared]), [false, true, true])
        await pin(storage, a, [shared])
      }
      await storage.pins.remove(a.cid, 'me')
      await storage.pins.remove(b.cid, 'me')
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [a, b, shared]), [false, false, false])
    })
  })

  test('of a root that is pinned already grows by what is committed again', async () => {
    await withStorage({}, async (storage) => {
      const root = block('root')
      await pin(storage, root, [block('first')])
      const grown = await pin(storage, root, [block('second')], { owner: 'other' })
      assert.equal(grown.blocks, 3)
      assert.deepEqual(
        grown.owners.map(({ owner }) => owner),
        ['me', 'other'],
      )
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [root, block('first'), block('second')]), [
        true,
        true,
        true,
      ])
    })
  })

  test('is one for both spellings of a dag-pb root', async () => {
    await withStorage({}, async (storage) => {
      const root = block('root', 0x70)
      const v0 = CID.createV0(root.cid.multihash as Digest.Digest<0x12, number>)
      await pin(storage, { cid: v0, bytes: root.bytes }, [])
      assert.equal((await storage.pins.get(root.cid))?.blocks, 1)
      assert.equal(await storage.pins.remove(v0, 'me'), true)
    })
  })

  test('finds any of many blocks, and none that is not among them', async () => {
    await withStorage({ quotaBytes: 256 * MIB }, async (storage) => {
      const random = seededRandom(3)
      const all = Array.from({ length: 20_000 }, () => block(random.bytes(24)))
      const [root] = all as [Block]
      await pin(storage, root, all)
      for (let n = 0; n < all.length; n += 23)
        assert.equal(await storage.pins.contains(root.cid, (all[n] as Block).cid), true)
      const edges = [new Uint8Array(32), new Uint8Array(32).fill(0xff)].map((digest) =>
        CID.createV1(RAW, Digest.create(0x12, digest)),
      )
      for (const cid of [...edges, ...randomBlocks(200, 9).map((each) => each.cid)])
        assert.equal(await storage.pins.contains(root.cid, cid), false)
    })
  })

  test('is refused for an owner without a name, a broken time, and a root with another hash', async () => {
    await withStorage({}, async (storage) => {
      const root = block('root')
      await pin(storage, root, [])
      await assert.rejects(storage.pins.share(root.cid, { owner: '' }), {
        code: 'record-malformed',
      })
      await assert.rejects(storage.pins.share(root.cid, { owner: 'x', untilMs: Number.NaN }), {
        code: 'record-malformed',
      })
      const identity = CID.createV1(RAW, Digest.create(0, root.bytes))
      await assert.rejects(storage.pins.open(identity), { code: 'block-mismatch' })
    })
  })

  test('lists every pin', async () => {
    await withStorage({}, async (storage) => {
      const roots = Array.from({ length: 150 }, (_, n) => block(`root ${n}`))
      for (const root of roots) await pin(storage, root, [])
      const listed = await Array.fromAsync(storage.pins.list(), ({ root }) => String(root))
      assert.deepEqual(listed.sort(), roots.map(({ cid }) => String(cid)).sort())
    })
  })
})

describe('a pin session', () => {
  test('keeps its blocks over restarts and goes on with them', async () => {
    await withFolder(async (folder) => {
      const [root, one, two] = [block('root'), block('one'), block('two')]
      await using(folder, {}, async (storage) => {
        await (await storage.pins.open(root.cid)).add([one])
      })
      await using(folder, {}, async (storage) => {
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [one]), [true])
        const session = await storage.pins.open(root.cid)
        await session.add([two, root])
        assert.equal((await session.commit(ME)).blocks, 3)
      })
      await using(folder, {}, async (storage) => {
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [root, one, two]), [true, true, true])
      })
    })
  })

  test('takes in what is in the store already, and says what is not', async () => {
    await withStorage({}, async (storage) => {
      const [root, cached] = [block('root'), block('cached')]
      await storage.blocks.put(cached.cid, cached.bytes)
      const session = await storage.pins.open(root.cid)
      assert.equal(await session.adopt(cached.cid), true)
      assert.equal(await session.adopt(block('absent').cid), false)
      await storage.collectGarbage()
      await session.add([root])
      assert.equal((await session.commit(ME)).blocks, 2)
    })
  })

  test('leaves garbage when it is dropped, after a restart too', async () => {
    await withFolder(async (folder) => {
      const root = block('root')
      await using(folder, {}, async (storage) => {
        const session = await storage.pins.open(root.cid)
        await session.add([root])
        await session.drop()
        await session.drop()
        await assert.rejects(session.add([root]), { code: 'session-ended' })
      })
      await using(folder, {}, async (storage) => {
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [root]), [false])
      })
    })
  })

  test('that was left behind and not opened for a week is given up', async () => {
    await withFolder(async (folder) => {
      const [root, other] = [block('root'), block('other')]
      await using(folder, {}, async (storage) => {
        await (await storage.pins.open(root.cid)).add([root])
        await (await storage.pins.open(other.cid)).add([other])
      })
      let later = 6 * 24 * 3_600_000
      const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + later }
      await using(folder, { clock }, async (storage) => {
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [root, other]), [true, true])
        const session = await storage.pins.open(other.cid)
        later = 8 * 24 * 3_600_000
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [root, other]), [false, true])
        assert.equal((await session.commit(ME)).blocks, 1)
      })
    })
  })

  test('is refused once the storage has stopped', async () => {
    await withFolder(async (folder) => {
      const root = block('root')
      const session = await using(folder, {}, async ({ pins }) => pins.open(root.cid))
      await assert.rejects(session.add([root]), { code: 'storage-stopped' })
      await assert.rejects(session.commit(ME), { code: 'storage-stopped' })
      assert.deepEqual(await segmentPaths(folder), [])
    })
  })

  test('may be used by two at once: the first commit pins, the other goes on', async () => {
    await withStorage({}, async (storage) => {
      const [root, late] = [block('root'), block('late')]
      const one = await storage.pins.open(root.cid)
      const other = await storage.pins.open(root.cid)
      await one.add([root])
      await other.add([late])
      await one.commit({ owner: 'one' })
      await other.add([late])
      const both = await other.commit({ owner: 'other' })
      assert.equal(both.blocks, 2)
      assert.equal(both.owners.length, 2)
    })
  })

  test('ends with the next one of its root when a failure left it lying', async () => {
    await withStorage({}, async (storage) => {
      const [root, leaf] = [block('root'), block('leaf')]
      const forgotten = await storage.pins.open(root.cid)
      await forgotten.add([leaf])
      const again = await storage.pins.open(root.cid)
      await again.add([root])
      assert.equal((await again.commit(ME)).blocks, 2)
      await assert.rejects(forgotten.add([leaf]), { code: 'session-ended' })
      await storage.pins.remove(root.cid, 'me')
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [root, leaf]), [false, false])
    })
  })

  test('is not committed without its root, nor with a block that rotted meanwhile, and can be mended', async () => {
    await withStorage({}, async (storage, folder) => {
      const [root, leaf] = [block('the root'), block('the leaf')]
      const session = await storage.pins.open(root.cid)
      await session.add([leaf])
      await assert.rejects(session.commit(ME), { code: 'block-mismatch' })
      await session.add([root])
      const [path = ''] = await segmentPaths(folder)
      const bytes = await readFile(path)
      bytes.write('!', bytes.indexOf('the leaf'))
      await writeFile(path, bytes)
      assert.equal(await storage.blocks.get(leaf.cid), undefined)
      await assert.rejects(session.commit(ME), { code: 'storage-damaged' })
      await session.add([leaf])
      assert.equal((await session.commit(ME)).blocks, 2)
    })
  })

  test('may be opened for one root and committed for another, in both directions at once', async () => {
    await withStorage({}, async (storage) => {
      const [a, b] = [block('a'), block('b')]
      const forA = await storage.pins.open(a.cid)
      const forB = await storage.pins.open(b.cid)
      await forA.add([a, b])
      await forB.add([a, b])
      const pins = await Promise.all([forA.commit(ME, b.cid), forB.commit(ME, a.cid)])
      assert.deepEqual(
        pins.map(({ root }) => root),
        [b.cid, a.cid],
      )
      await storage.collectGarbage()
      assert.deepEqual(await here(storage, [a, b]), [true, true])
    })
  })

  test('stores nothing of a batch with a wrong block', async () => {
    await withStorage({}, async (storage) => {
      const root = block('root')
      const session = await storage.pins.open(root.cid)
      await assert.rejects(session.add([root, { cid: block('a').cid, bytes: block('b').bytes }]), {
        code: 'block-mismatch',
      })
      assert.deepEqual(await here(storage, [root, block('a')]), [false, false])
      await session.add([root])
      assert.equal((await session.commit(ME)).blocks, 1)
    })
  })
})

describe('a damaged closure file', () => {
  test('stops garbage collection rather than lose a block, until the root is fetched again', async () => {
    await withFolder(async (folder) => {
      const [root, leaf, other] = [block('root'), block('leaf'), block('other')]
      await using(folder, {}, async (storage) => {
        await pin(storage, root, [leaf])
        const closures = join(folder, 'closures')
        const path = join(closures, (await readdir(closures))[0] as string)
        const bytes = await readFile(path)
        bytes[20] = (bytes[20] as number) ^ 1
        await writeFile(path, bytes)
        await storage.blocks.put(other.cid, other.bytes)
        await assert.rejects(storage.collectGarbage(), { code: 'storage-damaged' })
        assert.deepEqual(await here(storage, [root, leaf, other]), [true, true, true])
        await pin(storage, root, [leaf])
        await storage.collectGarbage()
        assert.deepEqual(await here(storage, [root, leaf, other]), [true, true, false])
      })
    })
  })
})

describe('what a pin costs', () => {
  test('is mostly its blocks: one add of 1,000 blocks and the commit are quick', async (t) => {
    await withStorage({}, async (storage) => {
      const all = randomBlocks(1_000, KIB)
      const [root] = all as [Block]
      const began = performance.now()
      const session = await storage.pins.open(root.cid)
      await session.add(all)
      await session.commit(ME)
      const ms = performance.now() - began
      const look = performance.now()
      for (const { cid } of all) await storage.pins.contains(root.cid, cid)
      const us = ((performance.now() - look) / all.length) * 1_000
      t.diagnostic(`${ms.toFixed(0)} ms for 1,000 blocks; contains takes ${us.toFixed(0)} us`)
      assert.ok(ms < 5_000)
    })
  })
})
