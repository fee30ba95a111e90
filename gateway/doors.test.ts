import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CarReader } from '@ipld/car'
import { type Release, receiptToJson } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { grantId, pricedAmount, recoverEpochSigner, signReceipt } from './testing/money.ts'
import { Updater } from 'tuf-js'
import { listen } from './listen.ts'
import {
  LEDGER,
  PRICE,
  startGateway,
  type TestGateway,
  type TestVendor,
} from './testing/start-gateway.ts'

const MIB = 1024 * 1024
let rig: TestGateway
let acme: TestVendor
let release: Release
const image = randomBytes(MIB)
before(async () => {
  rig = await startGateway()
  acme = await rig.createVendor()
  await rig.saySeeds()
  release = await rig.publish(acme, image, '1.0.0')
})
after(() => rig.remove())

describe('the repository of a vendor', () => {
  test('serves a stock TUF client from the root that a device was enrolled with', async () => {
    const device = await rig.enroll(acme)
    const listener = await listen({ clock: systemClock }, rig.gateway, {
      host: '127.0.0.1',
      port: 0,
    })
    const folder = await mkdtemp(join(tmpdir(), 'ioex-tuf-'))
    try {
      await writeFile(join(folder, 'root.json'), JSON.stringify(device.enrollment.tufRoot))
      const updater = new Updater({
        metadataDir: folder,
        metadataBaseUrl: `${listener.url}/tuf/${acme.vendor}/metadata`,
        targetDir: folder,
        targetBaseUrl: `${listener.url}/tuf/${acme.vendor}/targets`,
      })
      await updater.refresh()
      const info = await updater.getTargetInfo('pump/1.0.0')
      assert.ok(info)
      assert.equal(info.custom['root'], release.id)
      const path = await updater.downloadTarget(info, join(folder, 'root-block'))
      assert.ok(path.endsWith('root-block'))
    } finally {
      await listener.stop()
      await rm(folder, { recursive: true })
    }
  })
})

describe('the trustless gateway', () => {
  test('gives root and nodes to anybody, chunks to their vendor only', async () => {
    const raw = await rig.request(`/ipfs/${release.id}?format=raw`)
    assert.equal(raw.status, 200)
    assert.equal(raw.headers.get('content-type'), 'application/vnd.ipld.raw')
    assert.equal(raw.headers.get('etag'), `"${release.id}.raw"`)
    assert.match(raw.headers.get('cache-control') ?? '', /immutable/)
    const cached = await rig.request(`/ipfs/${release.id}?format=raw`, {
      headers: { 'if-none-match': `"${release.id}.raw"` },
    })
    assert.equal(cached.status, 304)

    await rig.call('GET', `/ipfs/${release.id}?format=car`, { expect: 401 })
    const car = await rig.request(`/ipfs/${release.id}`, {
      headers: { accept: 'application/vnd.ipld.car', authorization: `Bearer ${acme.token}` },
    })
    assert.equal(
      car.headers.get('content-type'),
      'application/vnd.ipld.car; version=1; order=dfs; dups=n',
    )
    const reader = await CarReader.fromBytes(new Uint8Array(await car.arrayBuffer()))
    assert.equal((await reader.getRoots())[0]?.toString(), release.id)
    const chunks = (await Array.fromAsync(reader.cids())).filter(({ code }) => code === 0x55)
    assert.equal(chunks.length, release.chunks)
    const [chunk] = chunks
    await rig.call('GET', `/ipfs/${chunk}?format=raw`, { expect: 401 })
    const other = await rig.createVendor()
    await rig.call('GET', `/ipfs/${chunk}?format=raw`, { expect: 404, token: other.token })
    const own = await rig.request(`/ipfs/${chunk}?format=raw`, {
      headers: { authorization: `Bearer ${acme.token}` },
    })
    assert.equal(own.status, 200)
  })

  test('refuses what is no CID, what it cannot answer, and knows inline blocks', async () => {
    const codes = async (path: string, accept?: string) => {
      const answer = await rig.request(path, accept === undefined ? {} : { headers: { accept } })
      return answer.status
    }
    assert.equal(await codes('/ipfs/nonsense?format=raw'), 400)
    assert.equal(await codes(`/ipfs/${release.id}`), 400)
    assert.equal(await codes(`/ipfs/${release.id}`, 'text/html'), 406)
    assert.equal(await codes(`/ipfs/${release.id}?format=tar`), 406)
    assert.equal(await codes('/ipfs/bafkqaaa?format=raw'), 200)
  })
})

describe('receipts and bills', () => {
  test('take each proven byte once, and sign the total that follows from them only', async () => {
    const device = await rig.enroll(acme)
    const grant = await device.client.grant({ root: release.id })
    const server = rig.seeds[0]?.identity.evmAddress ?? '0x'
    const receiptFor = (serverBytes: bigint, signer = device.identity) =>
      signReceipt(signer, LEDGER, {
        grantId: grantId(grant.message),
        server,
        serverBytes,
        grantBytes: serverBytes,
      })
    const low = receiptFor(300_000n)
    const high = receiptFor(900_001n)
    const client = device.client
    assert.deepEqual(await client.sendReceipts([{ grant, receipt: low }]), {
      stored: 1,
      known: 0,
      refused: [],
    })
    const mixed = await client.sendReceipts([
      { grant, receipt: low },
      { grant, receipt: high },
      { grant, receipt: receiptFor(1n << 40n) },
      { grant, receipt: receiptFor(950_000n, rig.seeds[1]?.identity) },
    ])
    assert.equal(mixed.stored, 1)
    assert.equal(mixed.known, 1)
    assert.deepEqual(mixed.refused, [
      { index: 2, reason: 'receipt-beyond-grant' },
      { index: 3, reason: 'receipt-signer-wrong' },
    ])
    const feed = await rig.call<{ items: { cursor: number; receipt: unknown }[]; next: number }>(
      'GET',
      '/v1/receipts?after=0',
      { expect: 200, token: rig.bridgeToken },
    )
    assert.deepEqual(
      feed.items.map(({ receipt }) => receipt),
      [receiptToJson(low), receiptToJson(high)],
    )

    const total = pricedAmount({ bytes: 900_001n, ...PRICE })
    const epoch = (change: object, expect: number) =>
      rig.call<{ signature: `0x${string}`; signer: string; code?: string }>(
        'POST',
        '/v1/billing/epochs',
        {
          expect,
          token: rig.bridgeToken,
          json: {
            vendor: acme.vendor,
            epoch: 1,
            totalCumulativeGas18: String(total),
            root: `0x${'ab'.repeat(32)}`,
            throughCursor: feed.next,
            ...change,
          },
        },
      )
    const wrong = await epoch({ totalCumulativeGas18: String(total + 1n) }, 409)
    assert.equal(wrong.code, 'epoch-total-wrong')
    assert.equal((await epoch({ epoch: 2 }, 409)).code, 'epoch-not-next')
    const signed = await epoch({}, 201)
    assert.equal(
      recoverEpochSigner(LEDGER, {
        vendor: acme.vendor,
        epoch: 1,
        totalCumulativeGas18: total,
        root: `0x${'ab'.repeat(32)}`,
        signature: signed.signature,
      }),
      signed.signer,
    )
    assert.deepEqual(await epoch({}, 201), signed)
    assert.equal((await epoch({ root: `0x${'cd'.repeat(32)}` }, 409)).code, 'epoch-not-next')

    const billing = await rig.call<{
      cumulativeGas18: string
      billedGas18: string
      unsettledGas18: string
      bills: { gas18: string; bytes: string }[]
    }>('GET', '/v1/billing', { expect: 200, token: acme.token })
    assert.equal(billing.cumulativeGas18, String(total))
    assert.equal(billing.billedGas18, String(total))
    assert.equal(billing.unsettledGas18, '0')
    assert.deepEqual(
      billing.bills.map(({ gas18, bytes }) => [gas18, bytes]),
      [[String(total), '900001']],
    )
    const figures = await rig.call<{ bytesServed: string; seeds: number }>('GET', '/v1/network', {
      expect: 200,
    })
    assert.equal(figures.bytesServed, '900001')
    assert.equal(figures.seeds, 3)
  })
})

describe('seeds', () => {
  test('that the network file does not list, or that say old things, are not heard', async () => {
    const record = { ...(await signedRecord(rig)), signature: `0x${'11'.repeat(65)}` }
    const refused = await rig.request('/v1/seeds/records', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(record),
    })
    assert.ok([403, 422].includes(refused.status))
  })
})

function signedRecord({ seeds }: TestGateway) {
  const publicKey = seeds[0]?.identity.publicKey.toHex() ?? ''
  return Promise.resolve({
    publicKey: `0x${publicKey}`,
    multiaddrs: ['/ip4/192.0.2.1/tcp/1'],
    issuedAtMs: Date.now(),
  })
}

describe('documentation', () => {
  test('is there for people and programs, and loads nothing from elsewhere', async () => {
    const document = await rig.call<{ paths: object; components: { schemas: object } }>(
      'GET',
      '/openapi.json',
      { expect: 200 },
    )
    assert.ok(Object.keys(document.paths).length > 25)
    assert.ok('Release' in document.components.schemas)
    const page = await rig.request('/docs')
    const html = await page.text()
    assert.equal(/(src|href)="https?:/.test(html), false)
    assert.equal(html.includes('<script'), false)
    assert.match(page.headers.get('content-security-policy') ?? '', /connect-src 'self'/)
    for (const path of ['/healthz', '/readyz']) await rig.call('GET', path, { expect: 200 })
    const metrics = await (await rig.request('/metrics')).text()
    assert.ok(metrics.includes('ioex_gateway_releases_published_total 1'))
    assert.ok(metrics.includes('route="/v1/vendors/:vendor/releases"'))
  })
})
