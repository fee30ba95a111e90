import { setImmediate } from 'node:timers/promises'
import type { AbortOptions } from '../base/index.ts'
import type { Step } from './steps.ts'

/**
 * Which parts of a window come again in new content, with some bytes changed: programs that were built again differ
 * in addresses, all by the same numbers. The search is that of bsdiff (C. Percival, Naive differences of executable
 * code, 2003), with chains of equal hashes in the place of a sorted list of suffixes.
 */

/** Bytes that have to be equal for a place to be looked at; fewer find places that are alike by chance. */
const SEED_BYTES = 6
const HASH_BITS = 18
/** Places with equal seeds that are compared, the last first; zeros have a million. */
const CHAIN_PLACES = 64
/** Matches are followed so far: what repeats itself would otherwise be compared again from each of its bytes on. */
const MATCH_MAX_BYTES = 1_024
/** Another place has to be better by so many bytes than the one that the last step leads on to. */
const BETTER_BY_BYTES = 8
/** After so many bytes others have their turn in the event loop: some milliseconds. */
const TURN_BYTES = 32_768

export async function findSteps(
  window: Uint8Array,
  plain: Uint8Array,
  { signal }: AbortOptions = {},
): Promise<readonly Step[]> {
  const places = createPlaces(window, plain)
  const steps: Step[] = []
  const inWindow = (at: number) => at >= 0 && at < window.byteLength
  /** Where the last step began in `plain` and in the window, and what leads from the one to the other. */
  let from = 0
  let place = 0
  let shift = 0
  let at = 0
  let length = 0
  let found = 0
  let turn = 0
  while (at < plain.byteLength) {
    if (at >= turn) {
      await setImmediate(undefined, signal === undefined ? {} : { signal })
      turn = at + TURN_BYTES
    }
    let kept = 0
    at += length
    for (let counted = at; at < plain.byteLength; at++) {
      length = places.find(at, at + shift)
      found = places.place
      for (; counted < at + length; counted++) {
        if (inWindow(counted + shift) && window[counted + shift] === plain[counted]) kept++
      }
      if ((length === kept && length > 0) || length > kept + BETTER_BY_BYTES) break
      if (inWindow(at + shift) && window[at + shift] === plain[at]) kept--
    }
    if (length === kept && at < plain.byteLength) continue
    const isLast = at >= plain.byteLength
    let forward = forwardFrom(from, place, at)
    let backward = isLast ? 0 : backwardFrom(at, found, from)
    const overlap = from + forward - (at - backward)
    if (overlap > 0) {
      const ours = splitOf(
        from + forward,
        place + forward,
        at - backward,
        found - backward,
        overlap,
      )
      forward += ours - overlap
      backward -= ours
    }
    steps.push({
      add: forward,
      insert: at - backward - (from + forward),
      seek: isLast ? 0 : found - backward - (place + forward),
    })
    from = at - backward
    place = found - backward
    shift = found - at
  }
  return steps

  /** How far from there on more than half of the bytes are equal. */
  function forwardFrom(start: number, startPlace: number, end: number): number {
    let equal = 0
    let best = 0
    let bestBytes = 0
    for (let index = 0; start + index < end && startPlace + index < window.byteLength; ) {
      if (window[startPlace + index] === plain[start + index]) equal++
      index++
      if (equal * 2 - index > best) {
        best = equal * 2 - index
        bestBytes = index
      }
    }
    return bestBytes
  }

  function backwardFrom(end: number, endPlace: number, least: number): number {
    let equal = 0
    let best = 0
    let bestBytes = 0
    for (let index = 1; end - index >= least && endPlace - index >= 0; index++) {
      if (window[endPlace - index] === plain[end - index]) equal++
      if (equal * 2 - index > best) {
        best = equal * 2 - index
        bestBytes = index
      }
    }
    return bestBytes
  }

  /** Two steps claim the same bytes: how many of them the first does better. */
  function splitOf(
    end: number,
    endPlace: number,
    start: number,
    startPlace: number,
    overlap: number,
  ): number {
    let score = 0
    let best = 0
    let bestBytes = 0
    for (let index = 0; index < overlap; index++) {
      if (plain[end - overlap + index] === window[endPlace - overlap + index]) score++
      if (plain[start + index] === window[startPlace + index]) score--
      if (score > best) {
        best = score
        bestBytes = index + 1
      }
    }
    return bestBytes
  }
}

function createPlaces(window: Uint8Array, plain: Uint8Array) {
  const last = new Int32Array(1 << HASH_BITS).fill(-1)
  const before = new Int32Array(window.byteLength)
  for (let at = 0; at + SEED_BYTES <= window.byteLength; at++) {
    const hash = seedHash(window, at)
    before[at] = last[hash] ?? -1
    last[hash] = at
  }
  const places = {
    /** Where the match begins that was found last. */
    place: 0,
    /** Length of the longest match of what begins at `at`; the place that is `hinted` wins among equals. */
    find(at: number, hinted: number): number {
      let best = 0
      if (hinted >= 0 && hinted < window.byteLength) {
        best = matchBytes(at, hinted)
        places.place = hinted
      }
      if (at + SEED_BYTES > plain.byteLength) return best
      let tried = 0
      let place = last[seedHash(plain, at)] ?? -1
      while (place >= 0 && tried++ < CHAIN_PLACES && best < MATCH_MAX_BYTES) {
        if (window[place + best] === plain[at + best]) {
          const bytes = matchBytes(at, place)
          if (bytes > best) {
            best = bytes
            places.place = place
          }
        }
        place = before[place] ?? -1
      }
      return best
    },
  }
  return places

  function matchBytes(at: number, place: number): number {
    const most = Math.min(MATCH_MAX_BYTES, plain.byteLength - at, window.byteLength - place)
    let bytes = 0
    while (bytes < most && window[place + bytes] === plain[at + bytes]) bytes++
    return bytes
  }
}

function seedHash(data: Uint8Array, at: number): number {
  const low = byteOf(data, at) | (byteOf(data, at + 1) << 8) | (byteOf(data, at + 2) << 16)
  const high = byteOf(data, at + 3) | (byteOf(data, at + 4) << 8) | (byteOf(data, at + 5) << 16)
  return (Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b)) >>> (32 - HASH_BITS)
}

/** The caller keeps within the data: a check for undefined at each byte costs a third. */
function byteOf(data: Uint8Array, at: number): number {
  return data[at] as number
}
