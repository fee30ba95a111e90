import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MIB, systemClock } from '../base/index.ts'
import { createDeviceFleet } from '../testing/device-rig.ts'
import { createSystemConditions, parseTimeWindow, type UpdatePolicy } from './index.ts'

const NIGHT = [parseTimeWindow('01:00-05:00')]

async function withDevice(
  policy: UpdatePolicy,
  story: (now: {
    update: () => Promise<{
      outcome: string
      reason: string | undefined
      detail: string | undefined
    }>
    publish: (version: string) => Promise<unknown>
    fetched: () => number
    conditions: { hour: number; onMains: boolean; batteryPercent: number; metered: boolean }
  }) => Promise<void>,
) {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    const conditions = { hour: 12, onMains: true, batteryPercent: 90, metered: false }
    const device = await fleet.device({
      policy: { ...policy, timeZone: 'UTC' },
      conditions: {
        power: () => Promise.resolve(conditions),
        isMetered: () => Promise.resolve(conditions.metered),
      },
      wrap: (needs) => ({
        ...needs,
        clock: { ...systemClock, nowMs: () => hourOf(conditions.hour) },
      }),
    })
    await story({
      conditions,
      publish: (version) => fleet.publish(Buffer.alloc(MIB, version), version),
      fetched: () => fleet.gateway.calls.filter((call) => call.endsWith('/grants')).length,
      async update() {
        const { outcome, waiting } = await device.agent.update()
        return { outcome, reason: waiting?.reason, detail: waiting?.detail }
      },
    })
  } finally {
    await fleet.stop()
  }
}

/** Today at that hour: grants and metadata are of today. */
function hourOf(hour: number): number {
  const day = new Date(systemClock.nowMs())
  return Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate(), hour, 30)
}

test('downloads wait for their window, and switching for its own', () =>
  withDevice(
    { downloadWindows: [parseTimeWindow('08:00-20:00')], switchWindows: NIGHT },
    async ({ update, publish, fetched, conditions }) => {
      await publish('1.0.0')
      conditions.hour = 22
      const early = await update()
      assert.deepEqual([early.outcome, early.reason], ['waiting', 'outside-window'])
      assert.match(early.detail ?? '', /downloads opens at .* 08:00/)
      assert.equal(fetched(), 0)
      conditions.hour = 12
      const whole = await update()
      assert.deepEqual([whole.outcome, whole.reason], ['waiting', 'outside-window'])
      assert.match(whole.detail ?? '', /switching opens at .* 01:00/)
      conditions.hour = 2
      assert.equal((await update()).outcome, 'updated')
      assert.equal(fetched(), 1)
    },
  ))

test('on a low battery nothing is fetched or switched to, on mains both', () =>
  withDevice({ minBatteryPercent: 40 }, async ({ update, publish, conditions }) => {
    await publish('1.0.0')
    Object.assign(conditions, { onMains: false, batteryPercent: 12 })
    const low = await update()
    assert.deepEqual(
      [low.reason, low.detail],
      ['battery-low', 'the battery has 12 %; updates want 40 %, or mains'],
    )
    conditions.onMains = true
    assert.equal((await update()).outcome, 'updated')
    await publish('2.0.0')
    Object.assign(conditions, { onMains: false, batteryPercent: 41 })
    assert.equal((await update()).outcome, 'updated')
  }))

test('a metered link is left alone, and mains are waited for when the owner wants it', () =>
  withDevice({ avoidMetered: true, onMainsOnly: true }, async ({ update, publish, conditions }) => {
    await publish('1.0.0')
    conditions.metered = true
    assert.equal((await update()).reason, 'metered-link')
    Object.assign(conditions, { metered: false, onMains: false })
    assert.equal((await update()).reason, 'not-on-mains')
    conditions.onMains = true
    assert.equal((await update()).outcome, 'updated')
  }))

test('the power supplies of Linux are read: batteries of the device, not of its mouse', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-power-'))
  const supply = async (name: string, files: Readonly<Record<string, string>>) => {
    await mkdir(join(folder, name), { recursive: true })
    for (const [file, text] of Object.entries(files)) {
      await writeFile(join(folder, name, file), `${text}\n`)
    }
  }
  const power = () =>
    createSystemConditions({ clock: systemClock }, { powerSupplies: folder }).power()
  try {
    assert.deepEqual(await power(), { onMains: true, batteryPercent: undefined })
    await supply('hid-mouse', { type: 'Battery', scope: 'Device', capacity: '3' })
    assert.deepEqual(await power(), { onMains: true, batteryPercent: undefined })
    await supply('BAT0', { type: 'Battery', capacity: '37' })
    await supply('AC', { type: 'Mains', online: '0' })
    assert.deepEqual(await power(), { onMains: false, batteryPercent: 37 })
    await supply('usb', { type: 'USB', online: '1' })
    assert.deepEqual(await power(), { onMains: true, batteryPercent: 37 })
    const metered = (meteredCommand: string) =>
      createSystemConditions({ clock: systemClock }, { meteredCommand }).isMetered()
    assert.deepEqual([await metered('true'), await metered('false')], [true, false])
    assert.equal(await metered('no-such-command'), true)
    await rm(join(folder, 'usb'), { recursive: true })
    await rm(join(folder, 'BAT0', 'capacity'))
    assert.deepEqual(await power(), { onMains: false, batteryPercent: undefined })
  } finally {
    await rm(folder, { recursive: true })
  }
})
