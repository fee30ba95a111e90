/** What "ioex device ddi" refuses before anything is served, and who may ask it. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../base/index.ts'
import type { DdiFleet } from '../ddi/index.ts'
import { mustBeSafe, readDdiClients } from './ddi-clients.ts'
import { listenDdi } from './ddi-listener.ts'

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-ddi-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('plain images leave this machine only over TLS, and with a token for each client', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
    mustBeSafe({ host, hasTls: false, hasClients: false })
  }
  for (const host of ['0.0.0.0', '::', '192.168.1.5', '127.0.0.1.example.org', 'box.local']) {
    mustBeSafe({ host, hasTls: true, hasClients: true })
    for (const [hasTls, hasClients] of [
      [false, false],
      [true, false],
      [false, true],
    ] as const) {
      assert.throws(() => mustBeSafe({ host, hasTls, hasClients }), {
        code: 'ddi-not-safe',
        exitCode: 2,
      })
    }
  }
})

test('the token of the one client is made once, and for nobody else to read', () =>
  inFolder(async (folder) => {
    const first = await readDdiClients(undefined, folder)
    const again = await readDdiClients(undefined, folder)
    assert.deepEqual(again, first)
    const { tokenFile, clients } = first
    assert.ok(tokenFile)
    assert.equal((await stat(tokenFile)).mode & 0o777, 0o600)
    assert.equal(`${clients[0]?.token}\n`, await readFile(tokenFile, 'utf8'))
    assert.match(clients[0]?.token ?? '', /^[\w-]{32}$/)
  }))

test('a list of clients is taken whole, or refused with what is wrong', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'clients.json')
    await writeFile(file, '{"a": "token-of-the-first", "b": "token-of-the-other"}')
    const { clients, tokenFile } = await readDdiClients(file, folder)
    assert.deepEqual(
      clients.map(({ name }) => name),
      ['a', 'b'],
    )
    assert.equal(tokenFile, undefined)
    const many = Object.fromEntries(
      Array.from({ length: 65 }, (_, n) => [`pump-${n}`, `a-token-that-is-long-${n}`]),
    )
    for (const [text, wrong] of [
      ['{', /expected record/],
      ['{}', /1 to 64/],
      ['{"a": "short"}', /a: use 16 to 256/],
      ['{"a/b": "token-of-the-first"}', /a\/b: Invalid key/],
      ['{"a": "one-token-for-two", "b": "one-token-for-two"}', /of its own/],
      [JSON.stringify(many), /1 to 64/],
    ] as const) {
      await writeFile(file, text)
      await assert.rejects(readDdiClients(file, folder), {
        code: 'clients-invalid',
        message: wrong,
      })
    }
  }))

test('a fault behind the face is a 500 without a word of it', async () => {
  const fleet: DdiFleet = {
    admit: () => Promise.reject(new Error('the disk is gone')),
  }
  const { url, stop } = await listenDdi(
    { fleet, log: silentLog },
    { host: '127.0.0.1', port: 0, tls: undefined, pollS: 60 },
  )
  try {
    const answer = await fetch(`${url}/default/controller/v1/pump`)
    assert.deepEqual([answer.status, await answer.text()], [500, ''])
    const nowhere = await fetch(`${url}/elsewhere`)
    assert.equal(nowhere.status, 404)
    await nowhere.text()
  } finally {
    await stop()
  }
})
