/** The bench itself over two small files: figures of ours, and nothing left behind. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createCipheriv } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MIB } from '@ioex/node/base'
import { readOptions } from './options.ts'

const ENTRY = join(import.meta.dirname, '..', 'run.ts')
const dir = await mkdtemp(join(tmpdir(), 'ioex-bench-delta-'))
after(() => rm(dir, { recursive: true, force: true }))
const skip = process.platform === 'linux' ? false : 'the bench reads /proc'

/** Bytes that nothing can compress, the same for the same seed. */
function noise(length: number, seed: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(length))
}

interface Ended {
  readonly code: number
  readonly lines: readonly string[]
}

function bench(...args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, XDG_CACHE_HOME: dir } }
    execFile(process.execPath, [ENTRY, ...args], options, (failed, stdout) => {
      const code = typeof failed?.code === 'number' ? failed.code : 0
      resolve({ code, lines: stdout.trim().split('\n') })
    })
  })
}

interface Report {
  readonly pairs: readonly {
    readonly rows: readonly {
      readonly name: string
      readonly error?: string
      readonly figures?: {
        readonly fetchedBytes: number
        readonly applyGrowthBytes: number
        readonly parts: Readonly<Record<string, number>>
      }
    }[]
  }[]
}

test('our updates are made, applied, compared and counted', { skip }, async () => {
  const [old, fresh] = [join(dir, 'old'), join(dir, 'new')]
  const image = noise(2 * MIB, 1)
  await writeFile(old, image)
  image.set(noise(20, 2), MIB)
  await writeFile(fresh, image)
  const only = 'ours-chunks,ours-patches'
  const options = ['--old', old, '--new', fresh, '--only', only, '--runs', '1', '--json']
  const { code, lines } = await bench('delta', ...options)
  assert.equal(code, 0, lines.join('\n'))
  const { pairs } = JSON.parse(lines.at(-1) ?? '') as Report
  const [chunks, patches] = pairs[0]?.rows ?? []
  assert.ok(chunks?.figures !== undefined && patches?.figures !== undefined, lines.join('\n'))
  const { parts } = chunks.figures
  const sum = Object.values(parts).reduce((all, bytes) => all + bytes, 0)
  assert.equal(chunks.figures.fetchedBytes, sum)
  assert.ok((parts['chunks'] ?? 0) > 4_096 && (parts['chunks'] ?? 0) < 512 * 1_024, 'some chunks')
  assert.ok((parts['wrap'] ?? 0) > 1_000, 'a full cohort')
  assert.ok(patches.figures.fetchedBytes < chunks.figures.fetchedBytes, 'a patch is smaller')
  assert.ok(chunks.figures.applyGrowthBytes > 0)
  assert.deepEqual(await readdir(join(dir, 'ioex', 'delta')), [])
})

test('an image that is not there and a bench that does not exist are told', { skip }, async () => {
  const missing = ['--old', join(dir, 'none'), '--new', join(dir, 'none')]
  const { code, lines } = await bench('delta', ...missing)
  assert.equal(code, 1)
  assert.match(lines.join('\n'), /files: MISSING: ENOENT/)
  assert.equal((await bench('nothing')).code, 2)
  assert.equal((await bench('delta', '--pairs', 'nothing')).code, 2)
})

test('options are read, and what is wrong with them is said', () => {
  const small = readOptions([], { IOEX_SHAPE: 'small' })
  assert.deepEqual(small?.pairs, ['small-tar'])
  assert.equal(readOptions(['--help'], {}), undefined)
  const full = readOptions(['--only', 'zchunk,ours-chunks', '--timeout', '5', '--fresh'], {})
  assert.deepEqual(full?.only, ['zchunk', 'ours-chunks'])
  assert.equal(full?.timeoutMs, 5_000)
  assert.ok(full?.isFresh)
  assert.ok((full?.pairs.length ?? 0) >= 4)
  assert.throws(() => readOptions(['--old', 'a'], {}), /go together/)
  assert.throws(() => readOptions(['--runs', '0'], {}), /--runs takes a whole number from 1/)
  assert.throws(() => readOptions(['--only', 'rsync'], {}), /--only knows .*not "rsync"/)
})
