import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { makeFolderDurably, syncFolder, writeFileDurably } from '../base/index.ts'
import {
  LOSSES,
  type Loss,
  mountDisk,
  type PowerCutDisk,
  watchFileSystem,
} from './power-cut-disk.ts'
import { seededRandom } from './seeded-random.ts'

watchFileSystem()

async function onDisk(
  run: (disk: PowerCutDisk, cut: (loss: Loss, seed?: number) => string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-cut-'))
  const home = join(folder, 'home')
  await mkdir(home)
  await writeFile(join(home, 'old'), 'old')
  const disk = mountDisk(home)
  let cuts = 0
  try {
    await run(disk, (loss, seed = 1) => {
      const into = join(folder, `after-${cuts++}`)
      disk.cut(into, { loss, random: seededRandom(`cut ${seed}`) })
      return into
    })
  } finally {
    disk.unmount()
    await rm(folder, { recursive: true, force: true })
  }
}

const put = async (path: string, content: string, isSynced: boolean) => {
  const file = await open(path, 'wx')
  await file.writeFile(content)
  if (isSynced) await file.sync()
  await file.close()
}
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed)

describe('a disk that loses its power', () => {
  test('keeps what was there before, and nothing that no barrier has covered', () =>
    onDisk(async (disk, cut) => {
      await put(join(disk.folder, 'fresh'), 'fresh', false)
      const after = cut('nothing-kept')
      assert.equal(await readFile(join(after, 'old'), 'utf8'), 'old')
      assert.equal(existsSync(join(after, 'fresh')), false)
    }))

  test('loses a synced file whose folder was not synced', () =>
    onDisk(async (disk, cut) => {
      await put(join(disk.folder, 'fresh'), 'fresh', true)
      assert.equal(existsSync(join(cut('nothing-kept'), 'fresh')), false)
    }))

  test('may undo a rename, and never does half of it', () =>
    onDisk(async (disk, cut) => {
      await put(join(disk.folder, 'new.tmp'), 'new', true)
      await syncFolder(disk.folder)
      await rename(join(disk.folder, 'new.tmp'), join(disk.folder, 'old'))
      const ends = new Set<string>()
      for (const seed of SEEDS) {
        const after = cut('sectors', seed)
        const content = await readFile(join(after, 'old'), 'utf8')
        assert.equal(existsSync(join(after, 'new.tmp')), content === 'old')
        ends.add(content)
      }
      assert.deepEqual([...ends].sort(), ['new', 'old'])
    }))

  test('tears what is written over, by sectors or at a byte, and only what is not covered', () =>
    onDisk(async (disk, cut) => {
      const bytes = (letter: string) => letter.repeat(16_384)
      await put(join(disk.folder, 'file'), bytes('a'), true)
      await syncFolder(disk.folder)
      const file = await open(join(disk.folder, 'file'), 'r+')
      await file.write(Buffer.from(bytes('b')), 0, 16_384, 0)
      await file.close()
      for (const loss of LOSSES) {
        const ends = new Set<string>()
        for (const seed of SEEDS) ends.add(await readFile(join(cut(loss, seed), 'file'), 'utf8'))
        for (const end of ends) assert.match(end, /^[ab]{16384}$/)
        if (loss === 'kill') assert.deepEqual([...ends], [bytes('b')])
        if (loss === 'nothing-kept') assert.deepEqual([...ends], [bytes('a')])
        if (loss === 'sectors')
          assert.ok([...ends].some((end) => end.includes('ba') && end.includes('ab')))
      }
    }))

  test('fails every call once it is cut, and is an ordinary folder when it is unmounted', () =>
    onDisk(async (disk, cut) => {
      const file = await open(join(disk.folder, 'file'), 'wx')
      cut('kill')
      await assert.rejects(file.write(Buffer.from('x'), 0, 1, 0), /power is off/)
      await assert.rejects(readFile(join(disk.folder, 'old')), /power is off/)
      disk.unmount()
      assert.equal(await readFile(join(disk.folder, 'old'), 'utf8'), 'old')
      await file.close()
    }))

  test('refuses what it does not model, and notices what went past it', () =>
    onDisk(async (disk) => {
      assert.throws(() => writeFile(join(disk.folder, 'x'), 'x'), /not modelled/)
      await symlink('old', join(disk.folder, 'link'))
      assert.deepEqual(disk.unseen(), [])
      // As native code does it.
      const { spawnSync } = await import('node:child_process')
      spawnSync(process.execPath, [
        '-e',
        `fs.writeFileSync(${JSON.stringify(join(disk.folder, 'old'))}, 'other')`,
      ])
      assert.deepEqual(disk.unseen(), ['old'])
    }))
})

describe('what was written durably survives every power cut', () => {
  for (const loss of LOSSES) {
    test(`of the kind ${loss}, in folders that were made for it`, () =>
      onDisk(async (disk, cut) => {
        await writeFileDurably(join(disk.folder, 'a', 'b', 'file'), 'content')
        await makeFolderDurably(join(disk.folder, 'a', 'c', 'd'))
        for (const seed of SEEDS.slice(0, 8)) {
          const after = cut(loss, seed)
          assert.equal(await readFile(join(after, 'a', 'b', 'file'), 'utf8'), 'content')
          assert.ok(existsSync(join(after, 'a', 'c', 'd')))
        }
      }))
  }
})
