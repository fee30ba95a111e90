import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { sha256 } from 'multiformats/hashes/sha2'
import type { RolloutOrder, SignedReport } from '../api/index.ts'
import { createIdentity, type EvmAddress, type Identity } from '../identity/index.ts'
import {
  acceptRolloutOrder,
  createTufSigner,
  EMPTY_CHAIN,
  evidenceOf,
  type FollowedOrder,
  followsChain,
  judgeRollout,
  openReport,
  phaseOfBucket,
  planRollout,
  reportHash,
  RolloutPolicySchema,
  rolloutBucket,
  signReport,
  signRolloutOrder,
} from './index.ts'

const NOW_MS = Date.UTC(2026, 10, 26)
const NOW_S = NOW_MS / 1000
const HOUR_S = 3_600
const role = createTufSigner(new Uint8Array(32).fill(7))

async function cidOf(name: string): Promise<CID> {
  return CID.createV1(0x71, await sha256.digest(encode({ name })))
}

function identityOf(n: number): Identity {
  const seed = new Uint8Array(32)
  new DataView(seed.buffer).setUint32(0, n + 1)
  return createIdentity(seed)
}

const root = await cidOf('1.5.0')
const rollbackTo = (await cidOf('1.4.0')).toString()
const elsewhere = (await cidOf('1.2.0')).toString()
const fleet = Array.from({ length: 40 }, (_, n) => identityOf(n))
const identities = new Map(fleet.map((one) => [one.evmAddress, one]))
const phase = { notBeforeS: NOW_S, minSample: 4, minSuccess: 7_500, maxError: 1_000 }
const { policy, witnesses } = planRollout(
  {
    orderKey: role.publicKey,
    rollbackTo,
    groups: [],
    phases: [
      { ...phase, buckets: 3_000 },
      { ...phase, buckets: 6_000, notBeforeS: NOW_S + HOUR_S },
      { ...phase, buckets: 10_000 },
    ],
  },
  root,
  fleet.map((one) => one.evmAddress),
)

function confirmed(device: EvmAddress): SignedReport {
  const identity = identities.get(device)
  assert.ok(identity)
  const report = { root: root.toString(), event: 'confirmed' as const }
  return signReport(identity, EMPTY_CHAIN, report, NOW_MS).signed
}

function order(change: Partial<RolloutOrder> = {}, signer = role): RolloutOrder {
  return signRolloutOrder(
    {
      v: 1,
      root: root.toString(),
      version: 1,
      issuedAtS: NOW_S,
      expiresS: NOW_S + HOUR_S,
      action: 'go',
      phase: 0,
      to: null,
      witnesses: [],
      evidence: [],
      ...change,
    },
    signer,
  )
}

function shown(devices: readonly EvmAddress[]) {
  return new Map(
    devices.map((device) => {
      const { head, signature } = confirmed(device)
      const { seq, prev, atMs, body } = head
      return [device, { seq, prev, atMs, body, signature }]
    }),
  )
}

function goFor(phaseNumber: number, change: Partial<RolloutOrder> = {}): RolloutOrder {
  const before = policy.phases[phaseNumber - 1]
  const who = witnesses[phaseNumber - 1] ?? []
  assert.ok(before)
  const evidence = evidenceOf(before, who, shown(who))
  return order({ phase: phaseNumber, version: 5, witnesses: [...who], evidence, ...change })
}

function accept(json: unknown, followed: FollowedOrder | null = null, nowMs = NOW_MS) {
  return acceptRolloutOrder(json, { root, policy, followed, nowMs })
}

function reasonOf(json: unknown, followed: FollowedOrder | null = null): string {
  const result = accept(json, followed)
  return result.ok ? 'accepted' : result.reason
}

function followedOf(json: RolloutOrder): FollowedOrder {
  const result = accept(json)
  assert.ok(result.ok)
  return result.value
}

function judge(device: EvmAddress, followed: FollowedOrder | null, nowMs = NOW_MS, runs = false) {
  return judgeRollout({ root, policy, order: followed, device, groups: [], runs, nowMs })
}

function deviceOf(phaseNumber: number): EvmAddress {
  const device = witnesses[phaseNumber]?.[0]
  assert.ok(device)
  return device
}

describe('a rollout policy', () => {
  it('puts each device into one bucket for each release, evenly', async () => {
    const other = await cidOf('1.6.0')
    const ids = Array.from(
      { length: 5_000 },
      (_, n): EvmAddress => `0x${n.toString(16).padStart(40, '0')}`,
    )
    const canaries = ids.filter((id) => rolloutBucket(root, id) < 1_000)
    assert.ok(canaries.length > 400 && canaries.length < 600, String(canaries.length))
    const again = canaries.filter((id) => rolloutBucket(other, id) < 1_000)
    assert.ok(again.length < 100, 'other devices go first with another release')
  })

  it('nests its phases', () => {
    for (const { evmAddress } of fleet) {
      const bucket = rolloutBucket(root, evmAddress)
      const mine = phaseOfBucket(policy, bucket)
      assert.ok(mine !== undefined)
      assert.ok(witnesses[mine]?.includes(evmAddress))
    }
  })

  it('is refused when it has a field too many, does not widen, or cannot be proven', () => {
    assert.ok(RolloutPolicySchema.safeParse(policy).success)
    const [first, ...others] = policy.phases
    assert.ok(first)
    const bad = [
      { ...policy, force: true },
      { ...policy, phases: [] },
      { ...policy, phases: [...policy.phases].reverse() },
      { ...policy, phases: [{ ...first, minSample: 500 }, ...others] },
      { ...policy, phases: [{ ...first, minSuccess: 0 }, ...others] },
      { ...policy, phases: [{ ...first, buckets: 0.5 }, ...others] },
    ]
    for (const one of bad) assert.ok(!RolloutPolicySchema.safeParse(one).success)
  })
})

describe('a device judges a rollout', () => {
  it('waits without an order, and takes its turn in its phase', () => {
    const canary = deviceOf(0)
    assert.deepEqual(judge(canary, null), { verdict: 'wait', reason: 'rollout-no-order' })
    assert.deepEqual(judge(canary, followedOf(order())), { verdict: 'install' })
    const later = judge(deviceOf(2), followedOf(order()))
    assert.deepEqual(later, { verdict: 'wait', reason: 'rollout-phase-shut' })
  })

  it('waits for the time of its phase although a go is there', () => {
    const go = followedOf(goFor(1))
    const early = judge(deviceOf(1), go)
    assert.deepEqual(early, { verdict: 'wait', reason: 'rollout-too-early' })
    const renewed = goFor(1, { version: 6, expiresS: NOW_S + 2 * HOUR_S })
    const inTime = judge(deviceOf(1), followedOf(renewed), NOW_MS + HOUR_S * 1000)
    assert.deepEqual(inTime, { verdict: 'install' })
  })

  it('stops at a hold, and goes on when it is lifted', () => {
    const held = followedOf(order({ action: 'hold', version: 2 }))
    assert.deepEqual(judge(deviceOf(0), held), { verdict: 'wait', reason: 'rollout-held' })
    const on = followedOf(order({ action: 'resume', version: 3 }))
    assert.deepEqual(judge(deviceOf(0), on), { verdict: 'install' })
  })

  it('goes back only where it runs, only to what the policy names, and stays there', () => {
    const back = followedOf(order({ action: 'rollback', to: rollbackTo, version: 9 }))
    assert.deepEqual(judge(deviceOf(0), back, NOW_MS, true), {
      verdict: 'roll-back',
      to: rollbackTo,
    })
    const expired = NOW_MS + 30 * HOUR_S * 1000
    assert.deepEqual(judge(deviceOf(0), back, expired), {
      verdict: 'wait',
      reason: 'rollout-rolled-back',
    })
    assert.equal(reasonOf(order({ version: 10 }), back), 'rollout-ended')
  })

  it('believes an order only for as long as it is valid', () => {
    const go = followedOf(order())
    const later = judge(deviceOf(0), go, NOW_MS + HOUR_S * 1000)
    assert.deepEqual(later, { verdict: 'wait', reason: 'rollout-no-order' })
  })
})

describe('a stolen rollout role', () => {
  it('cannot skip the canary', () => {
    assert.equal(reasonOf(goFor(1, { evidence: [] })), 'evidence-missing')
    const few = goFor(1).evidence.slice(1)
    assert.equal(reasonOf(goFor(1, { evidence: few })), 'evidence-missing')
  })

  it('cannot open a later phase with the reports of an earlier one', () => {
    const { witnesses: who, evidence } = goFor(1)
    const forged = goFor(2, { witnesses: who, evidence })
    assert.equal(reasonOf(forged), 'witnesses-changed')
  })

  it('cannot widen a phase, as the policy is not its own', () => {
    assert.equal(reasonOf({ ...order(), buckets: 10_000 }), 'order-malformed')
    assert.equal(reasonOf(order({ phase: 3 })), 'phase-unknown')
  })

  it('cannot invent devices, let one speak twice, or change a report', () => {
    const invented = identityOf(9_999)
    identities.set(invented.evmAddress, invented)
    const go = goFor(1)
    const others = [...go.witnesses.slice(1), invented.evmAddress].sort()
    assert.equal(reasonOf(goFor(1, { witnesses: others })), 'witnesses-changed')
    const [first] = go.evidence
    assert.ok(first)
    const twice = go.evidence.map(() => first)
    assert.equal(reasonOf(goFor(1, { evidence: twice })), 'evidence-not-witness')
    const tampered = go.evidence.map((one, n) => (n === 0 ? { ...one, atMs: one.atMs + 1 } : one))
    assert.equal(reasonOf(goFor(1, { evidence: tampered })), 'evidence-forged')
  })

  it('cannot pass a failure off as a success', () => {
    const go = goFor(1)
    const [first, ...others] = go.evidence
    assert.ok(first)
    const device = go.witnesses[first.witness]
    const identity = device === undefined ? undefined : identities.get(device)
    assert.ok(identity)
    const failure = { root: root.toString(), event: 'failed' as const }
    const { head, signature } = signReport(identity, EMPTY_CHAIN, failure, NOW_MS).signed
    const { seq, prev, atMs, body } = head
    const faked = { witness: first.witness, seq, prev, atMs, body, signature }
    assert.equal(reasonOf(goFor(1, { evidence: [faked, ...others] })), 'evidence-forged')
  })

  it('cannot replay, equivocate, or speak for ever', () => {
    const followed = followedOf(order({ action: 'hold', version: 4 }))
    assert.equal(reasonOf(order({ version: 3 }), followed), 'order-replayed')
    assert.equal(reasonOf(order({ version: 4 }), followed), 'order-equivocated')
    assert.equal(reasonOf(order({ expiresS: NOW_S + 48 * HOUR_S })), 'order-not-yet-valid')
    assert.equal(reasonOf(order({ issuedAtS: NOW_S + HOUR_S })), 'order-not-yet-valid')
    assert.equal(reasonOf(order({ expiresS: NOW_S })), 'order-expired')
  })

  it('cannot order a rollback to another release, or about another one', () => {
    const elsewhereTo = order({ action: 'rollback', to: elsewhere })
    assert.equal(reasonOf(elsewhereTo), 'rollback-not-in-policy')
    assert.equal(reasonOf(order({ root: elsewhere })), 'order-for-another-release')
  })

  it('is not replaced by another key', () => {
    const thief = createTufSigner(new Uint8Array(32).fill(8))
    assert.equal(reasonOf(order({}, thief)), 'order-unsigned')
    assert.equal(reasonOf({ ...order(), phase: 1 }), 'order-unsigned')
    assert.equal(reasonOf('go'), 'order-malformed')
  })
})

describe('a chain of reports', () => {
  const identity = identityOf(1)
  const one = signReport(identity, EMPTY_CHAIN, { root: rollbackTo, event: 'written' }, NOW_MS)
  const two = signReport(identity, one.end, { root: rollbackTo, event: 'confirmed' }, NOW_MS)

  it('is followed in order, and sending again changes nothing', () => {
    assert.deepEqual(followsChain(EMPTY_CHAIN, one.signed.head), {
      ok: true,
      value: { isNew: true },
    })
    assert.deepEqual(followsChain(one.end, one.signed.head), { ok: true, value: { isNew: false } })
    assert.deepEqual(followsChain(one.end, two.signed.head), { ok: true, value: { isNew: true } })
    assert.equal(reportHash(two.signed.head), two.end.head)
  })

  it('has no gaps and no forks', () => {
    const other = signReport(identity, EMPTY_CHAIN, { root: rollbackTo, event: 'failed' }, NOW_MS)
    const after = signReport(identity, other.end, { root: rollbackTo, event: 'failed' }, NOW_MS)
    const refusal = (end: typeof one.end, head: typeof two.signed.head) => {
      const result = followsChain(end, head)
      return result.ok ? 'followed' : result.reason
    }
    assert.equal(refusal(EMPTY_CHAIN, two.signed.head), 'report-gap')
    assert.equal(refusal(one.end, other.signed.head), 'report-forked')
    assert.equal(refusal(one.end, after.signed.head), 'report-forked')
    assert.equal(refusal(two.end, one.signed.head), 'report-forked')
  })

  it('opens only what its device has signed', () => {
    const opened = openReport(identity.evmAddress, two.signed)
    assert.ok(opened.ok && opened.value?.event === 'confirmed')
    const refusal = (signed: SignedReport, device = identity.evmAddress) => {
      const result = openReport(device, signed)
      return result.ok ? 'opened' : result.reason
    }
    const { head, report } = two.signed
    assert.equal(refusal({ ...two.signed, head: { ...head, seq: 7 } }), 'report-forged')
    assert.equal(refusal(two.signed, identityOf(2).evmAddress), 'report-forged')
    assert.ok(report)
    const changed = report.replace('confirmed', 'fell-back')
    assert.equal(refusal({ ...two.signed, report: changed }), 'report-body-changed')
    assert.equal(refusal({ ...two.signed, report: null }), 'opened')
  })
})
