import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MIB } from '../base/index.ts'
import { createDeviceFleet, type DeviceFleet, type DeviceSettings } from '../testing/device-rig.ts'
import type { Installer } from './index.ts'

const slots = (fleet: DeviceFleet) => join(fleet.folder, 'device', 'slots')
const running = (fleet: DeviceFleet) => readFile(join(slots(fleet), 'current', 'image'))
const withInstaller = (change: (own: Installer) => Partial<Installer>): DeviceSettings => ({
  wrap: (needs) => ({ ...needs, installer: { ...needs.installer, ...change(needs.installer) } }),
})

async function withFleet(
  run: (fleet: DeviceFleet, images: readonly [Uint8Array, Uint8Array]) => Promise<void>,
): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    const images = [randomBytes(MIB), randomBytes(MIB)] as const
    await fleet.publish(images[0], '1.0.0')
    const device = await fleet.device()
    assert.equal((await device.agent.update()).outcome, 'updated')
    await device.stop()
    await fleet.publish(images[1], '2.0.0')
    await run(fleet, images)
  } finally {
    await fleet.stop()
  }
}

describe('a device', () => {
  test('whose written image went with the power fetches it anew and never switches to nothing', () =>
    withFleet(async (fleet, [old, fresh]) => {
      const device = await fleet.device(
        withInstaller(() => ({ install: () => Promise.reject(new Error('not yet')) })),
      )
      assert.equal((await device.agent.update()).outcome, 'waiting')
      assert.equal(device.agent.status().phase.name, 'written')
      await device.stop()
      await rm(join(slots(fleet), 'slot-b'), { recursive: true })
      const again = await fleet.device({
        ...withInstaller((own) => ({
          async install(candidate, abort) {
            assert.ok((await running(fleet)).equals(old))
            await own.install(candidate, abort)
          },
        })),
      })
      assert.equal((await again.agent.update()).outcome, 'updated')
      assert.ok((await running(fleet)).equals(fresh))
    }))

  test('that dies in every attempt to install boots the release before, not one that nobody checked', () =>
    withFleet(async (fleet, [old]) => {
      for (let death = 0; death < 3; death++) {
        const power = new AbortController()
        const device = await fleet.device(
          withInstaller((own) => ({
            async install(candidate, abort) {
              await own.install(candidate, abort)
              power.abort(new Error('the machine went down'))
              throw power.signal.reason
            },
          })),
        )
        await assert.rejects(device.agent.update({ signal: power.signal }))
        await device.stop()
        assert.equal(await readlink(join(slots(fleet), 'current')), 'slot-b')
      }
      const device = await fleet.device()
      const { outcome, installed } = await device.agent.update()
      assert.deepEqual([outcome, installed?.version], ['waiting', '1.0.0'])
      assert.ok((await running(fleet)).equals(old))
    }))
})
