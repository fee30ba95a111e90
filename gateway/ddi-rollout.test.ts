/** Rollouts for devices that speak hawkBit's DDI: the gateway judges in their place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Release, Rollout } from '@ioex/node/api'
import { systemClock } from '@ioex/node/base'
import { newestMetadata, phaseOfBucket, releasesOf, rolloutBucket } from '@ioex/node/firmware'
import { CID } from 'multiformats/cid'
import { admitDdi, type DdiClient, type DdiRoot, imageOf } from './testing/ddi-client.ts'
import { startGateway, type TestGateway, type TestVendor } from './testing/start-gateway.ts'

const FLEET = 24
/** Names that are tried until there is a device in each phase. */
const NAMES_MAX = 40

async function withRollout(
  run: (story: Awaited<ReturnType<typeof roll>> & { rig: TestGateway }) => Promise<void>,
): Promise<void> {
  const rig = await startGateway()
  try {
    await rig.saySeeds()
    await run({ ...(await roll(rig, await rig.createVendor())), rig })
  } finally {
    await rig.remove()
  }
}

type Native = Awaited<ReturnType<TestGateway['enroll']>>

/** 1.0.0 runs everywhere; 1.1.0 is published in two phases, with one stock device in each. */
async function roll(rig: TestGateway, acme: TestVendor) {
  const fleet: Native[] = []
  for (let n = 0; n < FLEET; n++) fleet.push(await rig.enroll(acme))
  const first = await rig.publish(acme, imageOf(1_000), '1.0.0')
  const rollout = {
    phases: [
      { percent: 50, minSample: 3, minSuccessPercent: 60, maxErrorPercent: 40 },
      { percent: 100, minSample: 3 },
    ],
    rollbackTo: '1.0.0',
  }
  const call = { expect: 201, token: acme.token }
  const { upload } = await rig.call<{ upload: string }>(
    'POST',
    `/v1/vendors/${acme.vendor}/uploads`,
    { ...call, json: { model: 'pump', version: '1.1.0', rollout } },
  )
  // Before it is published, so that they could be taken for witnesses.
  const stock = await Promise.all(
    Array.from({ length: NAMES_MAX }, (_, n) => admitDdi(rig, acme, `stock-${n}`)),
  )
  const release = await rig.call<Release>('PUT', `/v1/uploads/${upload}`, {
    ...call,
    body: imageOf(2_000),
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
  assert.ok(policy)
  const root = CID.parse(release.id)
  const phaseOf = (device: `0x${string}`) => phaseOfBucket(policy, rolloutBucket(root, device))
  const early = stock.filter(({ device }) => phaseOf(device) === 0)
  const [late] = stock.filter(({ device }) => phaseOf(device) === 1)
  assert.ok(early.length >= 6 && late)
  const canaries = fleet.filter(({ identity }) => phaseOf(identity.evmAddress) === 0)
  const act = (action: string) =>
    rig.call<Rollout>('POST', `/v1/rollouts/${release.id}/actions`, {
      expect: 200,
      token: acme.token,
      json: { action },
    })
  return { acme, first, release, policy, early, late, canaries, act }
}

const versionOf = async (client: DdiClient) =>
  (await client.deployment()).deployment.chunks[0]?.version

/** Reports that come close together are counted together, within a second. */
async function becomesOffered(client: DdiClient, version: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (tries > 0) await systemClock.sleep(50)
    const { _links } = await client.get<DdiRoot>('')
    if (_links['deploymentBase'] !== undefined && (await versionOf(client)) === version) return
  }
  assert.fail(`${version} was not offered`)
}

test('a stock device is offered what its phase is open for, and what came before meanwhile', () =>
  withRollout(async ({ rig, acme, release, policy, early, late, canaries, act }) => {
    const [one, begun] = early
    assert.ok(one && begun)
    const named = policy.phases.reduce((sum, { witnesses }) => sum + witnesses.count, 0)
    assert.equal(named, FLEET, 'a device that signs nothing is no witness')
    await act('pause')
    assert.equal(await versionOf(one), '1.0.0', 'nothing has opened the newer one')
    await act('resume')
    const { _links } = await one.get<DdiRoot>('')
    const { stopId } = (
      await one.get<{ cancelAction: { stopId: string } }>(_links['cancelAction']?.href ?? '')
    ).cancelAction
    const closed = { status: { execution: 'closed', result: { finished: 'success' } } }
    assert.equal(await one.say(`/cancelAction/${stopId}/feedback`, closed), 200)
    assert.equal(await versionOf(one), '1.1.0')
    assert.equal(await versionOf(late), '1.0.0')
    const old = await late.deployment()
    assert.equal(await late.feedback(old.id, 'closed', 'success'), 200)
    assert.equal((await late.get<DdiRoot>(''))._links['deploymentBase'], undefined)

    const { id: offered } = await one.deployment()
    const stopped = await begun.deployment()
    assert.equal(await begun.feedback(stopped.id, 'proceeding'), 200)
    await act('pause')
    assert.deepEqual((await one.get<DdiRoot>(''))._links['deploymentBase'], undefined)
    assert.equal((await one.ask(`/deploymentBase/${offered}`)).status, 404, 'by a link of before')
    assert.equal(await versionOf(begun), '1.1.0', 'who is at it is not stopped')
    await act('resume')
    assert.equal((await one.deployment()).id, offered)
    for (const device of canaries.slice(0, 3)) {
      await device.report({ root: release.id, event: 'written' })
      await device.report({ root: release.id, event: 'confirmed' })
    }
    await becomesOffered(late, '1.1.0')
    await act('abort')
    assert.ok((await one.get<DdiRoot>(''))._links['cancelAction'], 'taken back')
    const { phases } = await rig.call<Rollout>('GET', `/v1/rollouts/${release.id}`, {
      expect: 200,
      token: acme.token,
    })
    assert.deepEqual(
      phases.map(({ confirmed }) => confirmed),
      [3, 0],
    )
  }))

test('what stock devices say counts against a release, never as evidence for it', () =>
  withRollout(async ({ rig, early, late, act, first, acme, release }) => {
    await act('pause')
    await act('resume')
    const [one, two, three] = early
    assert.ok(one && two && three)
    for (const client of [one, two, three]) {
      const { id } = await client.deployment()
      assert.equal(await client.feedback(id, 'closed', 'success'), 200)
    }
    assert.equal(await versionOf(late), '1.0.0')
    const failing = early.slice(3, 6)
    for (const client of failing) {
      const { id } = await client.deployment()
      assert.equal(await client.feedback(id, 'closed', 'failure'), 200)
    }
    await becomesOffered(one, '1.0.0')
    const { id } = await one.deployment()
    assert.equal(await one.feedback(id, 'closed', 'success'), 200)
    const { status, phase, phases } = await rig.call<Rollout>('GET', `/v1/rollouts/${release.id}`, {
      expect: 200,
      token: acme.token,
    })
    assert.deepEqual([status, phase], ['rolled-back', 0], 'three of them have opened no phase')
    assert.deepEqual([phases[0]?.confirmed, phases[0]?.failed], [3, failing.length])
    const { running } = await rig.call<{ running: { root: string } }>(
      'GET',
      `/v1/devices/${one.device}`,
      { expect: 200, token: acme.token },
    )
    assert.equal(running.root, first.id)
    assert.deepEqual(Object.keys((await one.get<DdiRoot>(''))._links), [
      'installedBase',
      'configData',
    ])
  }))
