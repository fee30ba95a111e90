/**
 * The scheduler and the spread of seeds under a simulated clock: devices and a seed, each with a line of so many
 * blocks a second, in a world where nothing else costs time. What is measured is how near the decisions alone come
 * to the fluid limit max(F/u_seed, F/d, N*F/(u_seed + sum u)).
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { seededRandom } from '../testing/seeded-random.ts'
import {
  MAX_ALL_FELLOWS,
  MAX_FELLOWS,
  MAX_PEERS_TOLD,
  SWARM_TURN_MS,
  TELL_HOLDS_EVERY_MS,
  TICK_MS,
} from './limits.ts'
import { type Key, prefixOf } from './protocol.ts'
import * as scheduler from './scheduler.ts'
import { createSpreads } from './spread.ts'

const LATENCY_MS = 5
const BLOCK_BYTES = 64 * 1024

interface World {
  readonly devices: number
  readonly blocks: number
  /** Milliseconds that a line takes for a block, both ways. */
  readonly deviceMs: number
  readonly seedMs: number
  /** Until two fellows have knocked at each other and opened their streams, at most; each pair takes its own time. */
  readonly acquaintedMs: number
  readonly seed: string
}

interface Stream {
  readonly to: number
  readonly wanted: Key[]
  readonly any: Set<Key>
}

/** One who sends: its streams take turns, a block at a time. */
interface Sender {
  readonly blockMs: number
  readonly streams: Map<number, Stream>
  busy: boolean
  sent: number
}

const SEED = -1

function simulate(world: World): { readonly lastMs: number; readonly seedImages: number } {
  const { devices, blocks, deviceMs, seedMs } = world
  const random = seededRandom(world.seed)
  const chance = () => random.int(1_000_000) / 1_000_000
  const keys = Array.from({ length: blocks }, (_, at) =>
    createHash('sha256').update(`${world.seed} ${at}`).digest('hex'),
  )
  const { spread } = createSpreads().join('the release')
  const due: { atMs: number; number: number; run: () => void }[] = []
  let nowMs = 0
  let number = 0
  const after = (ms: number, run: () => void) => {
    const event = { atMs: nowMs + ms, number: number++, run }
    let at = due.length
    while (at > 0 && isBefore(event, due[at - 1] as typeof event)) at--
    due.splice(at, 0, event)
  }
  const senders = new Map<number, Sender>()
  const held = Array.from({ length: devices }, () => new Set<Key>())
  const downFreeMs = Array.from({ length: devices }, () => 0)
  const states = Array.from({ length: devices }, () => scheduler.createSchedulerState(chance))
  const pumpDue = new Set<number>()
  let done = 0
  let lastMs = 0

  const next = (sender: Sender, from: number): { stream: Stream; key: Key } | undefined => {
    for (const [to, stream] of sender.streams) {
      const key =
        stream.wanted.shift() ?? (from === SEED ? spread.pick(stream.any, nowMs).key : undefined)
      if (key === undefined) continue
      stream.any.delete(key)
      // To the end of the line.
      sender.streams.delete(to)
      sender.streams.set(to, stream)
      return { stream, key }
    }
    return undefined
  }
  const send = (from: number) => {
    const sender = senders.get(from) as Sender
    if (sender.busy) return
    const chosen = next(sender, from)
    if (chosen === undefined) return
    sender.busy = true
    sender.sent++
    const { stream, key } = chosen
    after(sender.blockMs, () => {
      sender.busy = false
      // The other end takes it as fast as its own line does.
      const arrivesMs = Math.max(nowMs, (downFreeMs[stream.to] ?? 0) + deviceMs) + LATENCY_MS
      downFreeMs[stream.to] = arrivesMs - LATENCY_MS
      after(arrivesMs - nowMs, () => arrive(stream.to, from, key))
      send(from)
    })
  }
  const arrive = (at: number, from: number, key: Key) => {
    const state = states[at] as scheduler.SchedulerState
    scheduler.arrived(state, String(from), key, BLOCK_BYTES, nowMs)
    const mine = held[at] as Set<Key>
    if (!mine.has(key)) {
      mine.add(key)
      if (mine.size === blocks) {
        done++
        lastMs = nowMs
      }
      after(TELL_HOLDS_EVERY_MS + LATENCY_MS, () => {
        for (let other = 0; other < devices; other++) {
          if (other === at || senders.get(at)?.streams.has(other) !== true) continue
          scheduler.holds(
            states[other] as scheduler.SchedulerState,
            String(at),
            [prefixOf(key)],
            nowMs,
          )
          pumpSoon(other)
        }
      })
    }
    pumpSoon(at)
  }
  const pumpSoon = (at: number) => {
    if (pumpDue.has(at)) return
    pumpDue.add(at)
    after(SWARM_TURN_MS, () => {
      pumpDue.delete(at)
      pump(at)
    })
  }
  const pump = (at: number) => {
    const { requests, offers, cancels } = scheduler.plan(
      states[at] as scheduler.SchedulerState,
      nowMs,
    )
    const tell = (peer: string, change: (stream: Stream) => void) => {
      const from = Number(peer)
      after(LATENCY_MS, () => {
        change(senders.get(from)?.streams.get(at) as Stream)
        send(from)
      })
    }
    for (const { peer, keys: gone } of cancels) {
      tell(peer, (stream) => {
        for (const key of gone) {
          stream.any.delete(key)
          const index = stream.wanted.indexOf(key)
          if (index < 0) continue
          stream.wanted.splice(index, 1)
          after(LATENCY_MS, () =>
            scheduler.notHere(states[at] as scheduler.SchedulerState, peer, key, nowMs, nowMs),
          )
        }
      })
    }
    for (const { peer, keys: offered } of offers) {
      tell(peer, (stream) => {
        for (const key of offered) stream.any.add(key)
      })
    }
    for (const { peer, keys: asked } of requests) {
      tell(peer, (stream) => stream.wanted.push(...asked))
    }
  }

  for (let from = SEED; from < devices; from++) {
    senders.set(from, {
      blockMs: from === SEED ? seedMs : deviceMs,
      streams: new Map(),
      busy: false,
      sent: 0,
    })
  }
  const fellows = acquaint(devices, chance)
  for (let at = 0; at < devices; at++) {
    const state = states[at] as scheduler.SchedulerState
    for (const key of keys) scheduler.want(state, key, 0, true)
    const join = (from: number) => {
      senders.get(from)?.streams.set(at, { to: at, wanted: [], any: new Set() })
      scheduler.join(state, String(from), nowMs, from === SEED ? 'keeper' : 'fellow')
    }
    join(SEED)
    scheduler.expectFellows(state, world.acquaintedMs)
    for (const from of fellows[at] ?? []) {
      after(Math.floor(chance() * world.acquaintedMs), () => {
        join(from)
        const known = [...(held[from] ?? [])].map(prefixOf)
        if (known.length > 0) scheduler.holds(state, String(from), known, nowMs)
      })
    }
    const tick = () => {
      pump(at)
      if ((held[at] as Set<Key>).size < blocks) after(TICK_MS, tick)
    }
    after(1, tick)
  }
  const wake = () => {
    for (const from of senders.keys()) send(from)
    if (done < devices) after(50, wake)
  }
  after(50, wake)
  while (done < devices) {
    const event = due.shift()
    assert.ok(event, 'nothing is left to happen, and somebody is not done')
    nowMs = event.atMs
    assert.ok(nowMs < 600_000, `${done} of ${devices} are done after ten minutes`)
    event.run()
  }
  return { lastMs, seedImages: (senders.get(SEED)?.sent ?? 0) / blocks }
}

/** Whom each fetches from when they come one after the other: those told of first, and those who fetch from it. */
function acquaint(devices: number, chance: () => number): number[][] {
  const told = Array.from({ length: devices }, (): number[] => [])
  for (let at = 0; at < devices; at++) {
    const earlier = Array.from({ length: at }, (_, other) => other).sort(() => chance() - 0.5)
    for (const other of earlier.slice(0, MAX_PEERS_TOLD)) {
      told[at]?.push(other)
      told[other]?.push(at)
    }
  }
  const chosen = told.map((others) => others.slice(0, MAX_FELLOWS))
  return chosen.map((own, at) => {
    const mutual = chosen.flatMap((others, other) => (others.includes(at) ? [other] : []))
    return [...new Set([...own, ...mutual])].slice(0, MAX_ALL_FELLOWS)
  })
}

function isBefore(a: { atMs: number; number: number }, b: { atMs: number; number: number }) {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.number < b.number)
}

function limitMs({ devices, blocks, deviceMs, seedMs }: World): number {
  const all = (devices * blocks) / (1 / seedMs + devices / deviceMs)
  return Math.max(blocks * seedMs, blocks * deviceMs, all)
}

const CELLS = [
  { name: 'one device', devices: 1, seedMs: 26, acquaintedMs: 0, factor: 1.05, images: 1.01 },
  { name: 'two devices', devices: 2, seedMs: 26, acquaintedMs: 0, factor: 1.15, images: 1.1 },
  { name: 'five devices', devices: 5, seedMs: 26, acquaintedMs: 0, factor: 1.2, images: 1.2 },
  { name: 'ten devices', devices: 10, seedMs: 26, acquaintedMs: 0, factor: 1.25, images: 1.3 },
  { name: 'twenty devices', devices: 20, seedMs: 26, acquaintedMs: 0, factor: 1.35, images: 1.4 },
  {
    name: 'ten devices and a seed five times as fast',
    devices: 10,
    seedMs: 5.2,
    acquaintedMs: 0,
    factor: 1.3,
    images: 1.5,
  },
  {
    name: 'ten devices that need two seconds to meet',
    devices: 10,
    seedMs: 26,
    acquaintedMs: 2_000,
    factor: 1.25,
    images: 1.1,
  },
] as const

for (const { name, devices, seedMs, acquaintedMs, factor, images } of CELLS) {
  test(`${name}: done within ${factor} of the fluid limit, the seed sends at most ${images} images`, (t) => {
    for (const seed of ['a', 'b', 'c']) {
      const world = { devices, blocks: 256, deviceMs: 26, seedMs, acquaintedMs, seed }
      const { lastMs, seedImages } = simulate(world)
      const ratio = lastMs / limitMs(world)
      t.diagnostic(`${seed}: ${ratio.toFixed(3)} of the limit, ${seedImages.toFixed(2)} images`)
      assert.ok(ratio <= factor, `${ratio}`)
      assert.ok(seedImages <= images, `${seedImages}`)
    }
  })
}
