import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { ApiError, type Device } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import {
  POLLS_WRITTEN_EVERY_MS,
  startGateway,
  type TestGateway,
  type TestVendor,
} from '../testing/start-gateway.ts'
import { REMOVALS_CHECKED_EVERY_MS } from './limits.ts'

let rig: TestGateway
let acme: TestVendor
before(async () => {
  rig = await startGateway()
  acme = await rig.createVendor()
  await rig.saySeeds()
})
after(() => rig.remove())

const shown = (id: string) =>
  rig.call<Device>('GET', `/v1/devices/${id}`, { expect: 200, token: acme.token })

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return
    await systemClock.sleep(50)
  }
  assert.fail('did not come about in 10 s')
}

const codeOf = (thrown: unknown) => (thrown instanceof ApiError ? thrown.problem?.code : thrown)

test('a poll tells of the newest release, of metadata and of orders, and what it says is shown soon', async () => {
  const device = await rig.enroll(acme)
  const before = await device.client.poll({})
  assert.equal(before.latest, null)
  const { id: root } = await rig.publish(acme, randomBytes(1_000), '1.0.0')
  await until(async () => (await device.client.poll({})).latest?.root === root)
  const told = await device.client.poll({ version: '1.0.0', root, state: 'no-source' })
  assert.equal(told.latest?.version, '1.0.0')
  assert.ok(told.metadataExpiresMs !== null && told.orders === 0)
  const id = device.identity.evmAddress
  await until(async () => (await shown(id)).running.version === '1.0.0')
  const { running, reason, lastSeenAt } = await shown(id)
  assert.deepEqual([running.root, reason], [root, 'no-source'])
  assert.ok(lastSeenAt !== null)
})

test('what a device reports is not undone by what it said before', async () => {
  const device = await rig.enroll(acme)
  const { id: root } = await rig.publish(acme, randomBytes(1_000), '2.0.0')
  await device.client.poll({ version: '1.0.0' })
  await device.report({ root, event: 'confirmed' })
  await systemClock.sleep(POLLS_WRITTEN_EVERY_MS + 200)
  assert.equal((await shown(device.identity.evmAddress)).running.version, '2.0.0')
})

test('a device that was taken off, or enrolled anew, is refused within a second', async () => {
  const device = await rig.enroll(acme)
  await device.client.poll({})
  await rig.call('DELETE', `/v1/devices/${device.identity.evmAddress}`, {
    expect: 200,
    token: acme.token,
  })
  await systemClock.sleep(REMOVALS_CHECKED_EVERY_MS)
  await assert.rejects(device.client.poll({}), (thrown) => codeOf(thrown) === 'token-refused')
})

test('who is no device, or says what makes no sense, is told so', async () => {
  const device = await rig.enroll(acme)
  const refused = async (headers: Record<string, string>, query = '') => {
    const answer = await rig.request(`/v1/devices/me/poll${query}`, { headers })
    return [answer.status, ((await answer.json()) as { code: string }).code]
  }
  assert.deepEqual(await refused({}), [401, 'token-missing'])
  const unknown = { authorization: `Bearer iox_d_${'x'.repeat(43)}` }
  assert.deepEqual(await refused(unknown), [401, 'token-refused'])
  const vendor = { authorization: `Bearer ${acme.token}` }
  assert.deepEqual(await refused(vendor), [403, 'token-scope-missing'])
  const own = { authorization: `Bearer ${device.enrollment.token}` }
  assert.deepEqual(await refused(own, '?root=junk'), [400, 'request-invalid'])
})

test('five hundred polls in a second cost one transaction, and none while nothing changes', async () => {
  const devices: Awaited<ReturnType<TestGateway['enroll']>>[] = []
  for (let number = 0; number < 25; number++) devices.push(await rig.enroll(acme))
  const pollAll = async () => {
    for (let times = 0; times < 20; times++) {
      await Promise.all(devices.map(({ client }) => client.poll({ version: '3.0.0' })))
    }
  }
  const transactions = () => rig.store.writes?.transactions ?? 0
  await systemClock.sleep(POLLS_WRITTEN_EVERY_MS + 200)
  const before = transactions()
  const startMs = systemClock.monotonicMs()
  await pollAll()
  const last = devices.at(-1)?.identity.evmAddress ?? ''
  await until(async () => (await shown(last)).running.version === '3.0.0')
  const seconds = (systemClock.monotonicMs() - startMs) / 1_000
  const first = transactions() - before
  assert.ok(first >= 1 && first <= 1 + seconds, `${first} transactions in ${seconds} s`)
  await pollAll()
  await systemClock.sleep(POLLS_WRITTEN_EVERY_MS + 200)
  assert.equal(transactions() - before, first)
})

test('what was said just before a gateway stops is written', async () => {
  const other = await startGateway()
  try {
    const vendor = await other.createVendor()
    const device = await other.enroll(vendor)
    await device.client.poll({ version: '4.0.0' })
    await other.gateway.stop()
    const row = await other.store.db
      .selectFrom('devices')
      .select('running_version')
      .executeTakeFirst()
    assert.equal(row?.running_version, '4.0.0')
  } finally {
    await other.remove()
  }
})
