/** What the scheduler knows: plain data, its limits, and the steps that keep its parts in line. */
import { type Key, type Prefix, prefixOf } from './protocol.ts'

export interface SchedulerLimits {
  readonly firstWindowBlocks: number
  /** Of a fellow: most of its line goes to others. */
  readonly firstFellowWindowBlocks: number
  /** Offered to one keeper at once. */
  readonly maxOffered: number
  /** Offers are filled up this often. */
  readonly offerEveryMs: number
  /** What a fellow has, and has not sent for so long, is offered to keepers as well. */
  readonly fellowPatienceMs: number
  /** Without a block for so long, and with nothing asked, a device among fellows asks keepers by name. */
  readonly hungryAfterMs: number
  /** Blocks compared to find a rare one. */
  readonly maxComparedWants: number
  readonly minWindowBlocks: number
  readonly maxWindowBytes: number
  /** Answers may wait at the peer for so long before its window shrinks. */
  readonly queueTargetMs: number
  /** Without progress for so long a peer whose pace is not known yet counts as stalled. */
  readonly firstLateMs: number
  readonly minLateMs: number
  /** Of a fellow, whose line is shared by many, and of a keeper that may send what it likes. */
  readonly fellowLateMs: number
  readonly offerLateMs: number
  readonly maxLateMs: number
  /** A second peer is not asked earlier than this after the first. */
  readonly minHedgeMs: number
  /** Blocks asked of a second peer only because it is faster; each may come twice. */
  readonly maxHedges: number
  /** Wants in asking order that are looked at for a peer with room, so that one plan is bounded. */
  readonly maxScannedWants: number
}

const SCHEDULER_LIMITS: SchedulerLimits = {
  firstWindowBlocks: 8,
  firstFellowWindowBlocks: 5,
  maxOffered: 512,
  offerEveryMs: 40,
  fellowPatienceMs: 2_500,
  hungryAfterMs: 400,
  maxComparedWants: 48,
  minWindowBlocks: 2,
  maxWindowBytes: 4 * 1024 * 1024,
  queueTargetMs: 150,
  firstLateMs: 1_200,
  minLateMs: 600,
  fellowLateMs: 1_500,
  offerLateMs: 8_000,
  maxLateMs: 30_000,
  minHedgeMs: 250,
  maxHedges: 4,
  maxScannedWants: 1_024,
}

/** What a block has on average before one has been seen. */
const EXPECTED_BLOCK_BYTES = 64 * 1024

export type PeerKind = 'keeper' | 'fellow'

export interface Peer {
  readonly id: string
  readonly kind: PeerKind
  /** A fellow on the local network: asked before others, who then are asked for what it does not have. */
  isNear: boolean
  /** Of a fellow. */
  holds: 'all' | Set<Prefix>
  /** Of a fellow that has not got all: what it holds and nobody is asked for. */
  readonly useful: Set<Want>
  /** Of a keeper: what it may send in any order. */
  readonly offered: Set<Key>
  /** Offered and taken back: may still be on its way. */
  readonly withdrawn: Set<Key>
  /** In the order of asking, which is the order of answers. */
  readonly asked: Map<Key, { readonly atMs: number; cancelled: boolean }>
  /** Asked, and no longer wanted: to be told by the next plan. */
  cancelDue: Key[]
  /** What it does not have, and when it may be asked again. */
  readonly missing: Map<Key, number>
  window: number
  minDelayMs: number
  /** Mean time between answers while something is asked; undefined until two have come. */
  paceMs: number | undefined
  progressMs: number
  /** What has come of the next block, when that changed, and how long that takes as a rule. */
  partialBytes: number
  movedMs: number
  moveGapMs: number
  stalled: boolean
}

export interface Want {
  readonly key: Key
  readonly number: number
  readonly sinceMs: number
  readonly holders: Set<Peer>
  /** It may come in any order, so it can be offered; others are asked for at once, in the order of wanting. */
  readonly isAny: boolean
  /** Fellows that have it. */
  fellows: number
  /** When the first fellow said so. */
  heldSinceMs: number
}

/** Plain data; only the functions of scheduler.ts and schedule-plan.ts change it. */
export interface SchedulerState {
  readonly limits: SchedulerLimits
  readonly chance: () => number
  readonly peers: Map<string, Peer>
  /** In the order of wanting. */
  readonly wants: Map<Key, Want>
  /** Wants that no peer holds, in the order of wanting as far as possible. */
  readonly free: Set<Want>
  /** What fellows said to have, by the prefix they said it with. */
  readonly byPrefix: Map<Prefix, Want>
  fellows: number
  /** Until then fellows may still be on their way, and keepers choose as if they were here. */
  fellowsDueMs: number
  offeredAtMs: number
  /** When the last block came, or the first one was wanted. */
  arrivedAtMs: number
  wanted: number
  meanBlockBytes: number
}

export interface Plan {
  readonly requests: readonly { readonly peer: string; readonly keys: readonly Key[] }[]
  readonly offers: readonly { readonly peer: string; readonly keys: readonly Key[] }[]
  readonly cancels: readonly { readonly peer: string; readonly keys: readonly Key[] }[]
}

/** `chance` gives numbers from 0 up to 1. */
export function createSchedulerState(
  chance: () => number,
  limits: SchedulerLimits = SCHEDULER_LIMITS,
): SchedulerState {
  return {
    limits,
    chance,
    peers: new Map(),
    wants: new Map(),
    free: new Set(),
    byPrefix: new Map(),
    fellows: 0,
    fellowsDueMs: Number.NEGATIVE_INFINITY,
    offeredAtMs: Number.NEGATIVE_INFINITY,
    arrivedAtMs: Number.POSITIVE_INFINITY,
    wanted: 0,
    meanBlockBytes: EXPECTED_BLOCK_BYTES,
  }
}

export function isHeldBy(peer: Peer, key: Key): boolean {
  return peer.kind === 'fellow' && (peer.holds === 'all' || peer.holds.has(prefixOf(key)))
}

export function setFree(state: SchedulerState, wanted: Want): void {
  state.free.add(wanted)
  if (wanted.fellows === 0) return
  for (const peer of state.peers.values()) {
    if (peer.holds !== 'all' && isHeldBy(peer, wanted.key)) peer.useful.add(wanted)
  }
}

export function setTaken(state: SchedulerState, wanted: Want): void {
  state.free.delete(wanted)
  if (wanted.fellows === 0) return
  for (const peer of state.peers.values()) peer.useful.delete(wanted)
}

/** What it may have sent already is remembered, so that it is not taken for unasked. */
export function withdraw(peer: Peer, key: Key): void {
  if (!peer.offered.delete(key)) return
  peer.withdrawn.add(key)
  peer.cancelDue.push(key)
}
