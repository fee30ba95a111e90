import { varint } from 'multiformats'
import { concat } from '../base/index.ts'
import { PATCH_MAX_STEPS } from './limits.ts'

/**
 * New content as steps over a window of an earlier image: `add` bytes as they are in the window, then `insert`
 * bytes that it does not have, then the place in the window moves by `seek`. What the steps make is alike, not equal:
 * the changes follow.
 *
 * As bytes: the number of steps; all `add`, all `insert`, all `seek` (zigzag); the inserted bytes; then for each run
 * of changed bytes how many stay as they are before it, its length, and what is added to each, modulo 256. All
 * numbers are unsigned varints.
 */
export interface Step {
  readonly add: number
  readonly insert: number
  readonly seek: number
}

/** Undefined when steps are not the way to tell it. */
export function encodeSteps(
  steps: readonly Step[],
  window: Uint8Array,
  plain: Uint8Array,
): Uint8Array | undefined {
  if (steps.length > PATCH_MAX_STEPS) return undefined
  const numbers = [
    steps.length,
    ...steps.map(({ add }) => add),
    ...steps.map(({ insert }) => insert),
    ...steps.map(({ seek }) => (seek < 0 ? -2 * seek - 1 : 2 * seek)),
  ]
  const inserted: Uint8Array[] = []
  let at = 0
  for (const { add, insert } of steps) {
    inserted.push(plain.subarray(at + add, at + add + insert))
    at += add + insert
  }
  const insertedBytes = concat(inserted)
  const alike = copied(steps, 0, window, insertedBytes, plain.byteLength)
  const changes = changesOf(alike, plain)
  const encoded = concat([encodeNumbers(numbers), insertedBytes, changes])
  return encoded.byteLength <= encodedMaxBytes(plain.byteLength) ? encoded : undefined
}

function encodeNumbers(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.reduce((sum, one) => sum + varint.encodingLength(one), 0))
  let at = 0
  for (const number of numbers) {
    varint.encodeTo(number, bytes, at)
    at += varint.encodingLength(number)
  }
  return bytes
}

function changesOf(alike: Uint8Array, plain: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  let done = 0
  for (let at = 0; at < plain.byteLength; ) {
    if (alike[at] === plain[at]) {
      at++
      continue
    }
    const from = at
    while (at < plain.byteLength && alike[at] !== plain[at]) at++
    parts.push(encodeNumbers([from - done, at - from]))
    parts.push(plain.slice(from, at).map((byte, index) => byte - byteOf(alike, from + index)))
    done = at
  }
  return concat(parts)
}

/** Of a step's numbers at most: three varints of up to four bytes each. */
const STEP_MAX_BYTES = 12
const COUNT_MAX_BYTES = 4

/** Steps that make so much plaintext are not longer than this: others are of no use. */
export function encodedMaxBytes(plainBytes: number): number {
  return plainBytes + COUNT_MAX_BYTES + PATCH_MAX_STEPS * STEP_MAX_BYTES
}

/** Steps that make exactly `plainBytes` and stay within their window. */
export interface ReadSteps {
  readonly steps: readonly Step[]
  readonly plainBytes: number
  /** What of the window they copy. */
  readonly from: number
  readonly to: number
  readonly inserted: Uint8Array
  readonly changes: Uint8Array
}

/** Undefined when they are none, or reach where they must not. */
export function readSteps(
  encoded: Uint8Array,
  plainBytes: number,
  windowBytes: number,
): ReadSteps | undefined {
  const cursor = { at: 0 }
  const count = nextNumber(encoded, cursor)
  if (count > PATCH_MAX_STEPS) return undefined
  const column = () => Array.from({ length: count }, () => nextNumber(encoded, cursor))
  const adds = column()
  const inserts = column()
  const seeks = column()
  const steps: Step[] = []
  let place = 0
  let made = 0
  let insertedBytes = 0
  let from = windowBytes
  let to = 0
  for (const [index, add] of adds.entries()) {
    const insert = inserts[index] ?? 0
    const zigzag = seeks[index] ?? 0
    const seek = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
    made += add + insert
    insertedBytes += insert
    // Numbers that could not be read are NaN, which nothing compares with.
    if (!(made <= plainBytes && place >= 0 && place + add <= windowBytes)) return undefined
    if (add > 0) {
      from = Math.min(from, place)
      to = Math.max(to, place + add)
    }
    place += add + seek
    steps.push({ add, insert, seek })
  }
  const changesAt = cursor.at + insertedBytes
  if (made !== plainBytes || changesAt > encoded.byteLength) return undefined
  return {
    steps,
    plainBytes,
    from: Math.min(from, to),
    to,
    inserted: encoded.subarray(cursor.at, changesAt),
    changes: encoded.subarray(changesAt),
  }
}

/** `window` begins at `from`. Undefined when changes lie behind the end. */
export function takeSteps(read: ReadSteps, window: Uint8Array): Uint8Array | undefined {
  const plain = copied(read.steps, read.from, window, read.inserted, read.plainBytes)
  return change(plain, read.changes) ? plain : undefined
}

function copied(
  steps: readonly Step[],
  from: number,
  window: Uint8Array,
  inserted: Uint8Array,
  plainBytes: number,
): Uint8Array {
  const plain = new Uint8Array(Buffer.allocUnsafeSlow(plainBytes).buffer)
  let at = 0
  let place = -from
  let done = 0
  for (const { add, insert, seek } of steps) {
    plain.set(window.subarray(place, place + add), at)
    at += add
    plain.set(inserted.subarray(done, done + insert), at)
    done += insert
    at += insert
    place += add + seek
  }
  return plain
}

/** False when they lie behind the end, or are cut off. */
function change(plain: Uint8Array, changes: Uint8Array): boolean {
  const cursor = { at: 0 }
  let place = 0
  while (cursor.at < changes.byteLength) {
    place += nextNumber(changes, cursor)
    const length = nextNumber(changes, cursor)
    const isThere = place + length <= plain.byteLength && cursor.at + length <= changes.byteLength
    if (!isThere) return false
    for (let index = 0; index < length; index++) {
      plain[place + index] = byteOf(plain, place + index) + byteOf(changes, cursor.at + index)
    }
    place += length
    cursor.at += length
  }
  return true
}

/**
 * NaN where there is none, or one of more than four bytes. By hand, as programs have tens of thousands of them in
 * one patch and the library makes an array for each.
 */
function nextNumber(bytes: Uint8Array, cursor: { at: number }): number {
  let number = 0
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = bytes[cursor.at++]
    if (byte === undefined) return Number.NaN
    number |= (byte & 0x7f) << shift
    if (byte < 0x80) return number
  }
  return Number.NaN
}

/** The caller keeps within the data: a check for undefined at each byte costs a third. */
function byteOf(data: Uint8Array, at: number): number {
  return data[at] as number
}
