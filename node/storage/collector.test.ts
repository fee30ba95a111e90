import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { KIB, type Log, type LogFields, MIB, silentLog, systemClock } from '../base/index.ts'
import type { Block, PinOwner, Storage } from './index.ts'
import { createTrialClock, type TrialClock } from './trial-clock.ts'
import { createTrialFiles } from './trial-files.ts'
import { block, randomBlocks, type Trial, using, withFolder } from './trial-storage.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const ME: PinOwner = { owner: 'me' }

interface Watched {
  readonly storage: Storage
  readonly clock: TrialClock
  readonly folder: string
  /** What was told of each collection. */
  readonly reports: LogFields[]
  readonly errors: string[]
}

async function watched(trial: Trial, run: (parts: Watched) => Promise<void>): Promise<void> {
  await withFolder(async (below) => {
    const folder = join(below, 'store')
    const clock = createTrialClock()
    const reports: LogFields[] = []
    const errors: string[] = []
    const log: Log = {
      ...silentLog,
      info: (fields, message) => message === 'garbage was collected' && reports.push(fields),
      error: (_, message) => errors.push(message),
    }
    await using(folder, { segmentBytes: 64 * KIB, clock, log, ...trial }, (storage) =>
      run({ storage, clock, folder, reports, errors }),
    )
  })
}

async function pin(storage: Storage, blocks: readonly Block[], owner = ME): Promise<void> {
  const session = await storage.pins.open((blocks[0] as Block).cid)
  await session.add(blocks)
  await session.commit(owner)
}

async function until(isSo: () => boolean): Promise<void> {
  const endMs = systemClock.monotonicMs() + 20_000
  while (!isSo()) {
    assert.ok(systemClock.monotonicMs() < endMs, 'it never came to that')
    await new Promise((resume) => setImmediate(resume))
  }
}

/** Whatever was begun would show by then. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await new Promise((resume) => setImmediate(resume))
}

/** The collection that follows a start, since nobody knows what the last process let go. */
async function pastFirst({ clock, reports }: Watched): Promise<void> {
  clock.pass(10 * MINUTE_MS)
  await until(() => reports.length === 1)
  await settled()
}

describe('garbage that nobody asks to have collected', () => {
  test('gives the bytes of a pin back that was dropped, and tells how many', async () => {
    await watched({}, async (parts) => {
      const { storage, clock, reports } = parts
      const [kept, gone] = [randomBlocks(5, KIB), randomBlocks(7, KIB)]
      await pin(storage, kept)
      await pin(storage, gone)
      await pastFirst(parts)
      assert.equal(await storage.pins.remove((gone[0] as Block).cid, 'me'), true)
      clock.pass(10 * MINUTE_MS)
      await until(() => reports.length === 2)
      const { deletedBlocks, freedBytes, liveBlocks } = reports[1] as LogFields
      assert.deepEqual([deletedBlocks, freedBytes, liveBlocks], [7, 7 * (KIB + 44), 5])
      assert.equal(storage.blocks.usedBytes, 5 * (KIB + 44))
    })
  })

  test('is that of pins whose time is up and of sessions that were abandoned, too', async () => {
    await watched({}, async (parts) => {
      const { storage, clock, reports } = parts
      await pin(storage, randomBlocks(3, KIB), { ...ME, untilMs: clock.nowMs() + DAY_MS })
      await pastFirst(parts)
      clock.pass(DAY_MS - 20 * MINUTE_MS)
      await settled()
      assert.equal(reports.length, 1)
      clock.pass(20 * MINUTE_MS)
      await until(() => reports.length === 2)
      assert.equal(storage.blocks.usedBytes, 0)
      await (await storage.pins.open(block('root').cid)).add(randomBlocks(3, KIB))
      await storage.stop()
      await storage.start()
      clock.pass(10 * MINUTE_MS)
      await until(() => reports.length === 3)
      await settled()
      assert.equal(storage.blocks.usedBytes, 3 * (KIB + 44))
      clock.pass(8 * DAY_MS)
      await until(() => storage.blocks.usedBytes === 0)
    })
  })

  test('is let be while no pin and no session has gone, whatever was written', async () => {
    await watched({}, async (parts) => {
      const { storage, clock, reports } = parts
      await pastFirst(parts)
      await storage.blocks.putMany(randomBlocks(3, KIB))
      await pin(storage, randomBlocks(3, KIB))
      clock.pass(DAY_MS)
      await settled()
      assert.equal(reports.length, 1)
      assert.equal(storage.blocks.usedBytes, 6 * (KIB + 44))
      // And what changes one after the other is collected together.
      for (let times = 0; times < 4; times++) {
        const session = await storage.pins.open(block(`root ${times}`).cid)
        await session.add(randomBlocks(1, KIB))
        await session.drop()
        clock.pass(MINUTE_MS)
        await settled()
      }
      await until(() => reports.length >= 2)
      await settled()
      assert.equal(reports.length, 2)
    })
  })

  test('goes without waiting when the store is nearly full, even if it is only a cache', async () => {
    await watched({ quotaBytes: MIB }, async (parts) => {
      const { storage, clock, reports } = parts
      await pastFirst(parts)
      await storage.blocks.putMany(randomBlocks(900, KIB))
      clock.pass(MINUTE_MS)
      await until(() => reports.length === 2)
      assert.equal(storage.blocks.usedBytes, 0)
      await settled()
      clock.pass(DAY_MS)
      await settled()
      assert.equal(reports.length, 2)
    })
  })
})

describe('a block that does not fit', () => {
  const QUOTA = { quotaBytes: MIB }

  test('takes the place of what was let go, and many of them share one collection', async () => {
    await watched(QUOTA, async ({ storage, reports }) => {
      const gone = randomBlocks(900, KIB)
      await pin(storage, gone)
      await storage.pins.remove((gone[0] as Block).cid, 'me')
      const session = await storage.pins.open(block('root').cid)
      const more = Array.from({ length: 8 }, () => randomBlocks(100, KIB))
      await Promise.all(more.map((each) => session.add(each)))
      assert.equal(reports.length, 1)
      assert.equal(storage.blocks.usedBytes, 800 * (KIB + 44))
      await storage.blocks.put(block('one more').cid, block('one more').bytes)
    })
  })

  test('is refused when all is needed, without a collection for each', async () => {
    await watched(QUOTA, async ({ storage, reports }) => {
      const all = randomBlocks(900, KIB)
      await pin(storage, all)
      for (let times = 0; times < 5; times++)
        await assert.rejects(storage.blocks.putMany(randomBlocks(200, KIB)), {
          code: 'quota-exceeded',
        })
      assert.equal(reports.length, 1)
      // What is there already needs no room.
      await storage.blocks.putMany(all)
      assert.equal(reports.length, 1)
    })
  })

  test('has a cache swept no more than a tenth of the time', async () => {
    await withFolder(async (graveyard) => {
      const files = createTrialFiles(graveyard)
      await watched({ ...QUOTA, files }, async ({ storage, clock, reports }) => {
        await storage.blocks.putMany(randomBlocks(900, KIB))
        files.before = async (operation) => {
          if (operation !== 'remove') return
          files.before = undefined
          clock.pass(1_000)
        }
        const fill = () => storage.blocks.putMany(randomBlocks(900, KIB))
        await fill()
        assert.equal(reports[0]?.['ms'], 1_000)
        clock.pass(9_000 - 1)
        await assert.rejects(fill(), { code: 'quota-exceeded' })
        clock.pass(1)
        await fill()
        assert.equal(reports.length, 2)
      })
    })
  })

  test('is refused as before when a damaged pin keeps garbage from being collected', async () => {
    await watched(QUOTA, async ({ storage, folder, errors }) => {
      await pin(storage, randomBlocks(900, KIB))
      const closures = join(folder, 'closures')
      const path = join(closures, (await readdir(closures))[0] as string)
      const bytes = await readFile(path)
      bytes[20] = (bytes[20] as number) ^ 1
      await writeFile(path, bytes)
      for (let times = 0; times < 5; times++)
        await assert.rejects(storage.blocks.putMany(randomBlocks(200, KIB)), {
          code: 'quota-exceeded',
        })
      assert.deepEqual(errors, ['garbage could not be collected'])
    })
  })
})

test('stopping in the middle of a collection ends it, and the next start goes on from there', async () => {
  await withFolder(async (graveyard) => {
    const files = createTrialFiles(graveyard)
    await watched({ files }, async ({ storage, clock, reports, errors }) => {
      const kept = randomBlocks(40, KIB)
      for (const one of kept) await storage.blocks.putMany([one, ...randomBlocks(3, KIB)])
      await pin(storage, kept)
      const [compacting, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      files.before = async (operation) => {
        if (operation !== 'write') return
        files.before = undefined
        compacting.resolve()
        await goOn.promise
      }
      clock.pass(10 * MINUTE_MS)
      await compacting.promise
      const waiting = storage.blocks.put(block('meanwhile').cid, block('meanwhile').bytes)
      const stopping = storage.stop()
      clock.pass(DAY_MS)
      goOn.resolve()
      await stopping
      await waiting
      clock.pass(DAY_MS)
      await settled()
      assert.deepEqual([reports, errors], [[], []])
      await storage.start()
      for (const { cid, bytes } of kept) assert.deepEqual(await storage.blocks.get(cid), bytes)
      clock.pass(10 * MINUTE_MS)
      await until(() => reports.length === 1)
      assert.equal(storage.blocks.usedBytes, 40 * (KIB + 44))
    })
  })
})
