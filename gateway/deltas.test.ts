import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { startGateway, type TestGateway } from './testing/start-gateway.ts'

const MIB = 1024 * 1024
let rig: TestGateway
before(async () => {
  rig = await startGateway()
  await rig.saySeeds()
})
after(() => rig.remove())

/** Ten bytes here and there. */
function edited(image: Buffer): Buffer {
  const next = Buffer.from(image)
  for (let place = 1; place <= 10; place++) {
    const at = Math.floor((place * next.byteLength) / 11)
    next[at] = (next[at] ?? 0) ^ 0xff
  }
  return next
}

describe('patches from the last releases', () => {
  test('are made, kept by seeds, named by metadata and granted to who runs one of them', async () => {
    const vendor = await rig.createVendor()
    const device = await rig.enroll(vendor)
    const image = randomBytes(4 * MIB)
    const first = await rig.publish(vendor, image, '1.0.0')
    assert.deepEqual(first.deltas, [])
    const second = await rig.publish(vendor, edited(image), '1.1.0')
    const third = await rig.publish(vendor, edited(edited(image)), '1.2.0')
    assert.deepEqual(
      third.deltas.map(({ baseRoot }) => baseRoot),
      // Of the first release all chunks are in the third one again.
      [second.id],
    )
    const [delta] = third.deltas
    assert.ok(delta !== undefined && delta.bytes < third.sealedBytes / 20)
    assert.ok(rig.seeds.some(({ kept }) => kept.has(delta.deltaRoot)))
    const lines = await rig.store.db
      .selectFrom('tuf_files')
      .select('bytes')
      .where('vendor', '=', vendor.vendor)
      .where('name', 'like', '%.line-%')
      .execute()
    assert.ok(lines.some(({ bytes }) => Buffer.from(bytes).includes(delta.deltaRoot)))

    const forDelta = await device.client.grant({ root: third.id, baseRoot: second.id })
    const digest = Buffer.from(CID.parse(delta.deltaRoot).multihash.digest).toString('hex')
    assert.equal(forDelta.message.deltaRoot, `0x${digest}`)
    assert.equal(forDelta.message.maxBytes, BigInt(Math.ceil(1.1 * delta.bytes) + MIB))
    const forAll = await device.client.grant({ root: third.id })
    assert.equal(BigInt(forAll.message.deltaRoot), 0n)
    assert.ok(forAll.message.maxBytes > BigInt(third.sealedBytes))
  })

  test('go with their release when it is withdrawn', async () => {
    const vendor = await rig.createVendor()
    const image = randomBytes(2 * MIB)
    await rig.publish(vendor, image, '1.0.0')
    const second = await rig.publish(vendor, edited(image), '1.1.0')
    const [delta] = second.deltas
    assert.ok(delta !== undefined)
    const root = CID.parse(delta.deltaRoot)
    assert.ok((await rig.storage.pins.get(root)) !== undefined)
    await rig.call('POST', `/v1/releases/${second.id}/withdraw`, {
      expect: 200,
      token: vendor.token,
      json: {},
    })
    assert.equal(await rig.storage.pins.get(root), undefined)
  })

  test('are not made of an image that has nothing of the one before', async () => {
    const vendor = await rig.createVendor()
    await rig.publish(vendor, randomBytes(MIB), '1.0.0')
    const second = await rig.publish(vendor, randomBytes(MIB), '1.1.0')
    assert.deepEqual(second.deltas, [])
  })
})
