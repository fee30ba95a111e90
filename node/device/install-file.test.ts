import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { type Clock, codeOf, MIB, silentLog, systemClock } from '../base/index.ts'
import { wrapReleaseKey } from '../firmware/index.ts'
import { createDeviceFleet, type DeviceFleet, type RigDevice } from '../testing/device-rig.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import { writeReleaseCar } from '../testing/release-car.ts'
import { createInstaller, type DeviceEvent, installFile, readState } from './index.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const YEAR_MS = 365 * DAY_MS
const noise = (bytes: number, seed: number) =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(
    Buffer.alloc(bytes),
  )
const clockAt = (nowMs: () => number): Clock => ({ ...systemClock, nowMs })
const CLOCK_1970 = clockAt(() => 1_000_000)
const CLOCK_2099 = clockAt(() => Date.UTC(2099, 0, 1))

async function withDevice(
  run: (fleet: DeviceFleet, device: RigDevice) => Promise<void>,
): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    const device = await fleet.device({ giveUpAfterMs: 300 })
    await run(fleet, device)
  } finally {
    await fleet.stop()
  }
}

/** Publishes, and puts the release into a file. */
async function makeCar(
  fleet: DeviceFleet,
  image: Uint8Array,
  version: string,
  leaveOut?: (cid: CID) => boolean,
): Promise<string> {
  const { root } = await fleet.publish(image, version)
  return carOf(fleet, root, version, leaveOut)
}

async function carOf(
  fleet: DeviceFleet,
  root: string,
  name: string,
  leaveOut?: (cid: CID) => boolean,
): Promise<string> {
  const release = fleet.gateway.releases.get(root)
  assert.ok(release)
  const path = join(fleet.folder, `${name}.car`)
  await writeReleaseCar(
    path,
    fleet.vendor,
    { root: CID.parse(root), wraps: [release.wrap] },
    leaveOut,
  )
  return path
}

function install(
  { node, slots, enrolled }: RigDevice,
  fleet: DeviceFleet,
  file: string,
  settings: {
    readonly clock?: Clock
    readonly healthCommand?: string
    readonly onEvent?: (event: DeviceEvent) => void
  } = {},
) {
  const { clock = systemClock, onEvent, ...installer } = settings
  return installFile(
    {
      identity: node.identity,
      storage: node.storage,
      slots,
      installer: createInstaller({ slots, clock }, { healthWithinMs: 300, ...installer }),
      clock,
      log: silentLog,
      ...(onEvent === undefined ? {} : { onEvent }),
    },
    { folder: join(fleet.folder, 'device'), enrollment: enrolled.enrollment, file },
  )
}

const slotFolder = (fleet: DeviceFleet) => join(fleet.folder, 'device', 'slots')
const running = (fleet: DeviceFleet) => readFile(join(slotFolder(fleet), 'current', 'image'))

/** Nothing of the file is left: what ran runs, the other slot is empty, nothing is noted as begun. */
async function assertUntouched(fleet: DeviceFleet, image: Uint8Array | undefined): Promise<void> {
  if (image === undefined) assert.equal(existsSync(join(slotFolder(fleet), 'current')), false)
  else assert.ok((await running(fleet)).equals(image))
  assert.equal(existsSync(join(slotFolder(fleet), 'slot-a', 'image.part')), false)
  assert.equal(existsSync(join(slotFolder(fleet), 'slot-b', 'image.part')), false)
  const { phase } = await readState(join(fleet.folder, 'device'))
  assert.equal(phase.name, 'idle')
}

async function flip(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, offset)
  byte.writeUInt8(byte.readUInt8() ^ 1)
  await file.write(byte, 0, 1, offset)
  await file.close()
}

describe('a device with a file and no network', () => {
  test('installs the release in it, asks nobody, and tells the gateway when it can', () =>
    withDevice(async (fleet, device) => {
      const image = noise(5 * MIB, 1)
      const file = await makeCar(fleet, image, '1.0.0')
      fleet.gateway.isDown = true
      const calls = fleet.gateway.calls.length
      const events: string[] = []
      const { outcome, installed, reportsPending } = await install(device, fleet, file, {
        onEvent: ({ name }) => events.push(name),
      })
      assert.deepEqual([outcome, installed?.version, reportsPending], ['updated', '1.0.0', 2])
      assert.ok((await running(fleet)).equals(image))
      assert.equal(fleet.gateway.calls.length, calls)
      assert.deepEqual(
        events.filter((name) => name !== 'progress'),
        ['fetching', 'staged', 'written', 'switching', 'switched', 'trying', 'confirmed'],
      )
      assert.equal((await install(device, fleet, file)).outcome, 'up-to-date')
      await device.stop()
      fleet.gateway.isDown = false
      const again = await fleet.device()
      assert.equal((await again.agent.update()).outcome, 'up-to-date')
      assert.deepEqual(
        fleet.gateway.reports.map(({ event }) => event),
        ['written', 'confirmed'],
      )
    }))

  test('updates what came over the network before, and goes back when it does not do', () =>
    withDevice(async (fleet, device) => {
      await fleet.seed()
      const first = noise(2 * MIB, 1)
      await fleet.publish(first, '1.0.0')
      await device.agent.update()
      const second = await makeCar(fleet, noise(2 * MIB, 2), '2.0.0')
      const bad = await install(device, fleet, second, {
        healthCommand: 'test "$IOEX_VERSION" != 2.0.0',
      })
      assert.deepEqual([bad.outcome, bad.installed?.version], ['fell-back', '1.0.0'])
      assert.ok((await running(fleet)).equals(first))
      await assert.rejects(install(device, fleet, second), { code: 'release-refused' })
      const image = noise(2 * MIB, 3)
      const third = await makeCar(fleet, image, '3.0.0')
      assert.equal((await install(device, fleet, third)).outcome, 'updated')
      assert.ok((await running(fleet)).equals(image))
    }))

  test('goes on over the network when it keeps blocks for others, though it has none of the file', () =>
    withDevice(async (fleet, device) => {
      await fleet.seed()
      const file = await makeCar(fleet, noise(2 * MIB, 1), '1.0.0')
      assert.equal((await install(device, fleet, file)).outcome, 'updated')
      await device.stop()
      const again = await fleet.device({ keepBlocks: true })
      assert.equal((await again.agent.update()).outcome, 'up-to-date')
      assert.deepEqual(await Array.fromAsync(again.node.storage.pins.list()), [])
      const { root } = await fleet.publish(noise(2 * MIB, 2), '1.1.0')
      assert.equal((await again.agent.update()).outcome, 'updated')
      const pins = await Array.fromAsync(again.node.storage.pins.list())
      assert.deepEqual(
        pins.map((pin) => pin.root.toString()),
        [root],
      )
    }))

  test('refuses a file of which one bit was changed, says what it was in, and touches nothing', () =>
    withDevice(async (fleet, device) => {
      const image = noise(4 * MIB, 1)
      const file = await makeCar(fleet, image, '1.0.0')
      const whole = await readFile(file)
      const { blocks, repository } = fleet.vendor
      const byCodec = (code: number) => {
        const found = [...blocks].find(
          ([cid, bytes]) => CID.parse(cid).code === code && bytes.byteLength > 3_000,
        )
        assert.ok(found)
        return found[1]
      }
      const places: [RegExp, number][] = [
        [/not a part of a CAR/, 3],
        [/first block/, 150],
        [/metadata file timestamp\.json/, whole.indexOf(repository.get('timestamp.json') ?? '?')],
        [/metadata file \d+\.line-pump-s3\.json/, whole.indexOf('"pump-s3/1.0.0"')],
        [/recipe node/, whole.indexOf(byCodec(0x71))],
        [/chunk bafk/, whole.indexOf(byCodec(0x55))],
      ]
      for (const [what, offset] of places) {
        assert.ok(offset > 0, String(what))
        await writeFile(file, whole)
        await flip(file, offset + 1)
        await assert.rejects(install(device, fleet, file), (thrown: Error) => {
          assert.ok(
            ['car-damaged', 'car-incomplete'].includes(codeOf(thrown) ?? ''),
            String(thrown.stack),
          )
          assert.match(thrown.message, what)
          return true
        })
        await assertUntouched(fleet, undefined)
      }
      await writeFile(file, whole)
      assert.equal((await install(device, fleet, file)).outcome, 'updated')
    }))

  test('refuses a file that was cut off anywhere, and one that lacks a block', () =>
    withDevice(async (fleet, device) => {
      let chunks = 0
      const gap = await makeCar(fleet, noise(3 * MIB, 1), '1.0.0', ({ code }) =>
        code === 0x55 ? chunks++ === 20 : false,
      )
      await assert.rejects(install(device, fleet, gap), {
        code: 'car-incomplete',
        message: /the chunk bafk\w+ is not in it/,
      })
      const { root } = [...fleet.gateway.releases.values()][0] ?? {}
      assert.ok(root)
      const file = await carOf(fleet, root, 'whole')
      const whole = await readFile(file)
      for (const share of [0, 0.0001, 0.01, 0.5, 0.999]) {
        await writeFile(file, whole)
        await truncate(file, Math.floor(share * whole.byteLength))
        await assert.rejects(install(device, fleet, file), (thrown: Error) =>
          ['car-damaged', 'car-incomplete'].includes(codeOf(thrown) ?? ''),
        )
        await assertUntouched(fleet, undefined)
      }
    }))

  test('refuses what is for another model or vendor, and a file without a key for it', () =>
    withDevice(async (fleet, device) => {
      const thief = createFakeVendor({ clock: systemClock }, { name: 'thief' })
      const { packed } = await thief.publish(noise(MIB, 1), { model: 'pump-s3', version: '9.9.9' })
      const { root, releaseKey } = packed
      const wraps = [await wrapReleaseKey(releaseKey, [device.node.identity.ageRecipient])]
      const file = join(fleet.folder, 'thief.car')
      await writeReleaseCar(file, thief, { root, wraps })
      await assert.rejects(install(device, fleet, file), { code: 'car-not-for-this-device' })
      // The same, with the right vendor written on it.
      const { address: vendor } = fleet.vendor
      await writeReleaseCar(file, thief, { root, wraps, vendor })
      await assert.rejects(install(device, fleet, file), { code: 'metadata-refused' })
      const own = await fleet.publish(noise(MIB, 2), '1.0.0')
      const bare = join(fleet.folder, 'bare.car')
      await writeReleaseCar(bare, fleet.vendor, { root: CID.parse(own.root), wraps: [] })
      await assert.rejects(install(device, fleet, bare), { code: 'no-release-key' })
      await assertUntouched(fleet, undefined)
    }))

  test('never goes back to an older release, whatever its clock says', () =>
    withDevice(async (fleet, device) => {
      const old = await makeCar(fleet, noise(MIB, 1), '1.0.0')
      const image = noise(MIB, 2)
      const newer = await makeCar(fleet, image, '2.0.0')
      assert.equal((await install(device, fleet, newer)).outcome, 'updated')
      for (const clock of [systemClock, CLOCK_1970, CLOCK_2099]) {
        await assert.rejects(install(device, fleet, old, { clock }), { code: 'downgrade-refused' })
        await assertUntouched(fleet, image)
      }
    }))

  test('takes a file that was made before it last heard of the same release', () =>
    withDevice(async (fleet, device) => {
      const image = noise(MIB, 1)
      const file = await makeCar(fleet, image, '1.0.0')
      fleet.vendor.serve(fleet.vendor.metadata)
      // No copy can be reached, so that it hears of the release and does not get it.
      assert.equal((await device.agent.update()).outcome, 'waiting')
      assert.equal((await install(device, fleet, file)).outcome, 'updated')
      assert.ok((await running(fleet)).equals(image))
    }))
})

describe('the clock of a device with a file', () => {
  for (const [name, clock] of [
    ['1970', CLOCK_1970],
    ['2099', CLOCK_2099],
    ['two months after the file was made', clockAt(() => systemClock.nowMs() + 60 * DAY_MS)],
  ] as const) {
    test(`may stand at ${name}`, () =>
      withDevice(async (fleet, device) => {
        const image = noise(MIB, 1)
        const file = await makeCar(fleet, image, '1.0.0')
        assert.equal((await install(device, fleet, file, { clock })).outcome, 'updated')
        assert.ok((await running(fleet)).equals(image))
      }))
  }

  test('is believed within a year of what was signed: what the vendor let expire is refused', () =>
    withDevice(async (fleet, device) => {
      const vendor = fleet.vendor
      const file = await makeCar(fleet, noise(MIB, 1), '1.0.0')
      const late = clockAt(() => systemClock.nowMs() + YEAR_MS + DAY_MS / 2)
      await assert.rejects(install(device, fleet, file, { clock: late }), {
        code: 'metadata-refused',
        message: /expired/,
      })
      await assertUntouched(fleet, undefined)
      // Signed by the gateway two years later, over what the vendor had let expire: no clock lets that in.
      vendor.serve(vendor.metadata, { nowMs: systemClock.nowMs() + 2 * YEAR_MS })
      const root = [...fleet.gateway.releases.keys()][0] ?? ''
      const stale = await carOf(fleet, root, 'stale')
      for (const clock of [systemClock, CLOCK_1970, CLOCK_2099]) {
        await assert.rejects(install(device, fleet, stale, { clock }), {
          code: 'metadata-refused',
        })
        await assertUntouched(fleet, undefined)
      }
    }))
})
