/**
 * Who is asked for what, and when. No clock, no stream, no promise: events go in with the time they happened
 * at, `plan` says which requests and cancellations are due, so that tests run it under a simulated clock.
 *
 * Two kinds of peers. A *keeper* has all of it; a *fellow* fetches it as we do, and says what it has. While
 * there are fellows, a block that any of them has is asked of a fellow, the rarest first, and what none has is
 * offered to the keepers, each a part of it, which send of that what they have sent least often (spread.ts). So
 * keepers send each block about once, however many fellows there are. Fellows on the local network come before
 * others wherever it is all the same otherwise.
 *
 * A peer's window starts small, grows by one with each block while answers come without queueing, and shrinks
 * when they queue: about its bandwidth times its delay. A block is asked of one peer. It is asked of a second
 * one when the first has made no progress for longer than its own pace explains, or when nothing else is left
 * to ask and the second would be done well before the first (the end of a download). A peer whose bytes come
 * is not stalled, however long a block takes: that may be the line of this device, and what is asked twice
 * over it takes twice as long.
 */
import { MAX_HOLDS_PER_FELLOW } from './limits.ts'
import { type Key, type Prefix, prefixOf } from './protocol.ts'
import {
  isHeldBy,
  type Peer,
  type PeerKind,
  type SchedulerState,
  setFree,
  setTaken,
  type Want,
  withdraw,
} from './scheduler-state.ts'

export { plan } from './schedule-plan.ts'
export { createSchedulerState, type SchedulerState } from './scheduler-state.ts'

/** How much a new sample weighs in a running mean. */
const SAMPLE_WEIGHT = 0.2
/** A smaller block, a root or a node, is as quick over a thin line as over a wide one. */
const TELLING_BYTES = 8 * 1024

export type Arrival = 'wanted' | 'duplicate' | 'unasked'

export function want(state: SchedulerState, key: Key, nowMs: number, isAny = false): void {
  if (state.wants.has(key)) return
  if (state.wants.size === 0) state.arrivedAtMs = nowMs
  const added: Want = {
    key,
    number: state.wanted++,
    sinceMs: nowMs,
    holders: new Set(),
    isAny,
    fellows: 0,
    heldSinceMs: nowMs,
  }
  state.wants.set(key, added)
  state.byPrefix.set(prefixOf(key), added)
  for (const peer of state.peers.values()) if (isHeldBy(peer, key)) added.fellows++
  setFree(state, added)
}

/** Nobody wants it any longer, or it has come. What was asked of peers is cancelled by the next plan. */
export function unwant(state: SchedulerState, key: Key): void {
  const old = state.wants.get(key)
  if (old === undefined) return
  state.wants.delete(key)
  state.byPrefix.delete(prefixOf(key))
  setTaken(state, old)
  for (const holder of old.holders) if (holder.asked.has(key)) holder.cancelDue.push(key)
  for (const peer of state.peers.values()) {
    peer.missing.delete(key)
    withdraw(peer, key)
  }
}

export function join(
  state: SchedulerState,
  id: string,
  nowMs: number,
  kind: PeerKind = 'keeper',
): void {
  const { firstFellowWindowBlocks, firstWindowBlocks } = state.limits
  state.peers.set(id, {
    id,
    kind,
    isNear: false,
    holds: new Set(),
    useful: new Set(),
    offered: new Set(),
    withdrawn: new Set(),
    asked: new Map(),
    cancelDue: [],
    missing: new Map(),
    window: kind === 'fellow' ? firstFellowWindowBlocks : firstWindowBlocks,
    minDelayMs: Number.POSITIVE_INFINITY,
    paceMs: undefined,
    progressMs: nowMs,
    partialBytes: 0,
    movedMs: Number.NEGATIVE_INFINITY,
    moveGapMs: 0,
    stalled: false,
  })
  if (kind === 'fellow') state.fellows++
}

/**
 * Others may be fetching the same, and are being looked for. Whoever asked for blocks by name meanwhile would get
 * those that all ask for, and have nothing to swap when they meet.
 */
export function expectFellows(state: SchedulerState, untilMs: number): void {
  state.fellowsDueMs = Math.max(state.fellowsDueMs, untilMs)
}

/** It is on the local network: most of its line is not for others. */
export function near(state: SchedulerState, id: string): void {
  const peer = state.peers.get(id)
  if (peer?.kind !== 'fellow' || peer.isNear) return
  peer.isNear = true
  peer.window = Math.max(peer.window, state.limits.firstWindowBlocks)
}

export function leave(state: SchedulerState, id: string): void {
  const peer = state.peers.get(id)
  if (peer === undefined) return
  state.peers.delete(id)
  if (peer.kind === 'fellow') {
    state.fellows--
    for (const wanted of state.wants.values()) if (isHeldBy(peer, wanted.key)) wanted.fellows--
  }
  for (const key of peer.asked.keys()) release(state, peer, key)
  // What it held was wanted before what is free by now.
  const inOrder = [...state.free].sort((a, b) => a.number - b.number)
  state.free.clear()
  for (const wanted of inOrder) state.free.add(wanted)
}

/** What a fellow has by now; no prefixes: everything. */
export function holds(
  state: SchedulerState,
  id: string,
  prefixes: readonly Prefix[],
  nowMs: number,
): void {
  const peer = state.peers.get(id)
  if (peer?.kind !== 'fellow' || peer.holds === 'all') return
  if (prefixes.length === 0) {
    const before = peer.holds
    peer.holds = 'all'
    peer.useful.clear()
    for (const wanted of state.wants.values()) {
      if (!before.has(prefixOf(wanted.key))) noteHeld(state, wanted, nowMs)
    }
    return
  }
  for (const prefix of prefixes) {
    if (peer.holds.has(prefix) || peer.holds.size >= MAX_HOLDS_PER_FELLOW) continue
    peer.holds.add(prefix)
    const wanted = state.byPrefix.get(prefix)
    if (wanted === undefined) continue
    noteHeld(state, wanted, nowMs)
    if (state.free.has(wanted)) peer.useful.add(wanted)
  }
}

function noteHeld(state: SchedulerState, wanted: Want, nowMs: number): void {
  if (wanted.fellows++ > 0) return
  wanted.heldSinceMs = nowMs
  for (const keeper of state.peers.values()) withdraw(keeper, wanted.key)
}

/** A verified block; `unasked` is a breach of the protocol. */
export function arrived(
  state: SchedulerState,
  id: string,
  key: Key,
  bytes: number,
  nowMs: number,
): Arrival {
  const peer = state.peers.get(id)
  if (peer === undefined) return 'unasked'
  const asked = peer.asked.get(key)
  if (asked !== undefined) {
    const wasFull = peer.asked.size >= peer.window
    peer.asked.delete(key)
    measureDelay(state, peer, asked.atMs, nowMs, wasFull)
    measurePace(peer, asked.atMs, nowMs, bytes)
  } else {
    if (!peer.offered.delete(key) && !peer.withdrawn.delete(key)) return 'unasked'
    measurePace(peer, peer.progressMs, nowMs, bytes)
  }
  state.arrivedAtMs = nowMs
  state.meanBlockBytes += SAMPLE_WEIGHT * (bytes - state.meanBlockBytes)
  const isWanted = state.wants.has(key)
  unwant(state, key)
  return isWanted ? 'wanted' : 'duplicate'
}

/** False when it was not asked for that: a breach of the protocol. */
export function notHere(
  state: SchedulerState,
  id: string,
  key: Key,
  nowMs: number,
  againAtMs: number,
): boolean {
  const peer = state.peers.get(id)
  const asked = peer?.asked.get(key)
  if (peer === undefined) return false
  if (asked === undefined) {
    if (!peer.offered.delete(key) && !peer.withdrawn.delete(key)) return false
    peer.missing.set(key, againAtMs)
    return true
  }
  peer.asked.delete(key)
  peer.progressMs = nowMs
  peer.stalled = false
  if (state.wants.has(key) && !asked.cancelled) peer.missing.set(key, againAtMs)
  release(state, peer, key)
  return true
}

/** The peer has stored a block since it said that it was not here. */
export function have(state: SchedulerState, id: string, key: Key): void {
  state.peers.get(id)?.missing.delete(key)
}

/** True when what has come of a block that is not whole yet shows progress, at any peer. */
export function moved(
  state: SchedulerState,
  parts: Iterable<readonly [string, { readonly partialBytes: number }]>,
  nowMs: number,
): boolean {
  let hasMoved = false
  for (const [id, { partialBytes }] of parts) {
    const peer = state.peers.get(id)
    if (peer === undefined || partialBytes === peer.partialBytes) continue
    peer.partialBytes = partialBytes
    if (partialBytes === 0 || peer.asked.size + peer.offered.size === 0) continue
    const gapMs = nowMs - Math.max(peer.movedMs, peer.progressMs)
    peer.moveGapMs += SAMPLE_WEIGHT * (gapMs - peer.moveGapMs)
    peer.movedMs = nowMs
    hasMoved = true
  }
  return hasMoved
}

/** Peers that owe an answer for longer than they can explain. */
export function stalledPeers(state: SchedulerState, kind?: PeerKind): readonly string[] {
  return [...state.peers.values()]
    .filter((peer) => peer.stalled && (kind === undefined || peer.kind === kind))
    .map((peer) => peer.id)
}

/** Is anything asked that has not been answered yet by a peer that is not stalled? */
export function owesAnswers(state: SchedulerState): boolean {
  return state.peers.values().some((peer) => !peer.stalled && peer.asked.size > 0)
}

/** Since when the oldest want that nobody is working on waits; undefined when there is none. */
export function oldestFreeMs(state: SchedulerState): number | undefined {
  const [first] = state.free
  return first?.sinceMs
}

function measurePace(peer: Peer, askedMs: number, nowMs: number, bytes: number): void {
  const sinceMs = Math.max(0.1, nowMs - Math.max(peer.progressMs, askedMs))
  if (bytes >= TELLING_BYTES) {
    peer.paceMs =
      peer.paceMs === undefined ? sinceMs : peer.paceMs + SAMPLE_WEIGHT * (sinceMs - peer.paceMs)
  }
  peer.progressMs = nowMs
  peer.stalled = false
}

function measureDelay(
  state: SchedulerState,
  peer: Peer,
  askedMs: number,
  nowMs: number,
  wasFull: boolean,
): void {
  const { queueTargetMs, minWindowBlocks, maxWindowBytes } = state.limits
  const delayMs = nowMs - askedMs
  peer.minDelayMs = Math.min(peer.minDelayMs, delayMs)
  const queuedMs = delayMs - peer.minDelayMs
  const maxWindow = Math.max(minWindowBlocks, Math.floor(maxWindowBytes / state.meanBlockBytes))
  if (wasFull && queuedMs < queueTargetMs) peer.window = Math.min(maxWindow, peer.window + 1)
  else if (queuedMs > 2 * queueTargetMs) peer.window = Math.max(minWindowBlocks, peer.window - 1)
}

/** The peer no longer works on it. */
function release(state: SchedulerState, peer: Peer, key: Key): void {
  const wanted = state.wants.get(key)
  if (wanted === undefined) return
  wanted.holders.delete(peer)
  if (wanted.holders.size === 0) setFree(state, wanted)
}
