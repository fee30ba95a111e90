/** The scheduler's decisions; its story and what happens to peers and wants stand in scheduler.ts. */
import type { Key } from './protocol.ts'
import {
  isHeldBy,
  type Peer,
  type Plan,
  type SchedulerState,
  setTaken,
  type Want,
  withdraw,
} from './scheduler-state.ts'

/** A peer is late when a block takes so many times its pace. */
const LATE_TIMES = 4
/** A block of 64 KiB at 1 Mbit/s. */
const THIN_PACE_MS = 500

/** Decides, and notes in the state that what it says is done. */
export function plan(state: SchedulerState, nowMs: number): Plan {
  const requests = new Map<string, Key[]>()
  const ask = (peer: Peer, wanted: Want) => {
    if (peer.asked.size === 0 && peer.offered.size === 0) peer.progressMs = nowMs
    peer.asked.set(wanted.key, { atMs: nowMs, cancelled: false })
    wanted.holders.add(peer)
    setTaken(state, wanted)
    const keys = requests.get(peer.id)
    if (keys === undefined) requests.set(peer.id, [wanted.key])
    else keys.push(wanted.key)
  }
  noticeStalls(state, nowMs)
  const able = [...state.peers.values()]
    .filter((peer) => !peer.stalled && hasRoom(peer))
    .sort((a, b) => Number(b.isNear) - Number(a.isNear))
  const isSwarm = state.fellows > 0 || nowMs < state.fellowsDueMs
  if (isSwarm) for (const peer of able) askFellow(state, peer, nowMs, ask)
  const offers = isSwarm ? collectOffers(state, nowMs) : []
  let scanned = 0
  // Whoever gets nothing in any order asks for a few blocks by name: keepers hold back what they sent just now.
  const hungry = isHungry(state, nowMs)
  let anyAllowed = isSwarm ? (hungry ? state.limits.firstWindowBlocks : 0) : Infinity
  for (const wanted of state.free) {
    if (!able.some(hasRoom) || scanned++ >= state.limits.maxScannedWants) break
    if (wanted.isAny && anyAllowed <= 0) continue
    // Fellows were expected and did not come: what is on its way in any order is not asked for again.
    if (!hungry && isOffered(state, wanted)) continue
    const peer = quickest(able, wanted, nowMs)
    if (peer === undefined) continue
    ask(peer, wanted)
    if (wanted.isAny) anyAllowed--
  }
  if (able.some(hasRoom)) {
    for (const [peer, wanted] of hedges(state, able, nowMs)) ask(peer, wanted)
  }
  return {
    requests: [...requests].map(([peer, keys]) => ({ peer, keys })),
    offers,
    cancels: collectCancels(state),
  }
}

/** Nothing has come for a while, not even a part of a block, and nobody owes anything by name. */
function isHungry(state: SchedulerState, nowMs: number): boolean {
  if (nowMs - state.arrivedAtMs < state.limits.hungryAfterMs) return false
  return !state.peers
    .values()
    .some((peer) => !peer.stalled && (peer.asked.size > 0 || isMoving(state, peer, nowMs)))
}

function isOffered(state: SchedulerState, { key }: Want): boolean {
  return state.peers.values().some(({ stalled, offered }) => !stalled && offered.has(key))
}

/**
 * The rarest of what it has, and of that first what nobody near has; among equals any, so that fellows get
 * different blocks and have some to swap.
 */
function askFellow(
  state: SchedulerState,
  peer: Peer,
  nowMs: number,
  ask: (peer: Peer, wanted: Want) => void,
): void {
  const candidates = peer.holds === 'all' ? state.free : peer.useful
  const near = peer.isNear ? [] : [...state.peers.values()].filter(isNearAndWell)
  const rankOf = ({ key, fellows }: Want) =>
    2 * fellows + (near.some((each) => isHeldBy(each, key)) ? 1 : 0)
  while (peer.kind === 'fellow' && hasRoom(peer)) {
    let best: Want | undefined
    let bestRank = Number.POSITIVE_INFINITY
    let alike = 0
    let compared = 0
    for (const wanted of candidates) {
      if (compared++ >= state.limits.maxComparedWants) break
      if ((peer.missing.get(wanted.key) ?? 0) > nowMs) continue
      const rank = rankOf(wanted)
      if (rank < bestRank) {
        best = wanted
        bestRank = rank
        alike = 1
      } else if (rank === bestRank && state.chance() * ++alike < 1) best = wanted
    }
    if (best === undefined) return
    ask(peer, best)
  }
}

function isNearAndWell({ isNear, stalled }: Peer): boolean {
  return isNear && !stalled
}

/** Each keeper that works gets a part of its own of what no fellow has, or has but does not send. */
function collectOffers(state: SchedulerState, nowMs: number): Plan['offers'] {
  if (nowMs - state.offeredAtMs < state.limits.offerEveryMs) return []
  state.offeredAtMs = nowMs
  const keepers = [...state.peers.values()]
    .filter(({ kind, stalled }) => kind === 'keeper' && !stalled)
    .sort((a, b) => (a.id < b.id ? -1 : 1))
  if (keepers.length === 0) return []
  const fresh = keepers.map((): Key[] => [])
  for (const wanted of state.free) {
    const { key, isAny, fellows, heldSinceMs } = wanted
    if (!isAny) continue
    if (fellows > 0 && nowMs - heldSinceMs < state.limits.fellowPatienceMs) continue
    const at = Number.parseInt(key.slice(-4), 16) % keepers.length
    const keeper = keepers[at] as Peer
    if (keeper.offered.has(key) || (keeper.missing.get(key) ?? 0) > nowMs) continue
    fresh[at]?.push(key)
  }
  const offers: { peer: string; keys: Key[] }[] = []
  keepers.forEach((keeper, at) => {
    // As long as no fellow is here it is a window like any other, and may turn out to be one of a thin line.
    const most = state.fellows > 0 ? state.limits.maxOffered : keeper.window
    const room = most - keeper.offered.size
    const keys = sample(fresh[at] ?? [], room, state.chance)
    if (keys.length === 0) return
    if (keeper.asked.size === 0 && keeper.offered.size === 0) keeper.progressMs = nowMs
    for (const key of keys) {
      keeper.offered.add(key)
      keeper.withdrawn.delete(key)
    }
    offers.push({ peer: keeper.id, keys })
  })
  return offers
}

/** So many of them, in any order: several who choose from the same shall not choose the same. */
function sample(keys: Key[], count: number, chance: () => number): Key[] {
  const size = Math.min(Math.max(0, count), keys.length)
  for (let at = 0; at < size; at++) {
    const other = at + Math.floor(chance() * (keys.length - at))
    const swapped = keys[at] as Key
    keys[at] = keys[other] as Key
    keys[other] = swapped
  }
  return keys.slice(0, size)
}

function hasRoom(peer: Peer): boolean {
  return peer.asked.size < peer.window
}

/** When the peer would be done with one more, from now. */
function doneInMs(peer: Peer): number {
  const delayMs = Number.isFinite(peer.minDelayMs) ? peer.minDelayMs : 0
  return delayMs + (peer.asked.size + 1) * (peer.paceMs ?? 1)
}

function quickest(peers: readonly Peer[], wanted: Want, nowMs: number): Peer | undefined {
  let best: Peer | undefined
  for (const peer of peers) {
    if (!hasRoom(peer) || peer.asked.has(wanted.key)) continue
    if (peer.kind === 'fellow' && !isHeldBy(peer, wanted.key)) continue
    if ((peer.missing.get(wanted.key) ?? 0) > nowMs) continue
    if (best === undefined || doneInMs(peer) < doneInMs(best)) best = peer
  }
  return best
}

/** Second requests: first what stalled peers owe, then, when nothing is left to ask, what slow ones do. */
function* hedges(
  state: SchedulerState,
  able: readonly Peer[],
  nowMs: number,
): Generator<[Peer, Want]> {
  let scanned = 0
  for (const wanted of state.wants.values()) {
    if (!able.some(hasRoom) || scanned++ >= state.limits.maxScannedWants) return
    if (wanted.holders.size === 0 || wanted.holders.values().some(({ stalled }) => !stalled))
      continue
    const peer = quickest(able, wanted, nowMs)
    if (peer === undefined) continue
    // When a whole line is silent, all that others are asked for comes twice after that.
    const isQuick = peer.paceMs !== undefined && peer.paceMs < THIN_PACE_MS
    if (isQuick || peer.asked.size === 0) yield [peer, wanted]
  }
  let room = state.limits.maxHedges - countHedges(state)
  if (state.free.size > 0 || room <= 0) return
  // The last ones first: those are not on their way yet, and so can be taken back.
  for (const wanted of [...state.wants.values()].reverse()) {
    if (room <= 0 || !able.some(hasRoom)) return
    const [holder, ...others] = wanted.holders
    if (holder === undefined || others.length > 0) continue
    const peer = quickest(able, wanted, nowMs)
    if (peer === undefined || !isWorthIt(state, holder, peer, wanted.key, nowMs)) continue
    room--
    yield [peer, wanted]
  }
}

/** Blocks that two peers are sending. */
function countHedges(state: SchedulerState): number {
  let count = 0
  for (const peer of state.peers.values()) {
    if (peer.stalled) continue
    for (const key of peer.asked.keys()) {
      const holders = state.wants.get(key)?.holders
      if (holders !== undefined && holders.size > 1) count++
    }
  }
  return count / 2
}

function isWorthIt(
  state: SchedulerState,
  holder: Peer,
  other: Peer,
  key: Key,
  nowMs: number,
): boolean {
  const asked = holder.asked.get(key)
  if (asked === undefined || nowMs - asked.atMs < state.limits.minHedgeMs) return false
  const silentMs = nowMs - holder.progressMs
  const isLate = silentMs > lateMsOf(state, holder, nowMs)
  if (other.paceMs === undefined) {
    // Is it quicker? One block shows it, and costs a block if it is not.
    return isLate && other.asked.size === 0 && !isTrying(state)
  }
  const paceMs = isLate ? silentMs : holder.paceMs
  if (paceMs === undefined) return false
  let ahead = 0
  for (const each of holder.asked.keys()) {
    ahead++
    if (each === key) break
  }
  const leftMs = ahead * paceMs - silentMs
  return Math.max(leftMs, paceMs) > 2 * doneInMs(other) + state.limits.minHedgeMs
}

/** Is a peer of which nothing has come yet sending what another one sends as well? */
function isTrying(state: SchedulerState): boolean {
  return state.peers
    .values()
    .some(
      ({ paceMs, stalled, asked }) =>
        paceMs === undefined &&
        !stalled &&
        asked.keys().some((key) => (state.wants.get(key)?.holders.size ?? 0) > 1),
    )
}

/** Without progress for longer it cannot be explained. */
function lateMsOf(state: SchedulerState, peer: Peer, nowMs: number): number {
  const { firstLateMs, minLateMs, maxLateMs, fellowLateMs } = state.limits
  const { kind, paceMs } = peer
  const shortestMs = Math.min(
    maxLateMs,
    Math.max(kind === 'fellow' ? fellowLateMs : minLateMs, 2 * pulseMs(state, peer, nowMs)),
  )
  if (paceMs === undefined) return Math.max(firstLateMs, shortestMs)
  // A line over which nothing comes at all explains no silence, and what is asked twice costs it little.
  const isIdle =
    peer.movedMs > 0 && !state.peers.values().some((each) => isMoving(state, each, nowMs))
  if (isIdle) return Math.max(firstLateMs, LATE_TIMES * peer.moveGapMs)
  return Math.min(maxLateMs, Math.max(shortestMs, LATE_TIMES * paceMs))
}

/** How long the quickest of the others takes for a block; long for all of them when the line of this device is thin. */
function pulseMs(state: SchedulerState, peer: Peer, nowMs: number): number {
  let quickestMs = Number.POSITIVE_INFINITY
  for (const other of state.peers.values()) {
    if (other === peer || other.stalled || other.asked.size === 0) continue
    if (other.paceMs === undefined && !isMoving(state, other, nowMs)) continue
    quickestMs = Math.min(quickestMs, other.paceMs ?? nowMs - other.progressMs)
  }
  return Number.isFinite(quickestMs) ? quickestMs : 0
}

/** Bytes of a block keep coming: slow perhaps, but not stalled. */
function isMoving({ limits }: SchedulerState, peer: Peer, nowMs: number): boolean {
  const quietMs = Math.max(limits.minLateMs, LATE_TIMES * peer.moveGapMs)
  return nowMs - peer.movedMs <= Math.min(limits.maxLateMs, quietMs)
}

function noticeStalls(state: SchedulerState, nowMs: number): void {
  const { offerLateMs, maxLateMs } = state.limits
  for (const peer of state.peers.values()) {
    const owes = peer.asked.values().some((asked) => !asked.cancelled)
    const moves = isMoving(state, peer, nowMs)
    const lateMs = moves ? maxLateMs : lateMsOf(state, peer, nowMs)
    if (moves) peer.stalled = false
    else if (owes && nowMs - peer.progressMs > lateMs) peer.stalled = true
    // It may wait for fellows to pass on what it sent; only silence for long means something.
    const isOfferLate = nowMs - peer.progressMs > Math.max(offerLateMs, lateMs)
    if (peer.offered.size > 0 && isOfferLate && !moves) {
      peer.stalled = true
      for (const key of [...peer.offered]) withdraw(peer, key)
    }
    // Whoever owes nothing cannot show that it is alive: it gets another chance.
    const owesNothing = peer.asked.size === 0 && peer.offered.size === 0
    if (peer.stalled && owesNothing && nowMs - peer.progressMs > 2 * offerLateMs) {
      peer.stalled = false
      peer.progressMs = nowMs
    }
  }
}

function collectCancels(state: SchedulerState): Plan['cancels'] {
  const cancels: { peer: string; keys: Key[] }[] = []
  for (const peer of state.peers.values()) {
    const keys: Key[] = []
    for (const key of peer.cancelDue) {
      const asked = peer.asked.get(key)
      if (asked === undefined) {
        if (peer.withdrawn.has(key)) keys.push(key)
        continue
      }
      if (asked.cancelled || state.wants.has(key)) continue
      asked.cancelled = true
      keys.push(key)
    }
    peer.cancelDue = []
    if (keys.length > 0) cancels.push({ peer: peer.id, keys })
  }
  return cancels
}
