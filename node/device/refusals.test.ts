import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createGatewayClient } from '../api/index.ts'
import { IoexError, MIB, systemClock } from '../base/index.ts'
import { wrapReleaseKey } from '../firmware/index.ts'
import { createDeviceFleet, type DeviceFleet, type RigDevice } from '../testing/device-rig.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import { enrollDevice } from './index.ts'

const noise = (bytes: number, seed: number) =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(
    Buffer.alloc(bytes),
  )

async function withFleet(run: (fleet: DeviceFleet) => Promise<void>): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    await run(fleet)
  } finally {
    await fleet.stop()
  }
}

const slotFolder = (fleet: DeviceFleet) => join(fleet.folder, 'device', 'slots')
const running = (fleet: DeviceFleet) => readFile(join(slotFolder(fleet), 'current', 'image'))
const reasonOf = async (device: RigDevice) => (await device.agent.update()).waiting?.reason

describe('a device refuses', () => {
  test('metadata that another vendor signed, and keeps what runs', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      const image = noise(MIB, 1)
      await fleet.publish(image, '1.0.0')
      await device.agent.update()
      const thief = createFakeVendor({ clock: systemClock }, { name: 'thief' })
      await thief.publish(noise(MIB, 2), { model: 'pump-s3', version: '9.9.9' })
      await thief.publish(noise(MIB, 3), { model: 'pump-s3', version: '9.9.10' })
      for (const [name, bytes] of thief.repository) fleet.vendor.repository.set(name, bytes)
      assert.equal(await reasonOf(device), 'metadata-refused')
      assert.ok((await running(fleet)).equals(image))
    }))

  test('a repository that was set back to an older state', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      await fleet.publish(noise(MIB, 1), '1.0.0')
      const old = new Map(fleet.vendor.repository)
      const image = noise(MIB, 2)
      await fleet.publish(image, '2.0.0')
      await device.agent.update()
      const timestamp = old.get('timestamp.json')
      assert.ok(timestamp)
      fleet.vendor.repository.set('timestamp.json', timestamp)
      assert.equal(await reasonOf(device), 'metadata-refused')
      assert.ok((await running(fleet)).equals(image))
    }))

  test('a release of the same vendor that stands below what runs', () =>
    withFleet(async (fleet) => {
      await fleet.publish(noise(MIB, 1), '1.0.0')
      const image = noise(MIB, 2)
      await fleet.publish(image, '2.0.0')
      let isBack = false
      const device = await fleet.device({
        wrap: (needs) => ({
          ...needs,
          releases: {
            refresh: (abort) => needs.releases.refresh(abort),
            current: (model) => {
              const newest = first(needs.releases.current(model).at(-1))
              return isBack ? [{ ...newest, sequence: 1 }] : [newest]
            },
          },
        }),
      })
      await device.agent.update()
      isBack = true
      const { root } = await fleet.publish(noise(MIB, 3), '3.0.0')
      const calls = fleet.gateway.calls.length
      const { outcome, installed } = await device.agent.update()
      assert.deepEqual([outcome, installed?.version], ['up-to-date', '2.0.0'])
      assert.ok(!fleet.gateway.calls.slice(calls).some((call) => call.includes(root)))
      const downgrade = device.events.filter((event) => event.name === 'waiting')
      assert.equal(downgrade[0]?.reason, 'downgrade-refused')
    }))

  test('the key of another release, and takes the right one when it comes', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      const { root } = await fleet.publish(noise(MIB, 1), '1.0.0')
      const release = fleet.gateway.releases.get(root)
      assert.ok(release)
      const wrong = await wrapReleaseKey(new Uint8Array(32).fill(9), [
        device.node.identity.ageRecipient,
      ])
      fleet.gateway.releases.set(root, { ...release, wrap: wrong })
      assert.equal(await reasonOf(device), 'release-key-wrong')
      fleet.gateway.releases.set(root, release)
      assert.equal((await device.agent.update()).outcome, 'updated')
    }))

  test('an enrolment whose code is not known, and a second enrolment', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      const api = createGatewayClient(
        { clock: systemClock, fetch: fleet.gateway.fetch },
        { gateway: fleet.gateway.url },
      )
      const needs = { identity: device.node.identity, api, clock: systemClock }
      const gateway = fleet.gateway.url
      const elsewhere = join(fleet.folder, 'elsewhere')
      await assert.rejects(enrollDevice(needs, { folder: elsewhere, gateway, code: '2222-2222' }), {
        code: 'code-refused',
      })
      await assert.rejects(
        enrollDevice(needs, { folder: join(fleet.folder, 'device'), gateway, code: '7F3K-92QD' }),
        { code: 'already-enrolled' },
      )
    }))
})

describe('when something is missing, a device', () => {
  test('goes on with an update that was begun while the gateway is away, and tells of it later', () =>
    withFleet(async (fleet) => {
      let cut = true
      const device = await fleet.device({
        onEvent(event) {
          if (event.name !== 'progress' || !cut) return
          cut = false
          fleet.gateway.isDown = true
          throw new IoexError('no-source', 'as if the process had ended here', { blame: 'local' })
        },
      })
      const image = noise(3 * MIB, 1)
      await fleet.publish(image, '1.0.0')
      const { outcome, installed, reportsPending } = await device.agent.update()
      assert.deepEqual([outcome, installed?.version], ['updated', '1.0.0'])
      assert.equal(reportsPending, 2)
      fleet.gateway.isDown = false
      assert.equal((await device.agent.update()).reportsPending, 0)
      const told = fleet.gateway.reports.map(({ event }) => event)
      assert.deepEqual(told.slice(-2), ['written', 'confirmed'])
    }))

  test('says that no copy can be reached, and finishes when one comes back', () =>
    withFleet(async (fleet) => {
      const seed = await fleet.seed()
      fleet.gateway.sources.splice(0, 1)
      const device = await fleet.device({ giveUpAfterMs: 300 })
      await fleet.publish(noise(MIB, 1), '1.0.0')
      seed.net.fail()
      assert.equal(await reasonOf(device), 'no-source')
      seed.net.recover()
      assert.equal((await device.agent.update()).outcome, 'updated')
    }))

  test('clears what it began when the disk is full, and starts again when there is room', () =>
    withFleet(async (fleet) => {
      let freeBytes = 0
      const device = await fleet.device({
        wrap: (needs) => ({
          ...needs,
          slots: { ...needs.slots, freeBytes: () => Promise.resolve(freeBytes) },
        }),
      })
      await fleet.publish(noise(2 * MIB, 1), '1.0.0')
      assert.equal(await reasonOf(device), 'disk-full')
      assert.equal(device.agent.status().phase.name, 'idle')
      assert.equal(existsSync(join(slotFolder(fleet), 'slot-a', 'image.part')), false)
      assert.equal(device.node.storage.blocks.usedBytes, 0)
      freeBytes = 1024 * MIB
      assert.equal((await device.agent.update()).outcome, 'updated')
    }))

  test('leaves nothing half done when the store is full in the middle of a release', () =>
    withFleet(async (fleet) => {
      let blocksLeft = 20
      const takeRoom = () => {
        if (blocksLeft-- > 0) return
        throw new IoexError('quota-exceeded', 'the store is full', { blame: 'local' })
      }
      const device = await fleet.device({
        wrap: (needs) => ({
          ...needs,
          exchange: {
            openSession(options) {
              const session = needs.exchange.openSession(options)
              return {
                ...session,
                report: () => session.report(),
                async get(cid, abort) {
                  takeRoom()
                  return session.get(cid, abort)
                },
                async fetch(cid, abort) {
                  takeRoom()
                  return session.fetch(cid, abort)
                },
              }
            },
          },
        }),
      })
      await fleet.publish(noise(3 * MIB, 1), '1.0.0')
      assert.equal(await reasonOf(device), 'disk-full')
      assert.equal(device.agent.status().phase.name, 'idle')
      assert.equal(existsSync(join(slotFolder(fleet), 'slot-a', 'image.part')), false)
      assert.equal(existsSync(join(slotFolder(fleet), 'current')), false)
      assert.equal(device.node.storage.blocks.usedBytes, 0)
      blocksLeft = Number.POSITIVE_INFINITY
      assert.equal((await device.agent.update()).outcome, 'updated')
    }))

  test('installs anew when somebody removed the image that ran', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      const image = noise(MIB, 1)
      await fleet.publish(image, '1.0.0')
      await device.agent.update()
      await rm(join(slotFolder(fleet), 'slot-a', 'image'))
      assert.equal((await device.agent.update()).outcome, 'updated')
      assert.ok((await running(fleet)).equals(image))
    }))
})

function first<T>(value: T | undefined): T {
  assert.ok(value)
  return value
}
