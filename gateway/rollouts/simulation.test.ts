/**
 * Ten thousand devices on a clock that jumps: the judgement of the device and the decisions of the gateway are the
 * real ones, as are all signatures of orders, and of the 800 devices that the vendor has named as witnesses. Fetching
 * and installing are waits. A device asks before it fetches and again before it switches, polls every 15 minutes, and
 * an announcement wakes it within a second.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  acceptRolloutOrder,
  createTufSigner,
  EMPTY_CHAIN,
  type FollowedOrder,
  judgeRollout,
  phaseOfBucket,
  planRollout,
  rolloutBucket,
  signReport,
  signRolloutOrder,
} from '@ioex/node/firmware'
import { createIdentity, type EvmAddress, type Identity } from '@ioex/node/identity'
import { seededRandom } from '@ioex/node/testing'
import { CID } from 'multiformats/cid'
import { decideRollout, type RolloutPlace, rolloutOrder, type Successes } from './decide.ts'

const DEVICES = 10_000
const REAL_DEVICES = 800
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const POLL_MS = 15 * MINUTE_MS
/** Gossip, and what a device waits after it, as the loop of the agent has it. */
const HEARD_WITHIN_MS = 1_300
const CALL_MAX_MS = 500
const START_MS = Date.UTC(2026, 10, 26)
const role = createTufSigner(new Uint8Array(32).fill(3))
const root = CID.decode(Uint8Array.fromHex(`01711220${'5a'.repeat(32)}`))
const rollbackTo = CID.decode(Uint8Array.fromHex(`01711220${'4b'.repeat(32)}`)).toString()

const BUCKETS = [300, 1_000, 3_000, 6_000, 10_000]

type Sim = Awaited<ReturnType<typeof simulate>>
let fleet: { readonly id: EvmAddress; readonly identity: Identity | undefined }[] | undefined

/** Signing keys are made for those whose signatures somebody checks. */
function fleetOf() {
  fleet ??= Array.from({ length: DEVICES }, (_, n) => {
    if (n >= REAL_DEVICES) {
      return { id: `0x${(n + 1).toString(16).padStart(40, '0')}` as const, identity: undefined }
    }
    const seed = new Uint8Array(32)
    new DataView(seed.buffer).setUint32(0, n + 1)
    const identity = createIdentity(seed)
    return { id: identity.evmAddress, identity }
  })
  return fleet
}

interface Story {
  /** Share of devices on which the release fails its health check. */
  readonly failing: number
  readonly pause?: { readonly atMs: number; readonly forMs: number }
  readonly untilMs: number
}

async function simulate(story: Story) {
  const random = seededRandom('a rollout')
  const devices = fleetOf()
  const { policy, witnesses } = planRollout(
    {
      orderKey: role.publicKey,
      rollbackTo,
      groups: [],
      phases: BUCKETS.map((buckets, n) => ({
        buckets,
        notBeforeS: (START_MS + n * HOUR_MS) / 1000,
        minSample: 15,
        minSuccess: 9_000,
        maxError: 1_000,
      })),
    },
    root,
    devices.filter(({ identity }) => identity !== undefined).map(({ id }) => id),
  )
  const named = new Set(witnesses.flat())
  let nowMs = START_MS
  const clock = { nowMs: () => nowMs }

  // The queue of what happens, a heap by time.
  const heap: { atMs: number; run: () => void }[] = []
  const at = (inMs: number, run: () => void) => {
    const event = { atMs: nowMs + inMs, run }
    let place = heap.push(event) - 1
    while (place > 0) {
      const parent = (place - 1) >> 1
      if ((heap[parent]?.atMs ?? 0) <= event.atMs) break
      heap[place] = heap[parent] as typeof event
      place = parent
    }
    heap[place] = event
  }
  const next = () => {
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if ((heap[child + 1]?.atMs ?? Infinity) < (heap[child]?.atMs ?? Infinity)) child++
      const below = heap[child]
      if (below === undefined || below.atMs >= last.atMs) break
      heap[place] = below
      place = child
    }
    heap[place] = last
    return first
  }

  // The gateway.
  let place: RolloutPlace = { status: 'running', phase: 0, approval: 'automatic' }
  const counts = policy.phases.map(() => ({ confirmed: 0, failed: 0, witnessed: 0 }))
  const successes = new Map<
    EvmAddress,
    Successes extends ReadonlyMap<unknown, infer V> ? V : never
  >()
  let version = 0
  let order = sign(false)
  function sign(isResumed: boolean) {
    version++
    const { phase } = place
    const parts = { root: root.toString(), version, policy, place, witnesses, successes, isResumed }
    assert.ok(phase < policy.phases.length)
    return signRolloutOrder(rolloutOrder(clock, parts), role)
  }
  const moveTo = (change: Partial<RolloutPlace>) => {
    const isResumed = place.status === 'held' && change.status === 'running'
    place = { ...place, ...change }
    order = sign(isResumed)
    for (const device of running) at(random.int(HEARD_WITHIN_MS), () => device.wake())
  }
  const decide = () => {
    const decision = decideRollout(policy, place, counts, nowMs)
    if (decision.move === 'open') moveTo({ phase: decision.phase })
    if (decision.move === 'roll-back') moveTo({ status: 'rolled-back' })
    if (decision.move === 'hold') moveTo({ status: 'held' })
  }
  const report = (device: (typeof devices)[number], phase: number, isWell: boolean) => {
    const count = counts[phase]
    assert.ok(count)
    if (!isWell) count.failed++
    else {
      count.confirmed++
      if (device.identity !== undefined && named.has(device.id)) {
        const body = { root: root.toString(), event: 'confirmed' as const }
        const { signed } = signReport(device.identity, EMPTY_CHAIN, body, nowMs)
        const { seq, prev, atMs, body: digest } = signed.head
        successes.set(device.id, { seq, prev, atMs, body: digest, signature: signed.signature })
        count.witnessed++
      }
    }
    decide()
  }

  // What an order is worth depends on nothing that differs between these devices, so it is worked out once.
  const worth = new Map<string, ReturnType<typeof acceptRolloutOrder>>()
  const accept = (followed: FollowedOrder | null) => {
    const key = `${followed?.version ?? 0} ${order.version}`
    const known = worth.get(key)
    if (known !== undefined) return known
    const result = acceptRolloutOrder(order, { root, policy, followed, nowMs })
    worth.set(key, result)
    return result
  }

  const log: { kind: 'fetch' | 'switch'; atMs: number; mine: number; open: number }[] = []
  const running = devices.map((device) => {
    const mine = phaseOfBucket(policy, rolloutBucket(root, device.id)) ?? -1
    let followed: FollowedOrder | null = null
    let runs: 'old' | 'new' = 'old'
    let isBusy = false
    let isRejected = false
    const willFail = random.int(1_000) < story.failing * 1_000
    const ask = () => {
      const result = accept(followed)
      if (result.ok) followed = result.value
      return judgeRollout({
        root,
        policy,
        order: followed,
        device: device.id,
        groups: [],
        runs: runs === 'new',
        nowMs,
      })
    }
    const note = (kind: 'fetch' | 'switch') =>
      log.push({ kind, atMs: nowMs, mine, open: place.phase })
    const tryIt = () => {
      isBusy = false
      if (ask().verdict !== 'install') return
      isBusy = true
      // Between the answer and the deed lies a moment.
      at(random.int(CALL_MAX_MS), () => {
        note('switch')
        at(30_000, () => {
          isBusy = false
          runs = willFail ? 'old' : 'new'
          isRejected = willFail
          report(device, mine, !willFail)
          // What it heard of meanwhile.
          wake()
        })
      })
    }
    const wake = () => {
      if (isBusy) return
      const { verdict } = ask()
      if (verdict === 'roll-back') {
        runs = 'old'
        isRejected = true
      }
      if (verdict !== 'install' || runs === 'new' || isRejected) return
      isBusy = true
      at(random.int(CALL_MAX_MS), () => {
        note('fetch')
        at(20_000 + random.int(10 * MINUTE_MS), tryIt)
      })
    }
    const poll = () => {
      wake()
      at(POLL_MS * 0.8 + random.int(POLL_MS * 0.4), poll)
    }
    at(random.int(POLL_MS), poll)
    return { wake, runsNew: () => runs === 'new', mine }
  })
  const tick = () => {
    decide()
    at(MINUTE_MS, tick)
  }
  at(MINUTE_MS, tick)
  if (story.pause !== undefined) {
    const { atMs, forMs } = story.pause
    at(atMs, () => moveTo({ status: 'held' }))
    at(atMs + forMs, () => moveTo({ status: 'running' }))
  }
  for (let event = next(); event !== undefined; event = next()) {
    if (event.atMs > START_MS + story.untilMs) break
    nowMs = event.atMs
    event.run()
  }
  const canaries = running.filter(({ mine }) => mine === 0).length
  return { log, running, place, canaries, counts, policy }
}

function noneOutside({ log, policy }: Sim): void {
  for (const { atMs, mine, open } of log) {
    assert.ok(mine <= open, `a device of phase ${mine} moved while ${open} was open`)
    assert.ok(atMs / 1000 >= (policy.phases[mine]?.notBeforeS ?? Infinity))
  }
}

test('ten thousand devices update in five phases, none outside its own', async () => {
  const story = await simulate({ failing: 0.01, untilMs: 9 * HOUR_MS })
  noneOutside(story)
  assert.equal(story.place.phase, 4)
  const reached = story.running.filter(({ runsNew }) => runsNew()).length
  assert.ok(reached > 0.97 * DEVICES, `only ${reached} run it`)
})

test('a pause stops ten thousand devices within two seconds', async () => {
  // The widest phase has just opened: thousands fetch.
  const pause = { atMs: 4 * HOUR_MS + 5 * MINUTE_MS, forMs: HOUR_MS }
  const story = await simulate({ failing: 0.01, pause, untilMs: 9 * HOUR_MS })
  noneOutside(story)
  const pausedMs = START_MS + pause.atMs
  const late = story.log.filter(
    ({ atMs }) => atMs > pausedMs + 2_000 && atMs < pausedMs + pause.forMs,
  )
  assert.equal(late.length, 0)
  const before = story.log.filter(
    ({ kind, atMs }) => kind === 'fetch' && atMs > pausedMs - 10 * MINUTE_MS && atMs <= pausedMs,
  )
  assert.ok(before.length > 1_000, `only ${before.length} were fetching`)
  const after = story.log.filter(({ atMs }) => atMs >= pausedMs + pause.forMs)
  assert.ok(after.length > 1_000, 'it goes on afterwards')
  assert.ok(story.running.filter(({ runsNew }) => runsNew()).length > 0.97 * DEVICES)
})

test('a release that fails on three devices of ten stops among the canaries, and they go back', async () => {
  const story = await simulate({ failing: 0.3, untilMs: 9 * HOUR_MS })
  noneOutside(story)
  assert.equal(story.place.status, 'rolled-back')
  const switched = story.log.filter(({ kind }) => kind === 'switch').length
  assert.ok(switched > 0 && switched <= 1.2 * story.canaries, `${switched} of ${story.canaries}`)
  assert.equal(story.running.filter(({ runsNew }) => runsNew()).length, 0)
})
