import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { KIB, MIB } from '../base/index.ts'
import type { Block } from './index.ts'
import { createTrialFiles, type Operation, type TrialFiles } from './trial-files.ts'
import { block, randomBlocks, segmentPaths, storageIn, using, withFolder } from './trial-storage.ts'

const SMALL = { segmentBytes: 32 * KIB }

function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}

async function withFaults(
  run: (files: TrialFiles, folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await run(createTrialFiles(join(folder, 'graveyard')), join(folder, 'store'))
  })
}

/** Fails that operation from now on, everywhere below the folder of that name. */
function failing(files: TrialFiles, operation: Operation, folder: string, code: string): void {
  files.failWith = (doing, path) =>
    doing === operation && path.includes(`/${folder}/`) ? errno(code) : undefined
}

describe('a disk that is full', () => {
  test('refuses writes with disk-full, keeps reading, and goes on once there is room', async () => {
    await withFaults(async (files, folder) => {
      const before = randomBlocks(5, KIB)
      const during = randomBlocks(5, KIB)
      await using(folder, { ...SMALL, files }, async (storage) => {
        await storage.blocks.putMany(before)
        const used = storage.blocks.usedBytes
        for (const operation of ['write', 'datasync'] as const) {
          failing(files, operation, 'blocks', 'ENOSPC')
          for (let n = 0; n < 20; n++)
            await assert.rejects(storage.blocks.putMany(during), {
              code: 'disk-full',
              blame: 'local',
            })
          for (const { cid, bytes } of before)
            assert.deepEqual(await storage.blocks.get(cid), bytes)
          assert.equal(await storage.blocks.has((during[0] as Block).cid), false)
          assert.equal(storage.blocks.usedBytes, used)
        }
        assert.ok((await segmentPaths(folder)).length <= 2, 'failed writes leave no files behind')
        files.failWith = undefined
        await storage.blocks.putMany(during)
      })
      await using(folder, SMALL, async ({ blocks }) => {
        for (const { cid, bytes } of [...before, ...during])
          assert.deepEqual(await blocks.get(cid), bytes)
      })
    })
  })

  test('cuts a write that went half through back off, even when that fails too', async () => {
    await withFaults(async (files, folder) => {
      const [one, two, three] = randomBlocks(3, KIB) as [Block, Block, Block]
      await using(folder, { ...SMALL, files }, async ({ blocks }) => {
        await blocks.put(one.cid, one.bytes)
        files.failWith = (operation, path) =>
          path.includes('/blocks/') && operation === 'truncate' ? errno('EIO') : undefined
        files.writeAtMost = 700
        await assert.rejects(blocks.put(two.cid, two.bytes), { code: 'disk-full' })
        files.writeAtMost = undefined
        files.failWith = undefined
        await blocks.put(three.cid, three.bytes)
      })
      await using(folder, SMALL, async ({ blocks }) => {
        assert.deepEqual(await blocks.get(one.cid), one.bytes)
        assert.equal(await blocks.get(two.cid), undefined)
        assert.deepEqual(await blocks.get(three.cid), three.bytes)
      })
    })
  })

  test('fails a session, which goes on where it was when there is room again', async () => {
    await withFaults(async (files, folder) => {
      const [root, leaf] = [block('root'), block('leaf')]
      await using(folder, { ...SMALL, files }, async (storage) => {
        const session = await storage.pins.open(root.cid)
        await session.add([leaf])
        for (const where of ['blocks', 'sessions']) {
          failing(files, 'write', where, 'ENOSPC')
          await assert.rejects(session.add([root]), { code: 'disk-full' })
        }
        files.failWith = undefined
        await session.add([root])
        failing(files, 'write', 'closures', 'ENOSPC')
        await assert.rejects(session.commit({ owner: 'me' }), { code: 'disk-full' })
        assert.equal(await storage.pins.get(root.cid), undefined)
        files.failWith = undefined
        assert.equal((await session.commit({ owner: 'me' })).blocks, 2)
      })
      await using(folder, SMALL, async (storage) => {
        await storage.collectGarbage()
        assert.equal(await storage.blocks.has(leaf.cid), true)
      })
    })
  })

  test('still gives the space of dead segments back when nothing can be copied', async () => {
    await withFaults(async (files, folder) => {
      await using(folder, { ...SMALL, files }, async (storage) => {
        const dead = randomBlocks(40, 2 * KIB)
        const mixed = randomBlocks(20, 2 * KIB)
        for (const one of [...dead, ...mixed]) await storage.blocks.put(one.cid, one.bytes)
        const kept = mixed.filter((_, n) => n % 3 === 0)
        const session = await storage.pins.open((kept[0] as Block).cid)
        await session.add(kept)
        await session.commit({ owner: 'me' })
        const before = (await segmentPaths(folder)).length
        failing(files, 'write', 'blocks', 'ENOSPC')
        await storage.collectGarbage()
        assert.ok((await segmentPaths(folder)).length < before)
        for (const { cid, bytes } of kept) assert.deepEqual(await storage.blocks.get(cid), bytes)
        files.failWith = undefined
        await storage.collectGarbage()
        for (const { cid, bytes } of kept) assert.deepEqual(await storage.blocks.get(cid), bytes)
      })
    })
  })

  test('is told by reserve before anything is written', async () => {
    await withFaults(async (files, folder) => {
      const crowded = { ...files, freeBytes: async () => 20 * MIB }
      await using(folder, { ...SMALL, files: crowded }, async (storage) => {
        assert.deepEqual(await storage.reserve(30 * MIB), { ok: false, reason: 'disk-full' })
        assert.equal((await storage.reserve(MIB)).ok, true)
        await assert.rejects(storage.reserve(-1), RangeError)
      })
    })
  })
})

describe('a disk that fails', () => {
  test('never vouches for what its barrier did not cover', async () => {
    await withFaults(async (files, folder) => {
      const [one, two, three] = randomBlocks(3, KIB) as [Block, Block, Block]
      await using(folder, { ...SMALL, files }, async ({ blocks }) => {
        await blocks.put(one.cid, one.bytes)
        failing(files, 'datasync', 'blocks', 'EIO')
        await assert.rejects(blocks.put(two.cid, two.bytes), { code: 'EIO' })
        assert.equal(await blocks.has(two.cid), false)
        files.failWith = undefined
        await blocks.put(three.cid, three.bytes)
        const paths = await segmentPaths(folder)
        assert.equal(paths.length, 2, 'the segment whose barrier failed is not appended to again')
        assert.deepEqual(await blocks.get(one.cid), one.bytes)
      })
    })
  })

  test('that cannot be opened leaves nothing running and nothing locked', async () => {
    await withFaults(async (files, folder) => {
      const root = block('root')
      await using(folder, { ...SMALL, files }, async (storage) => {
        await (await storage.pins.open(root.cid)).add([root])
      })
      failing(files, 'open', 'sessions', 'EIO')
      const broken = storageIn(folder, { ...SMALL, files })
      await assert.rejects(broken.start(), { code: 'EIO' })
      await broken.stop()
      files.failWith = undefined
      await using(folder, SMALL, async ({ blocks }) => {
        assert.equal(await blocks.has(root.cid), true)
      })
    })
  })
})
