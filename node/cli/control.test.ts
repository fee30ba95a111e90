import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { callControl, controlPath, startControl } from './control.ts'

const scratch = await mkdtemp(join(tmpdir(), 'ioex-control-'))
after(() => rm(scratch, { recursive: true, force: true }))
const { signal } = new AbortController()
let homes = 0
const newHome = () => join(scratch, `home-${homes++}`)

test('a command reaches the node of its home, and gets its refusals as they are', async () => {
  const home = newHome()
  const control = await startControl(home, {
    double: (params) => Promise.resolve((params as { n: number }).n * 2),
    refuse: () => Promise.reject(new RangeError('not today')),
  })
  try {
    assert.equal(await callControl(home, 'double', { n: 21 }, signal), 42)
    await assert.rejects(callControl(home, 'refuse', {}, signal), { message: /not today/ })
    await assert.rejects(callControl(home, 'toString', {}, signal), { code: 'unknown-method' })
  } finally {
    await control.stop()
    await control.stop().catch(() => undefined)
  }
  await assert.rejects(callControl(home, 'double', {}, signal), { code: 'node-not-running' })
})

test('only the owner may use the socket', async () => {
  const home = newHome()
  const control = await startControl(home, {})
  assert.equal((await stat(controlPath(home))).mode & 0o777, 0o600)
  await control.stop()
})

test('a second node is kept out of a home, a socket left over from a crash is not in the way', async () => {
  const home = newHome()
  const first = await startControl(home, {})
  await assert.rejects(startControl(home, {}), { code: 'home-in-use' })
  await first.stop()
  await writeFile(controlPath(home), '')
  const again = await startControl(home, {})
  await again.stop()
})

test('a home with a long path has its socket elsewhere, in a folder of the user alone', async () => {
  const home = join(newHome(), 'a'.repeat(120))
  const control = await startControl(home, { ping: () => Promise.resolve('pong') })
  try {
    assert.equal(await callControl(home, 'ping', {}, signal), 'pong')
    assert.equal((await stat(join(controlPath(home), '..'))).mode & 0o777, 0o700)
  } finally {
    await control.stop()
    await rm(join(controlPath(home), '..'), { recursive: true })
  }
})
