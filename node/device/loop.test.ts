import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MIB, systemClock } from '../base/index.ts'
import type { Announcement } from '../network/index.ts'
import { createDeviceFleet } from '../testing/device-rig.ts'

test('an agent that runs installs what it hears of, long before it would have asked, and stops twice', async () => {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    let tell: (announcement: Announcement) => void = () => undefined
    let listeners = 0
    const confirmed: string[] = []
    let idle: () => void = () => undefined
    const wasIdle = new Promise<void>((resume) => {
      idle = resume
    })
    let done: () => void = () => undefined
    const wasDone = new Promise<void>((resume) => {
      done = resume
    })
    const device = await fleet.device({
      // The gateway asks for a call every 5 s; here a wait for a poll lasts for ever.
      clock: {
        ...systemClock,
        sleep: (ms, options) => systemClock.sleep(ms > 3_000 ? 600_000 : ms, options),
      },
      onEvent(event) {
        if (event.name === 'up-to-date') idle()
        if (event.name !== 'confirmed') return
        confirmed.push(event.installed.version)
        done()
      },
      wrap: (needs) => ({
        ...needs,
        network: {
          listen(_vendors, heard) {
            listeners++
            tell = heard
            return () => {
              listeners--
            }
          },
        },
      }),
    })
    await device.agent.start()
    await device.agent.start()
    await wasIdle
    const { root } = await fleet.publish(Buffer.alloc(MIB, 7), '1.0.0')
    const vendor = fleet.vendor.address
    const issuedAtMs = systemClock.nowMs()
    tell({ vendor, root, model: 'another-model', version: '1.0.0', issuedAtMs })
    tell({ vendor, root, model: 'pump-s3', version: '1.0.0', issuedAtMs })
    await wasDone
    assert.deepEqual(confirmed, ['1.0.0'])
    assert.equal(device.events.filter(({ name }) => name === 'heard').length, 1)
    await device.agent.stop()
    await device.agent.stop()
    assert.equal(listeners, 0)
  } finally {
    await fleet.stop()
  }
})

test('an agent that polls leaves metadata alone until the gateway hints at something new', async () => {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    const calls = () => {
      const { calls: all } = fleet.gateway
      return {
        polls: all.filter((call) => call === 'GET /v1/devices/me/poll').length,
        metadata: all.filter((call) => call.endsWith('timestamp.json')).length,
      }
    }
    const until = async (holds: () => boolean) => {
      while (!holds()) await systemClock.sleep(20)
    }
    const device = await fleet.device({
      // The gateway asks for a call every 5 s.
      clock: {
        ...systemClock,
        sleep: (ms, options) => systemClock.sleep(ms > 3_000 ? 30 : ms, options),
      },
    })
    await device.agent.start()
    await until(() => calls().polls >= 12)
    const quiet = calls()
    assert.ok(quiet.metadata <= 2, `metadata was read ${quiet.metadata} times in ${quiet.polls}`)
    await fleet.publish(Buffer.alloc(MIB, 7), '1.0.0')
    await until(() => device.events.some(({ name }) => name === 'confirmed'))
    await device.agent.stop()
  } finally {
    await fleet.stop()
  }
})
