import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { readFile } from '@ioex/node/chunks'
import { openTrustedRelease, unwrapCheckedReleaseKey } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { startGateway, type TestGateway, type TestVendor } from './testing/start-gateway.ts'

const MIB = 1024 * 1024

describe('a gateway', () => {
  let rig: TestGateway
  let acme: TestVendor
  before(async () => {
    rig = await startGateway()
    acme = await rig.createVendor()
    await rig.saySeeds()
  })
  after(() => rig.remove())

  test('publishes an image that a device can fetch, open and report', async () => {
    const image = randomBytes(2 * MIB)
    const device = await rig.enroll(acme)
    const release = await rig.publish(acme, image, '1.0.0')
    assert.equal(release.state, 'published')
    assert.equal(release.copies, 2)
    assert.equal(release.imageBytes, image.byteLength)
    assert.equal(release.imageSha256, `0x${createHash('sha256').update(image).digest('hex')}`)
    assert.deepEqual(rig.announced.at(-1)?.root, release.id)

    const { latest } = await device.client.checkIn({ running: { version: null } })
    assert.deepEqual(latest, { root: release.id, version: '1.0.0' })
    const list = await device.client.addresses(release.id)
    assert.equal(list.entries.length, 2)

    const grant = await device.client.grant({ root: release.id })
    const expected = (BigInt(release.sealedBytes) * 11n + 9n) / 10n + BigInt(MIB)
    assert.equal(grant.message.maxBytes, expected)
    assert.equal(grant.message.device, device.identity.evmAddress)
    const again = await device.client.grant({ root: release.id })
    assert.ok(again.message.serial > grant.message.serial)

    const wrap = await device.client.releaseKey(release.id)
    const row = await rig.store.db
      .selectFrom('releases')
      .selectAll()
      .where('id', '=', release.id)
      .executeTakeFirstOrThrow()
    const key = await unwrapCheckedReleaseKey(
      wrap ?? new Uint8Array(),
      device.identity.ageIdentity,
      row.release_key_hash as `0x${string}`,
    )
    const [seed] = rig.seeds.filter(({ kept }) => kept.has(release.id))
    assert.ok(seed)
    const rootBytes = seed.kept.get(release.id) ?? new Uint8Array()
    const opened = openTrustedRelease(
      {
        model: 'pump',
        version: '1.0.0',
        sequence: row.sequence ?? 0,
        root: CID.parse(release.id),
        rootBytes: rootBytes.byteLength,
        releaseKeyHash: row.release_key_hash as `0x${string}`,
        deltas: [],
        announceSigner: acme.vendor,
      },
      rootBytes,
      key,
    )
    const get = (cid: CID) => {
      const bytes = seed.kept.get(cid.toString())
      return bytes === undefined ? Promise.reject(new Error('gone')) : Promise.resolve(bytes)
    }
    const plain = Buffer.concat(await Array.fromAsync(readFile(opened.treeRef, get)))
    assert.ok(plain.equals(image))

    await device.client.progress({ root: release.id, event: 'downloading', progress: 40 })
    await device.report({ root: release.id, event: 'written' })
    await device.report({
      root: release.id,
      event: 'confirmed',
      sha256: release.imageSha256 ?? undefined,
    })
    const seen = await rig.call<{ devices: { confirmed: number } }>(
      'GET',
      `/v1/releases/${release.id}`,
      { expect: 200, token: acme.token },
    )
    assert.equal(seen.devices.confirmed, 1)
    const detail = await rig.call<{ state: string; history: { event: string }[] }>(
      'GET',
      `/v1/devices/${device.identity.evmAddress}`,
      { expect: 200, token: acme.token },
    )
    assert.equal(detail.state, 'confirmed')
    assert.deepEqual(
      detail.history.map(({ event }) => event),
      ['confirmed', 'written', 'downloading', 'granted', 'granted', 'enrolled'],
    )
  })

  test('stores only what changed of a second release, and supersedes the first', async () => {
    const image = randomBytes(4 * MIB)
    const first = await rig.publish(acme, image, '2.0.0')
    image.set(randomBytes(1000), 2 * MIB)
    const second = await rig.publish(acme, image, '2.1.0')
    assert.ok((second.newBytes ?? 0) < (first.newBytes ?? 0) / 4, `${second.newBytes} new bytes`)
    assert.equal(second.sealedBytes > 4 * MIB, true)
    const now = await rig.call<{ state: string }>('GET', `/v1/releases/${first.id}`, {
      expect: 200,
      token: acme.token,
    })
    assert.equal(now.state, 'superseded')
  })

  test('gives no grant for a withdrawn release, and stops naming it to devices', async () => {
    const device = await rig.enroll(acme)
    const release = await rig.publish(acme, randomBytes(1000), '3.0.0')
    await device.client.grant({ root: release.id })
    await rig.call('POST', `/v1/releases/${release.id}/withdraw`, {
      expect: 200,
      token: acme.token,
    })
    await assert.rejects(
      device.client.grant({ root: release.id }),
      (error: { problem?: { code: string } }) => error.problem?.code === 'release-withdrawn',
    )
    const { latest } = await device.client.checkIn({ running: { version: null } })
    assert.notEqual(latest?.root, release.id)
  })

  test('wraps the key for a device that enrols after the release', async () => {
    const release = await rig.publish(acme, randomBytes(1000), '4.0.0')
    const late = await rig.enroll(acme)
    const wrap = await late.client.releaseKey(release.id)
    assert.ok(wrap !== undefined && wrap.byteLength > 100)
  })

  test('shows progress that ends with 100 percent', async () => {
    const { upload } = await rig.call<{ upload: string }>(
      'POST',
      `/v1/vendors/${acme.vendor}/uploads`,
      { expect: 201, token: acme.token, json: { model: 'pump', version: '5.0.0' } },
    )
    const headers = { authorization: `Bearer ${acme.token}` }
    const events = await rig.request(`/v1/uploads/${upload}/events`, { headers })
    const image = randomBytes(MIB)
    const sent = rig.request(`/v1/uploads/${upload}`, {
      method: 'PUT',
      headers: { ...headers, 'content-length': String(image.byteLength) },
      body: new Uint8Array(image),
    })
    const text = await events.text()
    const states = text
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice(6)) as { phase: string; percent: number })
    assert.deepEqual(states.at(-1)?.phase, 'published')
    assert.equal(states.at(-1)?.percent, 100)
    const percents = states.map(({ percent }) => percent)
    assert.deepEqual(
      percents,
      [...percents].sort((a, b) => a - b),
    )
    assert.equal((await sent).status, 201)
  })
})
