import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { codeOf, MIB, silentLog, systemClock } from '../base/index.ts'
import { createDeviceFleet } from '../testing/device-rig.ts'
import { createPartitionSlots } from './index.ts'

const PARTITION_BYTES = 4 * MIB
const needs = { clock: systemClock, log: silentLog }

/** A device whose two partitions are full of something else at first. */
async function withPartitions(
  story: (now: Awaited<ReturnType<typeof createDevice>>) => Promise<void>,
): Promise<void> {
  const fleet = await createDeviceFleet()
  const folder = await mkdtemp(join(tmpdir(), 'ioex-partitions-'))
  try {
    await fleet.seed()
    await story(await createDevice(fleet, folder))
  } finally {
    await fleet.stop()
    await rm(folder, { recursive: true })
  }
}

async function createDevice(fleet: Awaited<ReturnType<typeof createDeviceFleet>>, folder: string) {
  const paths = { a: join(folder, 'a'), b: join(folder, 'b') }
  for (const path of Object.values(paths)) await writeFile(path, randomBytes(PARTITION_BYTES))
  const device = await fleet.device({
    slots: (home) => createPartitionSlots(needs, { ...paths, folder: join(home, 'slots') }),
    healthCommand: `case "$IOEX_VERSION" in bad*) exit 1; esac`,
    healthWithinMs: 100,
  })
  return {
    fleet,
    device,
    paths,
    start: async (slot: 'a' | 'b', bytes: number) =>
      (await readFile(paths[slot])).subarray(0, bytes),
  }
}

test('images go from partition to partition, chunks that did not change from one to the other', () =>
  withPartitions(async ({ fleet, device, start, paths }) => {
    // Zeros as well, which a file system would leave out.
    const first = Buffer.concat([randomBytes(MIB), Buffer.alloc(MIB), randomBytes(MIB / 2)])
    await fleet.publish(first, '1.0.0')
    assert.equal((await device.agent.update()).outcome, 'updated')
    const [one = 'a'] = [device.agent.status().installed?.slot]
    assert.deepEqual(await start(one, first.byteLength), first)
    assert.equal((await readFile(paths[one])).byteLength, PARTITION_BYTES)

    const second = Buffer.from(first)
    second.set(randomBytes(1_000), 100_000)
    await fleet.publish(second, '2.0.0')
    const updated = await device.agent.update()
    assert.equal(updated.outcome, 'updated')
    assert.ok(updated.totals.reusedBlocks > 10, `${updated.totals.reusedBlocks} reused`)
    const other = one === 'a' ? 'b' : 'a'
    assert.equal(updated.installed?.slot, other)
    assert.deepEqual(await start(other, second.byteLength), second)
    assert.deepEqual(await start(one, first.byteLength), first, 'the one before stands')

    await fleet.publish(randomBytes(MIB), 'bad-3')
    assert.equal((await device.agent.update()).outcome, 'fell-back')
    assert.equal(await device.slots.current(), other)
    assert.deepEqual(await start(other, second.byteLength), second)
  }))

test('an image that does not fit is refused before a byte of it is fetched', () =>
  withPartitions(async ({ fleet, device }) => {
    await fleet.publish(randomBytes(PARTITION_BYTES + 1), '1.0.0')
    const { outcome, waiting } = await device.agent.update()
    assert.deepEqual([outcome, waiting?.reason], ['waiting', 'release-refused'])
    assert.match(waiting?.detail ?? '', /has 4194304 bytes, the image 4194305/)
  }))

test('a slot that was damaged after it was written is not switched to', () =>
  withPartitions(async ({ fleet, device, paths }) => {
    await fleet.publish(randomBytes(MIB), '1.0.0')
    const { slots } = device
    const openWritten = slots.openWritten.bind(slots)
    let isDamaged = true
    Object.assign(slots, {
      async openWritten(slot: 'a' | 'b') {
        if (isDamaged) {
          const file = await open(paths[slot], 'r+')
          await file.write(Buffer.from('not what was written'), 0, 20, 5_000)
          await file.close()
        }
        return openWritten(slot)
      },
    })
    const first = await device.agent.update()
    assert.equal(first.outcome, 'waiting')
    assert.match(first.waiting?.detail ?? '', /the disk gave back other bytes/)
    assert.equal(await slots.current(), undefined)
    isDamaged = false
    assert.equal((await device.agent.update()).outcome, 'updated')
  }))

test('the partition that runs is never opened for writing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-partitions-'))
  try {
    const a = join(folder, 'a')
    await writeFile(a, Buffer.alloc(1_000, 'a'))
    const slots = createPartitionSlots(needs, { a, b: join(folder, 'b'), folder })
    await slots.switchTo('a')
    await assert.rejects(slots.begin('a', 10), (thrown) => codeOf(thrown) === 'slot-in-use')
    assert.deepEqual(await readFile(a), Buffer.alloc(1_000, 'a'))
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('block devices are measured, and left alone while they are mounted', async (t) => {
  const run = promisify(execFile)
  const folder = await mkdtemp(join(tmpdir(), 'ioex-partitions-'))
  let device: string | undefined
  try {
    const file = join(folder, 'disk')
    await writeFile(file, Buffer.alloc(PARTITION_BYTES))
    try {
      device = (await run('losetup', ['--find', '--show', file])).stdout.trim()
    } catch (thrown) {
      t.skip(`no loop device can be made here: ${String(thrown).slice(0, 200)}`)
      return
    }
    const slots = createPartitionSlots(needs, { a: device, b: device, folder })
    assert.equal(await slots.takes(PARTITION_BYTES), 0)
    await assert.rejects(
      slots.takes(PARTITION_BYTES + 1),
      (thrown) => codeOf(thrown) === 'image-too-large',
    )
    const { file: open } = await slots.begin('b', 5)
    await open.write(Buffer.from('hello'), 0, 5, 0)
    await assert.rejects(slots.begin('b', 5), (thrown) => codeOf(thrown) === 'slot-in-use')
    await open.sync()
    await open.close()
    const written = await slots.openWritten('b')
    const { buffer } = await written.read(Buffer.alloc(5), 0, 5, 0)
    await written.close()
    assert.equal(buffer.toString(), 'hello')
  } finally {
    if (device !== undefined) await run('losetup', ['--detach', device])
    await rm(folder, { recursive: true })
  }
})
