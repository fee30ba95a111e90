import assert from 'node:assert/strict'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { KIB, type Log, MIB, silentLog } from '../base/index.ts'
import { type Block, MAX_BLOCK_BYTES } from './index.ts'
import { createTrialFiles } from './trial-files.ts'
import {
  block,
  cidFor,
  DAG_CBOR,
  randomBlocks,
  segmentPaths,
  storageIn,
  using,
  withFolder,
  withStorage,
} from './trial-storage.ts'

describe('the block store', () => {
  test('gives back what was put, and nothing for what was not', async () => {
    await withStorage({}, async ({ blocks }) => {
      const one = block('one')
      await blocks.put(one.cid, one.bytes)
      assert.deepEqual(await blocks.get(one.cid), one.bytes)
      assert.equal(await blocks.has(one.cid), true)
      assert.equal(await blocks.get(block('two').cid), undefined)
      assert.equal(await blocks.has(block('two').cid), false)
    })
  })

  test('keeps the empty block and one of the largest size', async () => {
    await withStorage({}, async ({ blocks }) => {
      const both = [block(''), block(new Uint8Array(MAX_BLOCK_BYTES).fill(7))]
      await blocks.putMany(both)
      for (const { cid, bytes } of both) assert.deepEqual(await blocks.get(cid), bytes)
    })
  })

  test('finds a block under any codec and version of its CID, since the key is the digest', async () => {
    await withStorage({}, async ({ blocks }) => {
      const node = block('node', DAG_CBOR)
      await blocks.put(node.cid, node.bytes)
      assert.equal(await blocks.has(cidFor(node.bytes)), true)
      const v0 = CID.createV0(node.cid.multihash as Digest.Digest<0x12, number>)
      assert.deepEqual(await blocks.get(v0), node.bytes)
    })
  })

  test('refuses bytes that are not those of the CID, another hash, and what is too large', async () => {
    await withStorage({}, async ({ blocks }) => {
      const one = block('one')
      const good = block('good')
      const lie = { cid: one.cid, bytes: block('two').bytes }
      await assert.rejects(blocks.putMany([good, lie]), { code: 'block-mismatch', blame: 'caller' })
      assert.equal(await blocks.has(one.cid), false)
      assert.equal(await blocks.has(good.cid), false, 'nothing of a refused batch is stored')
      const identity = CID.createV1(0x55, Digest.create(0x00, one.bytes))
      await assert.rejects(blocks.put(identity, one.bytes), { code: 'block-mismatch' })
      assert.equal(await blocks.get(identity), undefined)
      const large = block(new Uint8Array(MAX_BLOCK_BYTES + 1))
      await assert.rejects(blocks.put(large.cid, large.bytes), { code: 'block-too-large' })
    })
  })

  test('refuses a batch that does not fit the quota as a whole, and takes one in the place of garbage', async () => {
    await withStorage({ quotaBytes: 100 * KIB, segmentBytes: 32 * KIB }, async (storage) => {
      const cached = randomBlocks(9, 10 * KIB)
      await storage.blocks.putMany(cached)
      const more = randomBlocks(10, 10 * KIB)
      await assert.rejects(storage.blocks.putMany(more), { code: 'quota-exceeded' })
      assert.equal(await storage.blocks.has((more[0] as Block).cid), false)
      assert.deepEqual(await storage.reserve(100 * KIB + 1), {
        ok: false,
        reason: 'quota-exceeded',
      })
      assert.equal(await storage.blocks.has((cached[0] as Block).cid), true, 'hopeless: kept')
      assert.deepEqual(await storage.reserve(20 * KIB), { ok: true, value: undefined })
      assert.equal(storage.blocks.usedBytes, 0)
      await storage.blocks.putMany(more.slice(1))
      assert.ok(storage.blocks.usedBytes >= 90 * KIB)
      assert.ok(storage.blocks.usedBytes <= storage.blocks.quotaBytes)
    })
  })

  test('sweeps for room only when something was let go since it swept last', async () => {
    await withFolder(async (folder) => {
      const files = createTrialFiles(join(folder, 'graveyard'))
      const trial = { quotaBytes: 100 * KIB, segmentBytes: 32 * KIB, files }
      await using(join(folder, 'store'), trial, async (storage) => {
        const kept = randomBlocks(9, 10 * KIB)
        const root = (kept[0] as Block).cid
        const session = await storage.pins.open(root)
        await session.add(kept)
        await session.commit({ owner: 'me' })
        let closuresRead = 0
        files.before = async (operation, path) => {
          if (operation === 'read' && path.includes('/closures/')) closuresRead++
        }
        const wanted = 20 * KIB
        assert.equal((await storage.reserve(wanted)).ok, false)
        const once = closuresRead
        assert.ok(once > 0)
        for (let n = 0; n < 5; n++) assert.equal((await storage.reserve(wanted)).ok, false)
        assert.equal(closuresRead, once)
        await storage.pins.remove(root, 'me')
        assert.equal((await storage.reserve(wanted)).ok, true)
      })
    })
  })

  test('counts what is on its way against the quota, however many put at once', async () => {
    await withStorage({ quotaBytes: 100 * KIB }, async ({ blocks }) => {
      const all = randomBlocks(20, 10 * KIB)
      const outcomes = await Promise.allSettled(all.map(({ cid, bytes }) => blocks.put(cid, bytes)))
      const kept = outcomes.filter(({ status }) => status === 'fulfilled').length
      assert.equal(kept, 9)
      assert.ok(blocks.usedBytes <= blocks.quotaBytes)
    })
  })

  test('writes a block once, however often and however concurrently it is put', async () => {
    await withStorage({}, async ({ blocks }, folder) => {
      const one = block(new Uint8Array(10 * KIB).fill(1))
      await Promise.all([
        blocks.put(one.cid, one.bytes),
        blocks.putMany([one, one]),
        blocks.put(one.cid, one.bytes),
      ])
      await blocks.put(one.cid, one.bytes)
      const [segment] = await segmentPaths(folder)
      assert.equal((await readFile(segment as string)).byteLength, 16 + 44 + 10 * KIB)
      assert.equal(blocks.usedBytes, 44 + 10 * KIB)
    })
  })

  test('shares one barrier among those who put at the same time', async () => {
    await withFolder(async (folder) => {
      const files = createTrialFiles(join(folder, 'graveyard'))
      await using(join(folder, 'store'), { files }, async ({ blocks }) => {
        const before = files.barriers
        const all = randomBlocks(200, KIB)
        await Promise.all(all.map(({ cid, bytes }) => blocks.put(cid, bytes)))
        assert.ok(files.barriers - before <= 3, `${files.barriers - before} barriers for 200 puts`)
      })
    })
  })

  test('reports a block that rotted on disk as missing, says so in the log, and takes it again', async () => {
    const errors: string[] = []
    const log: Log = { ...silentLog, error: (_, message) => errors.push(message) }
    await withStorage({ log }, async ({ blocks }, folder) => {
      const [one, two] = [block('one rots'), block('two does not')]
      await blocks.putMany([one, two])
      const [segment] = await segmentPaths(folder)
      const bytes = await readFile(segment as string)
      const at = bytes.indexOf('one rots')
      bytes[at] = (bytes[at] as number) ^ 0x40
      await writeFile(segment as string, bytes)
      assert.equal(await blocks.get(one.cid), undefined)
      assert.equal(await blocks.has(one.cid), false)
      assert.match(errors.join(), /damaged/)
      assert.deepEqual(await blocks.get(two.cid), two.bytes)
      await blocks.put(one.cid, one.bytes)
      assert.deepEqual(await blocks.get(one.cid), one.bytes)
    })
  })

  test('is refused before start and after stop, may be stopped twice and started again', async () => {
    await withFolder(async (folder) => {
      const storage = storageIn(folder)
      const one = block('one')
      await assert.rejects(storage.blocks.get(one.cid), { code: 'storage-stopped' })
      await storage.start()
      await storage.blocks.put(one.cid, one.bytes)
      await storage.stop()
      await storage.stop()
      await assert.rejects(storage.blocks.put(one.cid, one.bytes), { code: 'storage-stopped' })
      await storage.start()
      assert.deepEqual(await storage.blocks.get(one.cid), one.bytes)
      await storage.stop()
    })
  })

  test('says at once which option is wrong', () => {
    for (const options of [
      { folder: '', quotaBytes: 1 },
      { folder: 'x', quotaBytes: 0 },
      { folder: 'x', quotaBytes: 1.5 },
      { folder: 'x', quotaBytes: MIB, segmentBytes: -1 },
    ])
      assert.throws(() => storageIn(options.folder, options), RangeError)
  })
})

describe('what a durable write costs', () => {
  /** What this disk does with the same bytes and barriers and nothing around them. */
  async function plainMebibytesPerSecond(path: string, batches: readonly Block[][]) {
    const file = await open(path, 'wx')
    const began = performance.now()
    let position = 0
    for (const batch of batches) {
      position += (
        await file.writev(
          batch.map(({ bytes }) => bytes),
          position,
        )
      ).bytesWritten
      await file.datasync()
    }
    const seconds = (performance.now() - began) / 1000
    await file.close()
    return position / MIB / seconds
  }

  test('is most of what the disk itself takes, for 64 KiB blocks in batches of 64', async (t) => {
    await withStorage({ quotaBytes: 512 * MIB }, async ({ blocks }, folder) => {
      const ratios: number[] = []
      for (let round = 0; round < 3; round++) {
        const batches = Array.from({ length: 8 }, () => randomBlocks(64, 64 * KIB))
        const plain = await plainMebibytesPerSecond(join(folder, `plain-${round}`), batches)
        const began = performance.now()
        for (const batch of batches) await blocks.putMany(batch)
        const ours = (8 * 64 * 64 * KIB) / MIB / ((performance.now() - began) / 1000)
        ratios.push(ours / plain)
        t.diagnostic(
          `store ${ours.toFixed(0)} MiB/s, the same writes without a store ${plain.toFixed(0)} MiB/s`,
        )
      }
      assert.ok(Math.max(...ratios) > 0.3, `ratios ${ratios.map((each) => each.toFixed(2)).join()}`)
    })
  })
})
