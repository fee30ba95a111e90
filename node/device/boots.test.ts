import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MIB } from '../base/index.ts'
import { createDeviceFleet, type DeviceSettings } from '../testing/device-rig.ts'
import { countThisBoot, readState } from './index.ts'

/** A machine that goes down while the agent asks for the health of 2.0.0, boot after boot. */
async function withBoots(
  story: (now: {
    /** One boot: an agent starts, and goes down with the machine while it tries 2.0.0. */
    boot: (number: number) => Promise<string>
    count: (number: number) => ReturnType<typeof countThisBoot>
    phase: () => Promise<string>
  }) => Promise<void>,
) {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    let boot = 0
    let goesDown = false
    const settings: DeviceSettings = {
      wrap: (needs) => ({
        ...needs,
        bootId: () => Promise.resolve(`boot ${boot}`),
        installer: {
          ...needs.installer,
          isHealthy: () =>
            goesDown ? Promise.reject(new Error('the power is gone')) : Promise.resolve(true),
        },
      }),
    }
    const device = await fleet.device(settings)
    await fleet.publish(Buffer.alloc(MIB, 1), '1.0.0')
    await device.agent.update()
    await fleet.publish(Buffer.alloc(MIB, 2), '2.0.0')
    goesDown = true
    await device.agent.update()
    const folder = device.home
    await story({
      async boot(number) {
        boot = number
        const { outcome } = await device.agent.update()
        return outcome
      },
      count: (number) => countThisBoot(folder, () => Promise.resolve(`boot ${number}`)),
      phase: async () => (await readState(folder)).phase.name,
    })
  } finally {
    await fleet.stop()
  }
}

test('a release that never lives to be asked for its health gives way after three boots', () =>
  withBoots(async ({ boot, phase }) => {
    for (const number of [1, 1, 2, 2, 3]) {
      assert.equal(await boot(number), 'waiting')
      assert.equal(await phase(), 'trying')
    }
    assert.equal(await boot(4), 'fell-back')
    assert.equal(await phase(), 'idle')
  }))

test('a boot script counts each boot once, and is told when the one before has to be booted', () =>
  withBoots(async ({ count, phase }) => {
    assert.deepEqual(await count(1), { boots: 1, isOver: false })
    assert.deepEqual(await count(1), { boots: 1, isOver: false })
    assert.deepEqual(await count(2), { boots: 2, isOver: false })
    assert.deepEqual(await count(3), { boots: 3, isOver: false })
    assert.deepEqual(await count(4), { boots: 4, isOver: true })
    assert.equal(await phase(), 'falling-back')
    assert.equal((await count(5)).isOver, true)
  }))

test('an install that took the machine down before it was noted is counted as well', async () => {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    let boot = 0
    let takesDown = false
    const device = await fleet.device({
      wrap: (needs) => ({
        ...needs,
        bootId: () => Promise.resolve(`boot ${boot}`),
        installer: {
          ...needs.installer,
          install: (candidate, abort) =>
            takesDown
              ? Promise.reject(new Error('it has switched, and the power is gone'))
              : needs.installer.install(candidate, abort),
        },
      }),
    })
    await fleet.publish(Buffer.alloc(MIB, 1), '1.0.0')
    await device.agent.update()
    await fleet.publish(Buffer.alloc(MIB, 2), '2.0.0')
    takesDown = true
    await device.agent.update()
    assert.equal((await readState(device.home)).phase.name, 'written')
    const counts: boolean[] = []
    for (boot = 1; boot <= 4; boot++) {
      counts.push((await countThisBoot(device.home, () => Promise.resolve(`boot ${boot}`))).isOver)
    }
    assert.deepEqual(counts, [false, false, false, true])
  } finally {
    await fleet.stop()
  }
})
