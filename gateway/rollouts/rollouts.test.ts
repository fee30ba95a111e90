import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { Release, Rollout } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import {
  acceptRolloutOrder,
  EMPTY_CHAIN,
  type FollowedOrder,
  newestMetadata,
  phaseOfBucket,
  releasesOf,
  type RolloutPolicy,
  rolloutBucket,
  signReport,
} from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { startGateway, type TestGateway, type TestVendor } from '../testing/start-gateway.ts'

const FLEET = 24

async function withGateway(run: (rig: TestGateway) => Promise<void>): Promise<void> {
  const rig = await startGateway()
  try {
    await rig.saySeeds()
    await run(rig)
  } finally {
    await rig.remove()
  }
}

type Device = Awaited<ReturnType<TestGateway['enroll']>>

/** Publishes with two phases for a fleet, and starts the rollout at once instead of at the next tick. */
async function roll(rig: TestGateway, acme: TestVendor, devices: readonly Device[]) {
  await rig.publish(acme, randomBytes(1_000), '1.0.0')
  const { upload } = await rig.call<{ upload: string }>(
    'POST',
    `/v1/vendors/${acme.vendor}/uploads`,
    {
      expect: 201,
      token: acme.token,
      json: {
        model: 'pump',
        version: '1.1.0',
        rollout: {
          phases: [
            { percent: 50, minSample: 3, minSuccessPercent: 60, maxErrorPercent: 40 },
            { percent: 100, minSample: 3 },
          ],
          rollbackTo: '1.0.0',
        },
      },
    },
  )
  const release = await rig.call<Release>('PUT', `/v1/uploads/${upload}`, {
    expect: 201,
    token: acme.token,
    body: randomBytes(2_000),
    headers: { 'content-type': 'application/octet-stream' },
  })
  const files = await rig.store.db
    .selectFrom('tuf_files')
    .select(['name', 'bytes'])
    .where('vendor', '=', acme.vendor)
    .execute()
  const metadata = newestMetadata(files)
  assert.ok(metadata)
  const policy = releasesOf(metadata, 'pump').at(-1)?.rollout
  assert.ok(policy, 'the policy stands in the signed metadata')
  const root = CID.parse(release.id)
  const inPhase = (phase: number) =>
    devices.filter(
      ({ identity }) => phaseOfBucket(policy, rolloutBucket(root, identity.evmAddress)) === phase,
    )
  await act(rig, acme, release.id, 'pause')
  await act(rig, acme, release.id, 'resume')
  return { release, policy, root, canaries: inPhase(0), others: inPhase(1) }
}

const act = (rig: TestGateway, acme: TestVendor, release: string, action: string, expect = 200) =>
  rig.call<Rollout>('POST', `/v1/rollouts/${release}/actions`, {
    expect,
    token: acme.token,
    json: { action },
  })

/** What a device makes of the order that the gateway hands out. */
async function follow(
  device: Device,
  { root, policy }: { readonly root: CID; readonly policy: RolloutPolicy },
  followed: FollowedOrder | null = null,
): Promise<FollowedOrder> {
  const order = await device.client.rolloutOrder(root.toString(), followed?.version ?? 0)
  const nowMs = systemClock.nowMs()
  const accepted = acceptRolloutOrder(order, { root, policy, followed, nowMs })
  assert.ok(accepted.ok, accepted.ok ? '' : accepted.reason)
  return accepted.value
}

async function fleetOf(rig: TestGateway, acme: TestVendor): Promise<Device[]> {
  const devices: Device[] = []
  for (let n = 0; n < FLEET; n++) devices.push(await rig.enroll(acme))
  return devices
}

test('a rollout goes on by reports that its devices can check, and pauses and ends by order', () =>
  withGateway(async (rig) => {
    const acme = await rig.createVendor()
    const story = await roll(rig, acme, await fleetOf(rig, acme))
    const { release, canaries, others } = story
    const [one] = others
    assert.ok(one !== undefined && canaries.length >= 3)
    const first = await follow(one, story)
    assert.deepEqual([first.action, first.phase], ['resume', 0])
    for (const device of canaries.slice(0, 3)) {
      await device.report({ root: release.id, event: 'written' })
      await device.report({ root: release.id, event: 'confirmed' })
    }
    const second = await follow(one, story, first)
    assert.deepEqual([second.action, second.phase], ['go', 1])
    assert.equal(await one.client.rolloutOrder(release.id, second.version), undefined)
    const seen = await rig.call<Rollout>('GET', `/v1/rollouts/${release.id}`, {
      expect: 200,
      token: acme.token,
    })
    assert.deepEqual(
      seen.phases.map(({ confirmed, failed }) => [confirmed, failed]),
      [
        [3, 0],
        [0, 0],
      ],
    )
    assert.equal((await act(rig, acme, release.id, 'pause')).status, 'held')
    const third = await follow(one, story, second)
    assert.equal(third.action, 'hold')
    assert.ok(rig.announced.at(-1)?.root === release.id, 'devices are woken')
    await act(rig, acme, release.id, 'approve', 409)
    await act(rig, acme, release.id, 'abort')
    const fourth = await follow(one, story, third)
    assert.equal(fourth.action, 'abort')
    await act(rig, acme, release.id, 'resume', 409)
    const stranger = await rig.createVendor()
    await rig.call('GET', `/v1/rollouts/${release.id}`, { expect: 404, token: stranger.token })
    const gone = `/v1/devices/${canaries[0]?.identity.evmAddress}`
    await rig.call('DELETE', gone, { expect: 200, token: acme.token })
  }))

test('failures of the first phase send everybody back', () =>
  withGateway(async (rig) => {
    const acme = await rig.createVendor()
    const story = await roll(rig, acme, await fleetOf(rig, acme))
    const { release, canaries, policy } = story
    for (const device of canaries.slice(0, 2)) {
      await device.report({ root: release.id, event: 'fell-back', detail: 'no sound' })
    }
    const [device] = canaries
    assert.ok(device)
    const order = await follow(device, story)
    assert.equal(order.action, 'rollback')
    const json = await device.client.rolloutOrder(release.id, 0)
    assert.equal((json as { to: string }).to, policy.rollbackTo)
  }))

test('a chain of reports is taken without gaps and forks, and nothing forged in it', () =>
  withGateway(async (rig) => {
    const acme = await rig.createVendor()
    const device = await rig.enroll(acme)
    const other = await rig.enroll(acme)
    const { id: root } = await rig.publish(acme, randomBytes(1_000), '1.0.0')
    const next = (
      end: Parameters<typeof signReport>[1],
      event: 'written' | 'confirmed' | 'failed',
    ) => signReport(device.identity, end, { root, event }, systemClock.nowMs())
    const one = next(EMPTY_CHAIN, 'written')
    const two = next(one.end, 'confirmed')
    const three = next(two.end, 'failed')
    await device.client.report(one.signed)
    await device.client.report(one.signed)
    const refusal = async (send: Promise<void>) => {
      try {
        await send
        return 'taken'
      } catch (thrown) {
        const { problem } = thrown as { problem?: { code: string; chain?: unknown } }
        return [problem?.code, problem?.chain]
      }
    }
    assert.deepEqual(await refusal(device.client.report(three.signed)), ['report-gap', one.end])
    const fork = next(EMPTY_CHAIN, 'failed')
    assert.deepEqual(await refusal(device.client.report(fork.signed)), ['report-forked', one.end])
    const tampered = { ...two.signed, head: { ...two.signed.head, event: 'failed' as const } }
    assert.deepEqual(await refusal(device.client.report(tampered)), ['report-forged', undefined])
    const reworded = { ...two.signed, report: JSON.stringify({ root, event: 'failed' }) }
    const changed = await refusal(device.client.report(reworded))
    assert.deepEqual(changed, ['report-body-changed', undefined])
    assert.deepEqual(await refusal(other.client.report(two.signed)), ['report-forged', undefined])
    assert.equal(await refusal(device.client.report(two.signed)), 'taken')
    const rows = await rig.store.db.selectFrom('device_reports').selectAll().execute()
    assert.deepEqual(
      rows.map(({ seq, event }) => [seq, event]),
      [
        [1, 'written'],
        [2, 'confirmed'],
      ],
    )
  }))
