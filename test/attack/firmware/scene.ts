/** A device that runs an honest release, and an attacker between it and everything that it hears. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, MIB, seeded, systemClock } from './parts.ts'
import { createDeviceFleet, type DeviceFleet, type RigDevice } from '@ioex/node/testing/devices'

export const HONEST = seeded(MIB, 1)
export const EVIL = seeded(MIB, 66)

export interface Scene {
  readonly fleet: DeviceFleet
  readonly device: RigDevice
  /** The clock of the device; an attacker may set it. */
  readonly clock: Clock & { shiftMs: number; hurry: number }
}

export interface Verdict {
  readonly outcome: 'waiting' | 'up-to-date'
  /** Why nothing happens: the device's reason code. */
  readonly reason?: string
  /** What in the metadata was wrong, when it was that. */
  readonly refusal?: string
}

export interface Attack {
  readonly name: string
  /** What the attacker has got, beyond the way between the device and the world. */
  readonly holds: string
  readonly mount: (scene: Scene) => unknown
  readonly verdict: Verdict
}

/** Runs one attack against a real agent, and looks at its disk before and after. */
export async function withstand({ mount, verdict }: Attack): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    const clock = createShiftedClock()
    const device = await fleet.device({ clock, giveUpAfterMs: 1_000 })
    await fleet.publish(HONEST, '1.0.0')
    assert.equal((await device.agent.update()).outcome, 'updated', 'it runs the honest release')
    const before = await installedBytes(fleet)
    await mount({ fleet, device, clock })
    const seen = device.events.length
    const { outcome, waiting, installed } = await device.agent.update()
    const told = device.events.slice(seen).find((event) => event.name === 'waiting')
    assert.equal(outcome, verdict.outcome, JSON.stringify(waiting))
    assert.equal(told?.reason, verdict.reason)
    if (verdict.refusal !== undefined) {
      const detail = told?.detail ?? ''
      assert.ok(detail.endsWith(verdict.refusal), detail)
    }
    assert.equal(installed?.version, '1.0.0')
    assert.deepEqual(await installedBytes(fleet), before, 'no byte was installed')
  } finally {
    await fleet.stop()
  }
}

/** What a boot loader could start: where `current` leads, and every whole image with its hash. */
async function installedBytes(fleet: DeviceFleet) {
  const slots = join(fleet.folder, 'device', 'slots')
  const images: Record<string, string> = {}
  for (const path of await readdir(slots, { recursive: true })) {
    if (!path.endsWith('image') || path.startsWith('current')) continue
    images[path] = createHash('sha256')
      .update(await readFile(join(slots, path)))
      .digest('hex')
  }
  return { current: await readlink(join(slots, 'current')), images }
}

function createShiftedClock(): Scene['clock'] {
  const clock: Scene['clock'] = {
    ...systemClock,
    shiftMs: 0,
    hurry: 1,
    nowMs: () => systemClock.nowMs() + clock.shiftMs,
    after: (ms, run) => systemClock.after(ms / clock.hurry, run),
  }
  return clock
}
