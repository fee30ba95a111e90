import assert from 'node:assert/strict'
import { appendFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { KIB, type Log, silentLog, utf8 } from '../base/index.ts'
import type { Block } from './index.ts'
import {
  block,
  randomBlocks,
  segmentPaths,
  seededRandom,
  using,
  withFolder,
} from './trial-storage.ts'

const SMALL = { segmentBytes: 16 * KIB }

async function filled(folder: string, all: readonly Block[]): Promise<void> {
  await using(folder, SMALL, async ({ blocks }) => {
    for (const { cid, bytes } of all) await blocks.put(cid, bytes)
  })
}

async function presentOf(folder: string, all: readonly Block[]): Promise<boolean[]> {
  return using(folder, SMALL, async ({ blocks }) => {
    const present: boolean[] = []
    for (const { cid, bytes } of all) {
      const found = await blocks.get(cid)
      if (found !== undefined) assert.deepEqual(found, bytes)
      present.push(found !== undefined)
    }
    return present
  })
}

describe('a store that is opened again', () => {
  test('has every block, from the indexes of sealed segments and a scan of the open one', async () => {
    await withFolder(async (folder) => {
      const all = randomBlocks(40, 3 * KIB)
      await filled(folder, all)
      assert.ok((await segmentPaths(folder)).length > 5)
      assert.deepEqual(new Set(await presentOf(folder, all)), new Set([true]))
    })
  })

  test('cuts a torn tail off and goes on behind it', async () => {
    await withFolder(async (folder) => {
      const all = randomBlocks(3, 2 * KIB)
      await filled(folder, all)
      const [path = ''] = await segmentPaths(folder)
      const whole = (await stat(path)).size
      for (let cut = 1; cut < 2 * KIB + 44; cut += 97) {
        await truncate(path, whole - cut)
        assert.deepEqual(await presentOf(folder, all), [true, true, false])
        await filled(folder, all)
        assert.equal((await stat(path)).size, whole)
      }
    })
  })

  test('is not led astray by garbage, zeros or a half record behind the last one', async () => {
    await withFolder(async (folder) => {
      const all = randomBlocks(3, 2 * KIB)
      await filled(folder, all)
      const [path = ''] = await segmentPaths(folder)
      const whole = (await stat(path)).size
      const record = (await readFile(path)).subarray(16, 16 + 44 + 900)
      const random = seededRandom(5)
      for (const tail of [random.bytes(5_000), new Uint8Array(5_000), record, utf8('ibl')]) {
        await appendFile(path, tail)
        assert.deepEqual(await presentOf(folder, all), [true, true, true])
        assert.equal((await stat(path)).size, whole)
      }
    })
  })

  test('loses only the block whose bits flipped, wherever they flip in a segment without index', async () => {
    await withFolder(async (folder) => {
      const all = randomBlocks(5, KIB)
      await filled(folder, all)
      const [path = ''] = await segmentPaths(folder)
      const sound = await readFile(path)
      for (let at = 3; at < sound.byteLength; at += 61) {
        const flipped = Buffer.from(sound)
        flipped[at] = (flipped[at] as number) ^ 0x10
        await writeFile(path, flipped)
        const missing = (await presentOf(folder, all)).flatMap((here, n) => (here ? [] : [n]))
        const hit = at < 16 ? [] : [Math.floor((at - 16) / (44 + KIB))]
        assert.deepEqual(missing, hit, `bit flipped at ${at}`)
        for (const each of await segmentPaths(folder)) await rm(each)
        await rm(path.replace('.seg', '.idx'), { force: true })
      }
    })
  })

  test('finds the blocks of a sealed segment without its index, or with a damaged or foreign one', async () => {
    await withFolder(async (folder) => {
      const all = randomBlocks(40, 3 * KIB)
      await filled(folder, all)
      const names = await readdir(join(folder, 'blocks'))
      const [first = '', second = '', third = ''] = names
        .filter((name) => name.endsWith('.idx'))
        .sort()
        .map((name) => join(folder, 'blocks', name))
      const bytes = await readFile(second)
      bytes[40] = (bytes[40] as number) ^ 1
      await writeFile(second, bytes)
      await writeFile(third, await readFile(first))
      await rm(first)
      assert.deepEqual(new Set(await presentOf(folder, all)), new Set([true]))
      assert.ok((await readdir(join(folder, 'blocks'))).includes(first.split('/').at(-1) as string))
    })
  })

  test('tells in the log that it repaired something', async () => {
    const warnings: string[] = []
    const log: Log = { ...silentLog, warn: (_, message) => warnings.push(message) }
    await withFolder(async (folder) => {
      await filled(folder, [block('one')])
      await appendFile((await segmentPaths(folder))[0] as string, 'torn')
      await using(folder, { log }, async () => undefined)
    })
    assert.match(warnings.join(), /repaired/)
  })
})
