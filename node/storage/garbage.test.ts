import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { KIB, type Log, MIB, silentLog } from '../base/index.ts'
import type { Block, Storage } from './index.ts'
import { createTrialFiles } from './trial-files.ts'
import {
  block,
  randomBlocks,
  seededRandom,
  segmentPaths,
  storageIn,
  using,
  withFolder,
  withStorage,
} from './trial-storage.ts'

const SMALL = { segmentBytes: 32 * KIB }

async function diskBytes(folder: string): Promise<number> {
  const sizes = await Promise.all((await segmentPaths(folder)).map((path) => stat(path)))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}

type Gate = PromiseWithResolvers<undefined>
type Gates = [Gate, Gate, Gate, Gate]

async function pin(storage: Storage, all: readonly Block[]): Promise<void> {
  const session = await storage.pins.open((all[0] as Block).cid)
  await session.add(all)
  await session.commit({ owner: 'me' })
}

describe('garbage collection', () => {
  for (const goes of [2, 3, 5, 9])
    test(`gives the disk back when one block of ${goes} goes: what is used, a seventh, two segments`, async () => {
      await withStorage(SMALL, async (storage, folder) => {
        // Interleaved, so that every segment holds some of what stays and some of what goes.
        const all = randomBlocks(360, 2 * KIB)
        for (let n = 0; n < all.length; n += 9) await storage.blocks.putMany(all.slice(n, n + 9))
        const kept = all.filter((_, n) => n % goes !== 0)
        await pin(storage, kept)
        const report = await storage.collectGarbage()
        assert.equal(report.deletedBlocks, 360 / goes)
        assert.equal(report.liveBlocks, kept.length)
        assert.equal(report.freedBytes, (360 / goes) * (2 * KIB + 44))
        const bound = (storage.blocks.usedBytes * 8) / 7 + 2 * SMALL.segmentBytes
        assert.ok((await diskBytes(folder)) <= bound, `${await diskBytes(folder)} of ${bound}`)
        for (const { cid, bytes } of kept) assert.deepEqual(await storage.blocks.get(cid), bytes)
      })
    })

  test('does not bring back after a restart what it has deleted from sealed segments', async () => {
    await withFolder(async (folder) => {
      const all = randomBlocks(100, 2 * KIB)
      const dropped = all.slice(30, 32)
      await using(folder, SMALL, async (storage) => {
        for (const one of all) await storage.blocks.put(one.cid, one.bytes)
        await pin(
          storage,
          all.filter((one) => !dropped.includes(one)),
        )
        assert.equal((await storage.collectGarbage()).deletedBlocks, 2)
      })
      await using(folder, SMALL, async ({ blocks }) => {
        for (const { cid } of dropped) assert.equal(await blocks.has(cid), false)
      })
    })
  })

  test('joins many small segments', async () => {
    await withStorage(SMALL, async (storage, folder) => {
      const kept: Block[] = []
      for (let round = 0; round < 14; round++) {
        const [stays, ...goes] = randomBlocks(4, 2 * KIB) as [Block, ...Block[]]
        await storage.blocks.putMany([stays, ...goes])
        await pin(storage, [stays])
        kept.push(stays)
        await storage.collectGarbage()
      }
      assert.ok((await segmentPaths(folder)).length <= 10)
      for (const { cid, bytes } of kept) assert.deepEqual(await storage.blocks.get(cid), bytes)
    })
  })

  test('runs beside writers and readers that never miss a block', async () => {
    await withStorage({ ...SMALL, quotaBytes: 256 * MIB }, async (storage) => {
      const random = seededRandom(11)
      const kept: Block[] = []
      let writing = true
      let reads = 0
      let collections = 0
      const write = async () => {
        for (let n = 0; n < 60; n++) {
          const fresh = Array.from({ length: 8 }, () =>
            block(random.bytes(500 + random.int(3_000))),
          )
          const session = await storage.pins.open((fresh[0] as Block).cid)
          await session.add(fresh.slice(0, 5))
          for (const { cid } of kept.slice(-2)) assert.equal(await session.adopt(cid), true)
          await session.add(fresh.slice(5))
          await session.commit({ owner: 'me' })
          kept.push(...fresh)
          await storage.blocks.putMany(randomBlocks(6, 2 * KIB))
        }
        writing = false
      }
      const read = async () => {
        while (writing) {
          const one = kept[random.int(Math.max(1, kept.length))]
          if (one === undefined) await new Promise((resume) => setImmediate(resume))
          else assert.deepEqual(await storage.blocks.get(one.cid), one.bytes)
          reads++
        }
      }
      const collect = async () => {
        while (writing) {
          await storage.collectGarbage()
          collections++
        }
      }
      await Promise.all([write(), read(), read(), collect()])
      assert.ok(reads > 100 && collections > 5, `${reads} reads, ${collections} collections`)
      await storage.collectGarbage()
      for (const { cid, bytes } of kept) assert.deepEqual(await storage.blocks.get(cid), bytes)
      assert.equal((await storage.collectGarbage()).liveBlocks, kept.length)
    })
  })

  test('never takes blocks for dead that were written a moment ago and are not all acknowledged', async () => {
    await withFolder(async (folder) => {
      const files = createTrialFiles(join(folder, 'graveyard'))
      const trial = { segmentBytes: 4 * KIB, files }
      await using(join(folder, 'store'), trial, async (storage) => {
        const all = randomBlocks(9, KIB)
        const session = await storage.pins.open((all[0] as Block).cid)
        const written = Promise.withResolvers<undefined>()
        const goOn = Promise.withResolvers<undefined>()
        files.before = async (operation, path) => {
          if (operation !== 'write' || !path.endsWith('00000003.seg')) return
          files.before = undefined
          written.resolve(undefined)
          await goOn.promise
        }
        const adding = session.add(all)
        await written.promise
        // Two segments of the group are on disk, the third is on its way.
        await storage.collectGarbage()
        goOn.resolve(undefined)
        await adding
        await session.commit({ owner: 'me' })
        for (const { cid, bytes } of all) assert.deepEqual(await storage.blocks.get(cid), bytes)
      })
    })
  })

  test('waits for the index of a segment that is just being ended', async () => {
    await withFolder(async (folder) => {
      const files = createTrialFiles(join(folder, 'graveyard'))
      const warnings: string[] = []
      const log: Log = { ...silentLog, warn: (_, message) => warnings.push(message) }
      const trial = { segmentBytes: 4 * KIB, files, log }
      await using(join(folder, 'store'), trial, async (storage) => {
        const kept = randomBlocks(30, KIB)
        for (const one of kept) await storage.blocks.put(one.cid, one.bytes)
        await pin(storage, kept)
        // A segment of its own for three blocks and, between them, one that goes.
        const garbage = block('goes')
        const more = randomBlocks(4, KIB)
        const session = await storage.pins.open((more[0] as Block).cid)
        await session.add(more.slice(0, 1))
        await storage.blocks.put(garbage.cid, garbage.bytes)
        await session.add(more.slice(1, 3))
        const ending = Promise.withResolvers<undefined>()
        const goOn = Promise.withResolvers<undefined>()
        files.before = async (operation, path) => {
          if (operation !== 'rename' || !path.endsWith('.idx')) return
          files.before = undefined
          ending.resolve(undefined)
          await goOn.promise
        }
        const adding = session.add(more.slice(3))
        await ending.promise
        const collecting = storage.collectGarbage()
        await new Promise((resume) => setTimeout(resume, 200))
        goOn.resolve(undefined)
        assert.equal((await collecting).deletedBlocks, 1)
        await adding
        assert.deepEqual(warnings, [])
        for (const { cid, bytes } of [...kept, ...more])
          assert.deepEqual(await storage.blocks.get(cid), bytes)
      })
    })
  })

  test('may move a block between the moment it is looked up and the moment its file is opened', async () => {
    await withFolder(async (folder) => {
      const files = createTrialFiles(join(folder, 'graveyard'))
      // Three blocks to a segment, and more segments than files are kept open.
      const all = randomBlocks(3 * 140, KIB)
      const [moving, ...rest] = all as [Block, ...Block[]]
      const kept = [moving, ...rest.slice(2)]
      const trial = { segmentBytes: 4 * KIB, files }
      await using(join(folder, 'store'), trial, async (storage) => {
        for (const one of all) await storage.blocks.put(one.cid, one.bytes)
        await pin(storage, kept)
        const [copying, copy, opening, open] = Array.from({ length: 4 }, () =>
          Promise.withResolvers<undefined>(),
        ) as Gates
        files.before = async (operation, path) => {
          if (operation !== 'write' || !path.endsWith('.seg')) return
          files.before = undefined
          copying.resolve(undefined)
          await copy.promise
        }
        const collecting = storage.collectGarbage()
        await copying.promise
        // The collector has read the block. Its file falls out of those that are kept open.
        for (let n = 2; n < rest.length; n += 3) await storage.blocks.get((rest[n] as Block).cid)
        files.before = async (operation, path) => {
          if (operation !== 'read' || !path.endsWith('00000001.seg')) return
          files.before = undefined
          opening.resolve(undefined)
          await open.promise
        }
        const reading = storage.blocks.get(moving.cid)
        await opening.promise
        copy.resolve(undefined)
        await collecting
        open.resolve(undefined)
        assert.deepEqual(await reading, moving.bytes)
        assert.deepEqual(await storage.blocks.get(moving.cid), moving.bytes)
      })
    })
  })

  test('may die at any of its steps, with a power cut, and loses nothing', async (t) => {
    await withFolder(async (folder) => {
      const random = seededRandom(23)
      const store = join(folder, 'store')
      let kept: Block[] = []
      let deaths = 0
      for (let round = 0; round < 40; round++) {
        const files = createTrialFiles(join(folder, 'graveyard'))
        const storage = storageIn(store, { ...SMALL, files })
        await storage.start()
        for (const { cid, bytes } of kept)
          assert.deepEqual(await storage.blocks.get(cid), bytes, `round ${round}`)
        const fresh = randomBlocks(40, 2 * KIB)
        for (const one of fresh) await storage.blocks.put(one.cid, one.bytes)
        const stays = fresh.filter((_, n) => n % 4 === 0)
        await pin(storage, stays)
        for (const { cid } of kept.slice(0, 10)) await storage.pins.remove(cid, 'me')
        // The pin is that of the first block of each ten.
        kept = [...kept.slice(kept.length > 10 ? 10 : 0), ...stays]
        files.crashAfter(round, round % 2 === 0 ? 'undone' : 'done')
        await storage.collectGarbage().catch((thrown: unknown) => {
          assert.ok(files.crashed, String(thrown))
          deaths++
        })
        await files.powerCut(random)
        await storage.stop().catch((thrown: unknown) => assert.ok(thrown instanceof Error))
      }
      t.diagnostic(`${deaths} deaths in 40 collections`)
      assert.ok(deaths > 15)
    })
  })

  test('stops when it is told to, and when the storage is stopped', async () => {
    await withStorage(SMALL, async (storage) => {
      await storage.blocks.putMany(randomBlocks(50, KIB))
      const aborted = AbortSignal.abort(new Error('enough'))
      await assert.rejects(storage.collectGarbage({ signal: aborted }), /enough/)
      const running = storage.collectGarbage()
      const [outcome] = await Promise.allSettled([running, storage.stop()])
      assert.equal(outcome.status, 'rejected')
    })
  })
})
