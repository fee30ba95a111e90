import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLog, systemClock } from '@ioex/node/base'
import { createIdentity } from '@ioex/node/identity'
import { signNetworkFile } from '@ioex/node/network'
import { serviceId } from '@ioex/node/receipts'
import { createStorage } from '@ioex/node/storage'
import { createGatewayApi } from './client.ts'
import { openStore } from './store/open.ts'

const MIB = 1024 * 1024
const operator = createIdentity(new Uint8Array(32).fill(1))
const LEDGER = `0x${'aa'.repeat(20)}` as const

let folder: string
let child: ChildProcess | undefined
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ioex-serve-'))
  const file = signNetworkFile(operator, {
    version: 1,
    issuedAt: '2026-01-01T00:00:00.000Z',
    expires: '2099-01-01T00:00:00.000Z',
    ledger: { chainId: 31337, verifyingContract: LEDGER, token: LEDGER, gas: LEDGER },
    prices: [
      {
        version: 1,
        service: serviceId('ioex/bandwidth'),
        priceGas18: '10000000000000000',
        unitBytes: '1073741824',
      },
    ],
    bootstraps: [],
    announcers: [],
    seeds: [],
  })
  await writeFile(join(folder, 'network.json'), JSON.stringify(file))
})
afterEach(async () => {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
})
after(() => rm(folder, { recursive: true, force: true }))

const home = () => join(folder, 'home')
const flags = () => [
  ...['--home', home(), '--network-file', join(folder, 'network.json')],
  ...['--operator', operator.evmAddress, '--listen', '127.0.0.1:0'],
  ...['--p2p-listen', '/ip4/127.0.0.1/tcp/0', '--copies', '1', '--log-level', 'error'],
]

async function serve(): Promise<{ readonly process: ChildProcess; readonly url: string }> {
  const started = spawn(process.execPath, [join(import.meta.dirname, 'serve.ts'), ...flags()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child = started
  for await (const chunk of started.stdout) {
    const line = String(chunk).split('\n')[0] ?? ''
    return { process: started, url: (JSON.parse(line) as { url: string }).url }
  }
  throw new Error('the gateway ended before it was ready')
}

async function operatorToken(): Promise<string> {
  return (await readFile(join(home(), 'operator.token'), 'utf8')).trim()
}

describe('the process of a gateway', () => {
  test('forgets an upload that kill -9 cut off, and keeps all that it had answered', async () => {
    const first = await serve()
    assert.equal((await stat(join(home(), 'master.key'))).mode & 0o777, 0o600)
    const api = createGatewayApi({ gateway: first.url, token: await operatorToken() })
    const created = await api.v1.vendors.$post({ json: { name: 'Acme' } })
    assert.equal(created.status, 201)
    const { vendor, token } = (await created.json()) as { vendor: `0x${string}`; token: string }
    const address = (version: string) =>
      `/v1/vendors/${vendor}/releases?model=pump&version=${version}`
    const headers = { authorization: `Bearer ${token}` }
    const image = new Uint8Array(randomBytes(MIB))
    const kept = await fetch(first.url + address('1'), { method: 'POST', headers, body: image })
    assert.equal(kept.status, 202)
    const { id } = (await kept.json()) as { id: string }

    const sending = httpRequest(first.url + address('2'), { method: 'POST', headers })
    const lost = once(sending, 'error')
    sending.write(randomBytes(12 * MIB))
    await sleep(700)
    first.process.kill('SIGKILL')
    await once(first.process, 'exit')
    await lost

    const second = await serve()
    const vendorApi = createGatewayApi({ gateway: second.url, token })
    const listed = await vendorApi.v1.vendors[':vendor'].releases.$get({
      param: { vendor },
      query: {},
    })
    const page = (await listed.json()) as { items: { id: string; state: string }[] }
    assert.deepEqual(
      page.items.map((release) => [release.id, release.state]),
      [[id, 'draft']],
    )
    const again = await fetch(second.url + address('2'), { method: 'POST', headers, body: image })
    assert.equal(again.status, 202)
    second.process.kill('SIGTERM')
    const [code] = (await once(second.process, 'exit')) as [number | null]
    assert.equal(code, 0)

    const store = await openStore(join(home(), 'gateway.sqlite'))
    const storage = createStorage(
      { clock: systemClock, log: silentLog },
      { folder: join(home(), 'node', 'storage'), quotaBytes: 100 * 1024 * MIB },
    )
    await storage.start()
    try {
      assert.deepEqual(await store.db.selectFrom('uploads').selectAll().execute(), [])
      const pins = await Array.fromAsync(storage.pins.list())
      assert.equal(pins.length, 2)
      const named = new Set<string>()
      for (const { root } of pins) {
        for await (const cid of storage.pins.blocks(root)) named.add(cid.toString())
      }
      assert.equal((await storage.collectGarbage()).liveBlocks, named.size)
    } finally {
      await storage.stop()
      await store.close()
    }
  })

  test('says what is wrong with its settings and ends with 2', async () => {
    const wrong = spawn(
      process.execPath,
      [join(import.meta.dirname, 'serve.ts'), ...flags(), '--copies', 'many'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    child = wrong
    const [text, [code]] = await Promise.all([
      Array.fromAsync(wrong.stderr).then((parts) => parts.join('')),
      once(wrong, 'exit') as Promise<[number | null]>,
    ])
    assert.equal(code, 2)
    assert.match(text, /--copies \(IOEX_COPIES\).*config-invalid/s)
  })
})
