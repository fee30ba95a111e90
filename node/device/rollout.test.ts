import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { RolloutOrder } from '../api/index.ts'
import { KIB, systemClock } from '../base/index.ts'
import {
  createTufSigner,
  planRollout,
  type RolloutPolicy,
  rolloutBucket,
  signRolloutOrder,
} from '../firmware/index.ts'
import type { CID } from 'multiformats/cid'
import { createDeviceFleet, type DeviceFleet } from '../testing/device-rig.ts'

const role = createTufSigner(new Uint8Array(32).fill(5))

function noise(seed: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(300 * KIB))
}

async function withFleet(run: (fleet: DeviceFleet) => Promise<void>): Promise<void> {
  const fleet = await createDeviceFleet()
  try {
    await fleet.seed()
    await run(fleet)
  } finally {
    await fleet.stop()
  }
}

/** The device of the fleet comes in the first phase, or in the second. */
function policyFor(
  fleet: DeviceFleet,
  phase: 0 | 1,
  rollbackTo: string | null = null,
): (root: CID) => RolloutPolicy {
  return (root) => {
    const bucket = rolloutBucket(root, fleet.identity.evmAddress)
    const common = { notBeforeS: 0, minSample: 1, minSuccess: 10_000, maxError: 0 }
    const edge = phase === 0 ? bucket + 1 : Math.max(1, bucket)
    const { policy } = planRollout(
      {
        orderKey: role.publicKey,
        rollbackTo,
        groups: [],
        phases: [
          ...(edge < 10_000 ? [{ ...common, buckets: edge }] : []),
          { ...common, buckets: 10_000 },
        ],
      },
      root,
      [],
    )
    const [first, ...others] = policy.phases
    assert.ok(first)
    // A witness whom nobody knows: its report cannot be invented.
    const witnesses = { count: 1, sha256: `0x${'ab'.repeat(32)}` as const }
    return { ...policy, phases: [{ ...first, witnesses }, ...others] }
  }
}

function order(root: string, change: Partial<RolloutOrder>): RolloutOrder {
  const nowS = Math.floor(systemClock.nowMs() / 1000)
  return signRolloutOrder(
    {
      v: 1,
      root,
      version: 1,
      issuedAtS: nowS,
      expiresS: nowS + 3_600,
      action: 'go',
      phase: 0,
      to: null,
      witnesses: [],
      evidence: [],
      ...change,
    },
    role,
  )
}

const runs = (fleet: DeviceFleet) =>
  readFile(join(fleet.folder, 'device', 'slots', 'current', 'image'))
const grants = (fleet: DeviceFleet) =>
  fleet.gateway.calls.filter((call) => call.endsWith('/grants')).length

describe('a device in a rollout', () => {
  test('fetches nothing before its phase is open, and takes its turn then', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      const { root } = await fleet.publish(noise(1), '1.0.0', { rollout: policyFor(fleet, 0) })
      const early = await device.agent.update()
      assert.deepEqual([early.outcome, early.waiting?.reason], ['up-to-date', 'rollout-no-order'])
      fleet.gateway.orders.set(root, order(root, { action: 'hold', version: 2 }))
      assert.equal((await device.agent.update()).waiting?.reason, 'rollout-held')
      assert.equal(grants(fleet), 0)
      fleet.gateway.orders.set(root, order(root, { action: 'resume', version: 3 }))
      assert.equal((await device.agent.update()).outcome, 'updated')
    }))

  test('takes the release before, while the newest does not reach it', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      await fleet.publish(noise(1), '1.0.0')
      const { root } = await fleet.publish(noise(2), '1.1.0', { rollout: policyFor(fleet, 1) })
      fleet.gateway.orders.set(root, order(root, {}))
      const { outcome, installed } = await device.agent.update()
      assert.deepEqual([outcome, installed?.version], ['updated', '1.0.0'])
      const waiting = (await device.agent.update()).waiting
      assert.equal(waiting?.reason, 'rollout-phase-shut')
    }))

  test('follows no order of a stolen gateway that the policy does not bear, and none twice', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      await fleet.publish(noise(1), '1.0.0')
      await device.agent.update()
      const { root } = await fleet.publish(noise(2), '1.1.0', { rollout: policyFor(fleet, 1) })
      const thief = createTufSigner(new Uint8Array(32).fill(6))
      const held = order(root, { action: 'hold', version: 7 })
      const { signature: _, ...unsigned } = order(root, { version: 8 })
      const tries: [unknown, string][] = [
        [held, 'rollout-held'],
        [order(root, { version: 6 }), 'order-replayed'],
        [order(root, { version: 8, phase: 1 }), 'evidence-missing'],
        [order(root, { version: 8, action: 'rollback', to: root }), 'rollback-not-in-policy'],
        [signRolloutOrder(unsigned, thief), 'order-unsigned'],
        ['go', 'order-malformed'],
      ]
      const before = grants(fleet)
      for (const [given, reason] of tries) {
        fleet.gateway.orders.set(root, given)
        const { outcome, waiting } = await device.agent.update()
        assert.deepEqual([outcome, waiting?.reason], ['up-to-date', reason])
      }
      assert.equal(grants(fleet), before)
      const refusals = device.events.filter((event) => event.name === 'order-refused')
      assert.equal(refusals.length, tries.length - 1)
    }))

  test('does not switch to what it has fetched when the rollout was held meanwhile', () =>
    withFleet(async (fleet) => {
      const image = noise(2)
      let hold: () => void = () => undefined
      const device = await fleet.device({
        onEvent(event) {
          if (event.name === 'staged' && event.target.version === '1.1.0') hold()
        },
      })
      await fleet.publish(noise(1), '1.0.0')
      await device.agent.update()
      const { root } = await fleet.publish(image, '1.1.0', { rollout: policyFor(fleet, 0) })
      fleet.gateway.orders.set(root, order(root, {}))
      hold = () => fleet.gateway.orders.set(root, order(root, { action: 'hold', version: 2 }))
      const { installed } = await device.agent.update()
      assert.equal(installed?.version, '1.0.0')
      assert.equal(device.agent.status().phase.name, 'written')
      assert.equal((await device.agent.update()).waiting?.reason, 'rollout-held')
      hold = () => undefined
      fleet.gateway.orders.set(root, order(root, { action: 'resume', version: 3 }))
      const before = grants(fleet)
      assert.equal((await device.agent.update()).outcome, 'updated')
      assert.equal(grants(fleet), before, 'what is there is not fetched again')
      assert.ok((await runs(fleet)).equals(image))
    }))

  for (const isKept of [true, false]) {
    const how = isKept ? 'from its other slot' : 'which it fetches again'
    test(`goes back by order to the one release that the policy names, ${how}`, () =>
      withFleet(async (fleet) => {
        const device = await fleet.device()
        const good = noise(1)
        const { root: goodRoot } = await fleet.publish(good, '1.0.0')
        await device.agent.update()
        const bad = await fleet.publish(noise(2), '1.1.0', {
          rollout: policyFor(fleet, 0, goodRoot),
        })
        fleet.gateway.orders.set(bad.root, order(bad.root, {}))
        assert.equal((await device.agent.update()).installed?.version, '1.1.0')
        const before = grants(fleet)
        const previous = device.agent.status().previous
        assert.ok(previous)
        if (!isKept) await rm(device.slots.image(previous.slot))
        const back = order(bad.root, { action: 'rollback', to: goodRoot, version: 9 })
        fleet.gateway.orders.set(bad.root, back)
        const { outcome, installed } = await device.agent.update()
        assert.deepEqual([outcome, installed?.version], ['updated', '1.0.0'])
        assert.ok((await runs(fleet)).equals(good))
        assert.equal(grants(fleet) > before, !isKept)
        assert.deepEqual(
          fleet.gateway.reports.slice(-2).map(({ event, root }) => [event, root]),
          [
            ['fell-back', bad.root],
            ['confirmed', goodRoot],
          ],
        )
        fleet.gateway.orders.set(bad.root, order(bad.root, { version: 10 }))
        assert.equal((await device.agent.update()).installed?.version, '1.0.0')
        const next = await fleet.publish(noise(3), '1.2.0')
        assert.equal((await device.agent.update()).installed?.root, next.root)
      }))
  }

  test('goes on after the end of its chain when its own memory of it was lost', () =>
    withFleet(async (fleet) => {
      const device = await fleet.device()
      await fleet.publish(noise(1), '1.0.0')
      await device.agent.update()
      assert.equal(fleet.gateway.chain.seq, 2)
      await device.stop()
      await rm(join(fleet.folder, 'device', 'state.json'))
      const again = await fleet.device()
      const { reportsPending } = await again.agent.update()
      assert.equal(reportsPending, 0)
      assert.deepEqual(
        fleet.gateway.signedReports.map(({ head }) => head.seq),
        [1, 2, 3, 4],
      )
    }))
})
