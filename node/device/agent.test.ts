import assert from 'node:assert/strict'
import { createCipheriv, createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MIB } from '../base/index.ts'
import { createDeviceFleet, type DeviceFleet } from '../testing/device-rig.ts'

/** Bytes that do not compress, the same for the same seed. */
function noise(bytes: number, seed: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(
    Buffer.alloc(bytes),
  )
}

const digest = (bytes: Uint8Array) => `0x${createHash('sha256').update(bytes).digest('hex')}`

async function withFleet(run: (fleet: DeviceFleet) => Promise<void>): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await run(fleet)
  } finally {
    await fleet.stop()
  }
}

const running = (fleet: DeviceFleet) =>
  readFile(join(fleet.folder, 'device', 'slots', 'current', 'image'))
const events = (fleet: DeviceFleet) =>
  fleet.gateway.reports.map(({ event }) => event).filter((event) => event !== 'downloading')

describe('a device', () => {
  test('installs what metadata names, from all copies, and tells what it did', () =>
    withFleet(async (fleet) => {
      const seeds = [await fleet.seed(), await fleet.seed()]
      const device = await fleet.device()
      const image = noise(6 * MIB, 1)
      const release = await fleet.publish(image, '1.0.0')
      const { outcome, installed, totals, reportsPending } = await device.agent.update()
      assert.deepEqual([outcome, installed?.version, reportsPending], ['updated', '1.0.0', 0])
      assert.ok((await running(fleet)).equals(image))
      assert.equal(installed?.sha256, digest(image))
      assert.equal(release.sha256, digest(image))
      assert.equal(Object.keys(totals.sources).length, seeds.length)
      assert.equal(totals.fetchedBytes, totals.receiptedBytes)
      assert.deepEqual(events(fleet), ['written', 'confirmed'])
      assert.equal(fleet.gateway.reports.at(-1)?.sha256, digest(image))
      assert.equal((await device.agent.update()).outcome, 'up-to-date')
      assert.equal(device.node.storage.blocks.usedBytes, 0)
    }))

  test('fetches only what changed in the second release, an insertion included', () =>
    withFleet(async (fleet) => {
      await fleet.seed()
      const device = await fleet.device()
      const first = noise(24 * MIB, 2)
      await fleet.publish(first, '1.0.0')
      await device.agent.update()
      const changed = Buffer.from(first)
      for (let place = 1; place < 10; place++)
        changed.writeUInt8(0xff - changed.readUInt8(place * 2 * MIB), place * 2 * MIB)
      const second = Buffer.concat([
        changed.subarray(0, MIB),
        noise(1000, 3),
        changed.subarray(MIB),
      ])
      await fleet.publish(second, '1.1.0')
      const { outcome, totals } = await device.agent.update()
      assert.equal(outcome, 'updated')
      assert.ok((await running(fleet)).equals(second))
      const share = totals.fetchedBytes / second.byteLength
      assert.ok(share < 0.1, `fetched ${(100 * share).toFixed(1)} %`)
    }))

  test('keeps an image of one byte as well as one of nothing but zeros, which stays sparse', () =>
    withFleet(async (fleet) => {
      await fleet.seed()
      const device = await fleet.device()
      for (const [version, image] of [
        ['1', Buffer.of(7)],
        ['2', Buffer.alloc(5 * MIB)],
      ] as const) {
        await fleet.publish(image, version)
        assert.equal((await device.agent.update()).outcome, 'updated')
        assert.ok((await running(fleet)).equals(image))
      }
    }))

  test('goes back to the release before when the new one does not pass its check, and does not try it again', () =>
    withFleet(async (fleet) => {
      await fleet.seed()
      const healthCommand = 'test "$IOEX_VERSION" != 2.0.0'
      const device = await fleet.device({ healthCommand, healthWithinMs: 300 })
      const good = noise(MIB, 4)
      await fleet.publish(good, '1.0.0')
      await device.agent.update()
      await fleet.publish(noise(MIB, 5), '2.0.0')
      const { outcome, installed, waiting } = await device.agent.update()
      assert.deepEqual(
        [outcome, installed?.version, waiting?.reason],
        ['fell-back', '1.0.0', 'health-check-failed'],
      )
      assert.ok((await running(fleet)).equals(good))
      assert.deepEqual(events(fleet), ['written', 'confirmed', 'written', 'fell-back'])
      const before = fleet.gateway.calls.filter((call) => call.endsWith('/grants')).length
      assert.equal((await device.agent.update()).outcome, 'up-to-date')
      assert.equal(fleet.gateway.calls.filter((call) => call.endsWith('/grants')).length, before)
      await fleet.publish(noise(MIB, 6), '2.0.1')
      assert.equal((await device.agent.update()).installed?.version, '2.0.1')
    }))

  test('hands the image to an install command, again while it fails, and gives up in the end', () =>
    withFleet(async (fleet) => {
      await fleet.seed()
      const copy = join(fleet.folder, 'flash')
      const installCommand = `test -e ${copy}.ready && cp "$IOEX_IMAGE" ${copy} && echo "$IOEX_VERSION" > ${copy}.version`
      const device = await fleet.device({ installCommand })
      const image = noise(MIB, 7)
      await fleet.publish(image, '1.0.0')
      const failed = await device.agent.update()
      assert.deepEqual([failed.outcome, failed.waiting?.reason], ['waiting', 'install-failed'])
      await writeFile(`${copy}.ready`, '')
      assert.equal((await device.agent.update()).outcome, 'updated')
      assert.ok((await readFile(copy)).equals(image))
      assert.equal(await readFile(`${copy}.version`, 'utf8'), '1.0.0\n')
      await rm(`${copy}.ready`)
      await fleet.publish(noise(MIB, 8), '1.1.0')
      for (let round = 0; round < 3; round++) {
        assert.equal((await device.agent.update()).waiting?.reason, 'install-failed')
      }
      const { outcome, installed } = await device.agent.update()
      assert.deepEqual([outcome, installed?.version], ['up-to-date', '1.0.0'])
      assert.equal(events(fleet).at(-1), 'failed')
    }))

  test('keeps the blocks of what is installed when it is told to, and no others', () =>
    withFleet(async (fleet) => {
      await fleet.seed()
      const device = await fleet.device({ keepBlocks: true })
      const first = noise(3 * MIB, 9)
      await fleet.publish(first, '1.0.0')
      await device.agent.update()
      const second = Buffer.concat([first, noise(MIB, 10)])
      const { root, sealedBytes } = await fleet.publish(second, '1.1.0')
      assert.equal((await device.agent.update()).outcome, 'updated')
      const pins = await Array.fromAsync(device.node.storage.pins.list())
      assert.deepEqual(
        pins.map((pin) => [pin.root.toString(), pin.owners.map(({ owner }) => owner)]),
        [[root, ['install']]],
      )
      assert.ok((pins[0]?.bytes ?? 0) >= sealedBytes, 'the copy is not whole')
    }))
})
