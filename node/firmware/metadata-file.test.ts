import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { createMetadataFile } from './index.ts'

const ROLES = ['root', 'timestamp', 'snapshot', 'targets']
const KILLS = 4

/** Saves one set after the other, each with its number in every file, and says when a number is durable. */
const SAVES_FOR_EVER = `
  const { createMetadataFile } = await import(process.argv[1])
  const store = createMetadataFile(process.argv[2])
  for (let number = Number(process.argv[3]); ; number++) {
    const bytes = new Uint8Array(200_000).fill(number % 251)
    await store.save(new Map(${JSON.stringify(ROLES)}.map((role) => [role, bytes])))
    process.stdout.write(number + '\\n')
  }`

test('a program that is killed while it saves leaves one whole set, not older than it said', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-firmware-'))
  const path = join(folder, 'tuf')
  try {
    let next = 1
    for (let kill = 0; kill < KILLS; kill++) {
      const file = new URL('./metadata-file.ts', import.meta.url).href
      const args = ['--input-type=module', '-e', SAVES_FOR_EVER, file, path, String(next)]
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      const exited = once(child, 'exit')
      let said = 0
      for await (const line of createInterface(child.stdout)) {
        said = Number(line)
        if (said >= next + 3 * (kill + 1)) child.kill('SIGKILL')
      }
      await exited
      const files = await createMetadataFile(path).load()
      assert.deepEqual([...files.keys()].sort(), [...ROLES].sort())
      const numbers = new Set([...files.values()].flatMap((bytes) => [bytes[0], bytes.at(-1)]))
      assert.equal(numbers.size, 1, 'two sets were mixed')
      const [number] = numbers
      assert.ok(number === said % 251 || number === (said + 1) % 251, `${number} after ${said}`)
      next = said + 2
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('nothing, or something else, in its place counts as nothing saved', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-firmware-'))
  const path = join(folder, 'tuf')
  try {
    const store = createMetadataFile(path)
    assert.equal((await store.load()).size, 0)
    for (const content of ['', 'text', '{"v":1}', new Uint8Array([0xa0]), new Uint8Array([0xf6])]) {
      await writeFile(path, content)
      assert.equal((await store.load()).size, 0)
    }
    await store.save(new Map([['root', new Uint8Array([1])]]))
    assert.deepEqual(
      await createMetadataFile(path).load(),
      new Map([['root', new Uint8Array([1])]]),
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})
