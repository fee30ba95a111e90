import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MIB } from '../base/index.ts'
import { createDeviceFleet, type DeviceFleet, type RigDevice } from '../testing/device-rig.ts'
import { noise } from '../testing/memory-blocks.ts'

const running = (fleet: DeviceFleet) =>
  readFile(join(fleet.folder, 'device', 'slots', 'current', 'image'))

const FIRST = Buffer.from(noise(6 * MIB, 1))
/** No chunk is as it was, and none has changed much. */
const SECOND = (() => {
  const next = Buffer.from(FIRST)
  for (let at = 1_000; at < next.byteLength; at += 3_000) next[at] = (next[at] ?? 0) ^ 0x55
  return Buffer.concat([noise(5_000, 5), next])
})()

/** So much of each chunk has changed that the patches are some hundredths of the image. */
const WIDELY_CHANGED = (() => {
  const next = Buffer.from(FIRST)
  const changes = noise(FIRST.byteLength / 32, 6)
  for (const [index, change] of changes.entries()) next[32 * index] = change
  return next
})()

/** A device that runs the first release, and a second one that came out with patches. */
async function withSecond(
  run: (
    fleet: DeviceFleet,
    device: RigDevice,
    second: { readonly sealedBytes: number },
  ) => Promise<void>,
  image = SECOND,
): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    const device = await fleet.device({ giveUpAfterMs: 1_500 })
    await fleet.publish(FIRST, '1.0.0')
    assert.equal((await device.agent.update()).outcome, 'updated')
    const second = await fleet.publish(image, '1.1.0', { deltas: true })
    await run(fleet, device, second)
  } finally {
    await fleet.stop()
  }
}

describe('a device for whose release there are patches', () => {
  test('fetches them in the place of chunks, and leaves none of them on its disk', () =>
    withSecond(async (fleet, device) => {
      const { outcome, totals } = await device.agent.update()
      assert.equal(outcome, 'updated')
      assert.ok((await running(fleet)).equals(SECOND))
      assert.equal(totals.fetchedBytes, totals.receiptedBytes)
      const share = totals.fetchedBytes / SECOND.byteLength
      assert.ok(share < 0.1, `fetched ${(100 * share).toFixed(1)} %`)
      assert.equal(device.node.storage.blocks.usedBytes, 0)
    }))

  test('fetches chunks when another release runs than the one they lead from', async () => {
    const fleet = await createDeviceFleet()
    try {
      await fleet.seed()
      await fleet.publish(FIRST, '1.0.0')
      await fleet.publish(SECOND, '1.1.0', { deltas: true })
      const device = await fleet.device({ giveUpAfterMs: 1_500 })
      const { outcome, totals } = await device.agent.update()
      assert.equal(outcome, 'updated')
      assert.ok(totals.fetchedBytes > SECOND.byteLength)
      assert.ok((await running(fleet)).equals(SECOND))
    } finally {
      await fleet.stop()
    }
  })

  test('fetches the chunks whose part of the running image is damaged', () =>
    withSecond(async (fleet, device) => {
      const path = join(fleet.folder, 'device', 'slots', 'current', 'image')
      const damaged = await readFile(path)
      damaged.fill(0, 2 * MIB, 3 * MIB)
      await writeFile(path, damaged)
      assert.equal((await device.agent.update()).outcome, 'updated')
      assert.ok((await running(fleet)).equals(SECOND))
    }))

  test('with an image that is damaged throughout fetches what a full download takes', () =>
    withSecond(async (fleet, device, { sealedBytes }) => {
      const path = join(fleet.folder, 'device', 'slots', 'current', 'image')
      const damaged = await readFile(path)
      for (let at = 300; at < damaged.byteLength; at += 4_000) {
        damaged[at] = (damaged[at] ?? 0) ^ 1
      }
      await writeFile(path, damaged)
      const { outcome, totals } = await device.agent.update()
      assert.equal(outcome, 'updated')
      assert.ok((await running(fleet)).equals(WIDELY_CHANGED))
      const share = totals.fetchedBytes / sealedBytes
      assert.ok(share <= 1.01, `fetched ${(100 * share).toFixed(1)} %`)
    }, WIDELY_CHANGED))

  test('fetches all chunks when nobody holds the patches', async () => {
    const fleet = await createDeviceFleet()
    try {
      const old = await fleet.seed()
      const device = await fleet.device({ giveUpAfterMs: 1_500 })
      await fleet.publish(FIRST, '1.0.0')
      await device.agent.update()
      const release = await fleet.publish(SECOND, '1.1.0', { deltas: true })
      for (const { deltaRoot } of fleet.gateway.releases.get(release.root)?.deltas ?? []) {
        await old.storage.pins.remove(deltaRoot, 'order:test')
      }
      await old.storage.collectGarbage()
      const { outcome, totals } = await device.agent.update()
      assert.equal(outcome, 'updated')
      assert.ok(totals.fetchedBytes > SECOND.byteLength)
      assert.ok((await running(fleet)).equals(SECOND))
    } finally {
      await fleet.stop()
    }
  })
})
