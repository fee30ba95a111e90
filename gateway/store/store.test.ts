import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { startGateway, type TestGateway } from '../testing/start-gateway.ts'
import { grantId, pricedAmount, signReceipt } from '../testing/money.ts'
import { LEDGER, PRICE } from '../testing/start-gateway.ts'
import { type Postgres, startPostgres } from '../testing/start-postgres.ts'

/** The same behaviour over both databases; what the rows hold must not depend on which it is. */
function behavesTheSame(rigOf: () => TestGateway): void {
  test('a release, its devices and its bill come out the same', async () => {
    const rig = rigOf()
    const acme = await rig.createVendor()
    await rig.saySeeds()
    const device = await rig.enroll(acme)
    const release = await rig.publish(acme, randomBytes(300_000), '1.0.0')
    assert.equal(release.state, 'published')
    assert.ok(((await device.client.releaseKey(release.id)) ?? []).length > 100)
    const grant = await device.client.grant({ root: release.id })
    assert.equal(grant.message.serial, 1n)
    const server = rig.seeds[0]?.identity.evmAddress ?? '0x'
    for (const bytes of [100_000n, 300_001n]) {
      const receipt = signReceipt(device.identity, LEDGER, {
        grantId: grantId(grant.message),
        server,
        serverBytes: bytes,
        grantBytes: bytes,
      })
      await device.client.sendReceipts([{ grant, receipt }])
    }
    await device.report({ root: release.id, event: 'confirmed', fetchedBytes: 300_001 })
    const billing = await rig.call<{ unsettledGas18: string; unsettledBytes: string }>(
      'GET',
      '/v1/billing',
      { expect: 200, token: acme.token },
    )
    assert.equal(billing.unsettledGas18, String(pricedAmount({ bytes: 300_001n, ...PRICE })))
    assert.equal(billing.unsettledBytes, '300001')
    const page = await rig.call<{ items: { state: string; running: { version: string } }[] }>(
      'GET',
      '/v1/devices?limit=1',
      { expect: 200, token: acme.token },
    )
    assert.deepEqual(
      page.items.map(({ state, running }) => [state, running.version]),
      [['confirmed', '1.0.0']],
    )
    const figures = await rig.call<{ bytesServed: string }>('GET', '/v1/network', { expect: 200 })
    assert.equal(figures.bytesServed, '300001')
  })

  test('pages of devices hold each one once, in order', async () => {
    const rig = rigOf()
    const acme = await rig.createVendor()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push((await rig.enroll(acme)).identity.evmAddress)
    const seen: string[] = []
    let after = ''
    for (;;) {
      const page = await rig.call<{ items: { device: string }[]; next: string | null }>(
        'GET',
        `/v1/devices?limit=2${after}`,
        { expect: 200, token: acme.token },
      )
      seen.push(...page.items.map(({ device }) => device))
      if (page.next === null) break
      after = `&after=${page.next}`
    }
    assert.deepEqual(seen, ids.sort())
  })

  test('a code is spent once, however many redeem it at the same time', async () => {
    const rig = rigOf()
    const acme = await rig.createVendor()
    const code = await rig.newCode(acme, 'pump')
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => rig.enroll(acme, 'pump', code)),
    )
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    const devices = await rig.store.db
      .selectFrom('devices')
      .select('id')
      .where('vendor', '=', acme.vendor)
      .execute()
    assert.equal(devices.length, 1)
  })
}

describe('a gateway over SQLite', () => {
  let rig: TestGateway
  before(async () => {
    rig = await startGateway()
  })
  after(() => rig.remove())
  behavesTheSame(() => rig)
})

const postgres: Postgres | undefined = await startPostgres()
if (postgres === undefined) {
  test('a gateway over PostgreSQL', (context) => {
    context.diagnostic('not run: the Debian package "postgresql" is missing')
  })
} else {
  describe('a gateway over PostgreSQL', () => {
    let rig: TestGateway
    before(async () => {
      rig = await startGateway({ database: postgres.url })
    })
    after(async () => {
      await rig.remove()
      await postgres.stop()
    })
    behavesTheSame(() => rig)
  })
}
