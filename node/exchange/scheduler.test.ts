import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { prefixOf } from './protocol.ts'
import {
  arrived,
  createSchedulerState,
  expectFellows,
  have,
  holds,
  join,
  leave,
  moved,
  near,
  notHere,
  plan,
  type SchedulerState,
  stalledPeers,
  unwant,
  want,
} from './scheduler.ts'

const BLOCK = 64 * 1024

interface SimPeer {
  readonly bytesPerMs: number
  readonly delayMs: number
  /** From then on it answers nothing. */
  readonly silentFromMs?: number
  /** From then on it is gone. */
  readonly goneFromMs?: number
}

/** Peers that answer in order at their own pace, under a clock that jumps a millisecond at a time. */
function simulate(peers: Readonly<Record<string, SimPeer>>, blocks: number, limitMs = 120_000) {
  const state = createSchedulerState(() => 0.5)
  const queues = new Map<string, { key: string; readyMs: number }[]>()
  const freeMs = new Map<string, number>()
  const gone = new Set<string>()
  const firstAsked: string[] = []
  let sent = 0
  for (const id of Object.keys(peers)) {
    join(state, id, 0)
    queues.set(id, [])
  }
  for (let at = 0; at < blocks; at++) want(state, `${at}`, 0)
  let now = 0
  for (; state.wants.size > 0 && now < limitMs; now++) {
    for (const [id, peer] of Object.entries(peers)) {
      if (now >= (peer.goneFromMs ?? Number.POSITIVE_INFINITY) && !gone.has(id)) {
        gone.add(id)
        leave(state, id)
      }
      const queue = queues.get(id) ?? []
      const isSilent = gone.has(id) || now >= (peer.silentFromMs ?? Number.POSITIVE_INFINITY)
      for (let next = queue[0]; next !== undefined; next = queue[0]) {
        if (isSilent || next.readyMs > now) break
        queue.shift()
        sent++
        assert.notEqual(arrived(state, id, next.key, BLOCK, now), 'unasked')
      }
    }
    const { requests, cancels } = plan(state, now)
    for (const { peer, keys } of cancels) {
      for (const key of keys) {
        const queue = queues.get(peer) ?? []
        const at = queue.findIndex((each) => each.key === key)
        // The one on its way cannot be called back.
        if (at <= 0) continue
        queue.splice(at, 1)
        notHere(state, peer, key, now, now)
      }
    }
    // One plan asks several peers; what counts is which blocks it takes.
    const taken = requests.flatMap(({ keys }) => keys).toSorted((a, b) => Number(a) - Number(b))
    for (const key of taken) if (!firstAsked.includes(key)) firstAsked.push(key)
    for (const { peer, keys } of requests) {
      const { bytesPerMs, delayMs } = peers[peer] as SimPeer
      for (const key of keys) {
        const start = Math.max(now + delayMs, freeMs.get(peer) ?? 0)
        freeMs.set(peer, start + BLOCK / bytesPerMs)
        queues.get(peer)?.push({ key, readyMs: start + BLOCK / bytesPerMs })
      }
    }
  }
  return { ms: now, sent, firstAsked, state }
}

const fast: SimPeer = { bytesPerMs: 2_500, delayMs: 20 }

test('several peers together are nearly as fast as the sum of them', () => {
  const blocks = 400
  const { ms, sent } = simulate({ a: fast, b: fast, c: fast, d: fast }, blocks)
  const idealMs = (blocks * BLOCK) / (4 * fast.bytesPerMs)
  assert.ok(ms <= 1.15 * idealMs + 100, `${ms} ms, ideal ${idealMs}`)
  assert.ok(sent <= 1.03 * blocks, `${sent} blocks were sent for ${blocks}`)
})

test('a thin and a fat peer are both used as far as they go', () => {
  const blocks = 300
  const thin = { bytesPerMs: 250, delayMs: 60 }
  const { ms } = simulate({ fast, thin }, blocks)
  const idealMs = (blocks * BLOCK) / (fast.bytesPerMs + thin.bytesPerMs)
  assert.ok(ms <= 1.15 * idealMs + 200, `${ms} ms, ideal ${idealMs}`)
})

test('blocks are asked for in the order of wanting', () => {
  const { firstAsked } = simulate({ a: fast, b: fast }, 100)
  const sorted = firstAsked.map(Number).toSorted((a, b) => a - b)
  assert.deepEqual(firstAsked.map(Number), sorted)
})

test('a peer that goes silent delays the end by less than two seconds', () => {
  const whole = simulate({ a: fast, b: fast }, 200)
  const broken = simulate({ a: fast, b: { ...fast, silentFromMs: 700 } }, 200)
  const alone = (200 * BLOCK) / fast.bytesPerMs
  assert.ok(broken.ms <= alone + 2_000, `${broken.ms} ms, ${whole.ms} ms without the fault`)
})

test('what a lost peer held is asked of the others at once, in its order', () => {
  const { ms, sent } = simulate({ a: fast, b: { ...fast, goneFromMs: 500 } }, 200)
  assert.ok(ms <= (200 * BLOCK) / fast.bytesPerMs, `${ms} ms`)
  assert.ok(sent <= 205, `${sent} blocks`)
})

test('the last blocks at a very slow peer are asked of a second one', () => {
  const slow = { bytesPerMs: 20, delayMs: 20 }
  const { ms, sent } = simulate({ fast, slow }, 60)
  assert.ok(ms < 4_500, `${ms} ms`)
  assert.ok(sent <= 66, `${sent} blocks`)
})

test('a link of 64 kbit/s is given time: one request at a time, none twice', () => {
  const { ms, sent } = simulate({ thin: { bytesPerMs: 8, delayMs: 100 } }, 12)
  assert.equal(sent, 12)
  assert.ok(ms <= (12 * BLOCK) / 8 + 1_000, `${ms} ms`)
})

test('a peer whose bytes keep coming is not stalled; another one is tried with one block', () => {
  const state = createSchedulerState(() => 0.5)
  join(state, 'thin', 0)
  for (const key of ['x', 'y', 'z']) want(state, key, 0)
  plan(state, 0)
  join(state, 'idle', 1)
  const asked: string[] = []
  for (let nowMs = 50; nowMs <= 8_000; nowMs += 50) {
    moved(state, [['thin', { partialBytes: 8 * nowMs }]], nowMs)
    asked.push(...plan(state, nowMs).requests.flatMap(({ peer, keys }) => [peer, ...keys]))
  }
  assert.deepEqual(stalledPeers(state), [])
  assert.deepEqual(asked, ['idle', 'z'])
  arrived(state, 'thin', 'x', BLOCK, 8_100)
  // Its bytes stop: what it owes is asked of whoever is there.
  join(state, 'third', 8_100)
  const later: string[] = []
  for (let nowMs = 8_100; nowMs <= 60_000; nowMs += 50) {
    later.push(...plan(state, nowMs).requests.flatMap(({ peer, keys }) => [peer, ...keys]))
  }
  assert.deepEqual(later.slice(0, 2), ['third', 'y'])
})

test('what a peer does not have is asked of another, and again when it says that it has come', () => {
  const state = createSchedulerState(() => 0.5)
  join(state, 'a', 0)
  want(state, 'x', 0)
  const asked = (nowMs: number) => plan(state, nowMs).requests.map(({ peer }) => peer)
  assert.deepEqual(asked(0), ['a'])
  assert.equal(notHere(state, 'a', 'x', 1, 10_000), true)
  assert.deepEqual(asked(2), [])
  join(state, 'b', 3)
  assert.deepEqual(asked(3), ['b'])
  assert.equal(notHere(state, 'b', 'x', 4, 10_000), true)
  assert.deepEqual(asked(5), [])
  have(state, 'a', 'x')
  assert.deepEqual(asked(6), ['a'])
  assert.equal(arrived(state, 'a', 'x', BLOCK, 7), 'wanted')
  assert.equal(arrived(state, 'a', 'x', BLOCK, 8), 'unasked')
  assert.equal(notHere(state, 'b', 'x', 9, 0), false)
})

test('what nobody wants any longer is cancelled once, and counts if it comes all the same', () => {
  const state: SchedulerState = createSchedulerState(() => 0.5)
  join(state, 'a', 0)
  want(state, 'x', 0)
  plan(state, 0)
  unwant(state, 'x')
  assert.deepEqual(plan(state, 1).cancels, [{ peer: 'a', keys: ['x'] }])
  assert.deepEqual(plan(state, 2).cancels, [])
  assert.equal(arrived(state, 'a', 'x', BLOCK, 3), 'duplicate')
})

/** Two fellows that have everything, and a keeper; more is wanted than the windows of the fellows take. */
function withFellows() {
  const state = createSchedulerState(() => 0.5)
  join(state, 'keeper', 0)
  for (const id of ['far', 'here']) {
    join(state, id, 0, 'fellow')
    holds(state, id, [], 0)
  }
  return state
}

function askedOf(state: SchedulerState, nowMs: number): Record<string, number> {
  const { requests } = plan(state, nowMs)
  return Object.fromEntries(requests.map(({ peer, keys }) => [peer, keys.length]))
}

test('what is equally rare is asked of the fellow on the local network first', () => {
  const state = withFellows()
  for (let at = 0; at < 3; at++) want(state, `${at}`, 0, true)
  assert.deepEqual(askedOf(state, 0), { far: 3 })
  const other = withFellows()
  near(other, 'here')
  for (let at = 0; at < 3; at++) want(other, `${at}`, 0, true)
  assert.deepEqual(askedOf(other, 0), { here: 3 })
  // What has to come in order, too, before it is asked of a keeper.
  want(other, 'root', 1)
  assert.deepEqual(askedOf(other, 1), { here: 1 })
})

test('of others it is asked for what the one on the local network does not have, unless that is silent', () => {
  const state = createSchedulerState(() => 0.5)
  for (const id of ['far', 'here', 'third']) join(state, id, 0, 'fellow')
  near(state, 'here')
  const keys = Array.from({ length: 40 }, (_, at) => hash('sha256', `${at}`, 'hex'))
  for (const each of keys) want(state, each, 0, true)
  const half = keys.slice(0, 20).map(prefixOf)
  const rest = keys.slice(20).map(prefixOf)
  holds(state, 'here', half, 0)
  holds(state, 'third', rest, 0)
  holds(state, 'far', [...half, ...rest], 0)
  const asked = new Map(plan(state, 0).requests.map(({ peer, keys: each }) => [peer, each]))
  assert.ok(asked.get('here')?.every((each) => keys.indexOf(each) < 20))
  assert.ok(asked.get('far')?.every((each) => keys.indexOf(each) >= 20))
  // It owes for long: the others are asked for what it has.
  for (let nowMs = 50; nowMs <= 4_000; nowMs += 50) {
    for (const { peer, keys: each } of plan(state, nowMs).requests) {
      if (peer === 'here') continue
      for (const one of each) arrived(state, peer, one, BLOCK, nowMs)
    }
    for (const id of ['far', 'third']) {
      for (const [one] of state.peers.get(id)?.asked ?? []) arrived(state, id, one, BLOCK, nowMs)
    }
  }
  assert.deepEqual(stalledPeers(state), ['here'])
  assert.equal(state.wants.size, 0)
})

test('when no fellow comes, what is on its way in any order is not asked for again', () => {
  const state = createSchedulerState(() => 0.5)
  join(state, 'a', 0)
  join(state, 'b', 0)
  const keys = Array.from({ length: 40 }, (_, at) => hash('sha256', `${at}`, 'hex'))
  for (const key of keys) want(state, key, 0, true)
  expectFellows(state, 1_000)
  const meanwhile = plan(state, 0)
  assert.deepEqual(meanwhile.requests, [])
  const offered = meanwhile.offers.flatMap((offer) => offer.keys)
  assert.ok(offered.length > 0 && offered.length <= 16, 'no more than two first windows')
  // The line is thin: of the first block a part has come, and more of it comes.
  const parts = new Map([['a', { partialBytes: 1_000 }]])
  for (let nowMs = 100; nowMs <= 1_000; nowMs += 100) {
    const part = parts.get('a')
    if (part !== undefined) part.partialBytes += 800
    moved(state, parts, nowMs)
  }
  const alone = plan(state, 1_000)
  assert.deepEqual([alone.offers, alone.cancels], [[], []])
  const asked = alone.requests.flatMap((request) => request.keys)
  assert.ok(asked.length > 0)
  assert.deepEqual(
    asked.filter((key) => offered.includes(key)),
    [],
  )
})
