import { varint } from 'multiformats'
import { concat } from '../base/index.ts'
import { PATCH_MAX_STEPS } from './limits.ts'

/**
 * New content as steps over a window of an earlier image: `add` bytes of the window with differences, then `insert`
 * bytes that it does not have, then the place in the window moves by `seek`.
 *
 * As bytes: the number of steps; all `add`, all `insert`, all `seek` (zigzag), each an unsigned varint; the
 * differences (new less old, modulo 256: nearly all zero); the inserted bytes.
 */
export interface Step {
  readonly add: number
  readonly insert: number
  readonly seek: number
}

/** Undefined when there are so many that patches are not the way to tell it. */
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
  const differences: Uint8Array[] = []
  const inserted: Uint8Array[] = []
  let at = 0
  let place = 0
  for (const { add, insert, seek } of steps) {
    const first = place
    differences.push(
      plain.slice(at, at + add).map((byte, index) => byte - byteOf(window, first + index)),
    )
    inserted.push(plain.subarray(at + add, at + add + insert))
    at += add + insert
    place += add + seek
  }
  return concat([encodeNumbers(numbers), ...differences, ...inserted])
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

/** Of a step's numbers at most: three varints of up to four bytes each. */
const STEP_MAX_BYTES = 12
const COUNT_MAX_BYTES = 4

/** Steps and bytes that make so much plaintext are not longer than this. */
export function encodedMaxBytes(plainBytes: number): number {
  return plainBytes + COUNT_MAX_BYTES + PATCH_MAX_STEPS * STEP_MAX_BYTES
}

/** Steps that make exactly `plainBytes` and stay within their window. */
export interface ReadSteps {
  readonly steps: readonly Step[]
  /** What of the window they add to. */
  readonly from: number
  readonly to: number
  /** Differences and inserted bytes. */
  readonly content: Uint8Array
}

/** Undefined when they are none, or reach where they must not. */
export function readSteps(
  encoded: Uint8Array,
  plainBytes: number,
  windowBytes: number,
): ReadSteps | undefined {
  const read = varintReader(encoded)
  const count = read.next()
  if (count > PATCH_MAX_STEPS) return undefined
  const column = () => Array.from({ length: count }, read.next)
  const adds = column()
  const inserts = column()
  const seeks = column()
  const content = encoded.subarray(read.at)
  const steps: Step[] = []
  let place = 0
  let made = 0
  let from = windowBytes
  let to = 0
  for (const [index, add] of adds.entries()) {
    const insert = inserts[index] ?? 0
    const zigzag = seeks[index] ?? 0
    const seek = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
    made += add + insert
    // Numbers that could not be read are NaN, which nothing compares with.
    if (!(made <= plainBytes && place >= 0 && place + add <= windowBytes)) return undefined
    if (add > 0) {
      from = Math.min(from, place)
      to = Math.max(to, place + add)
    }
    place += add + seek
    steps.push({ add, insert, seek })
  }
  if (made !== plainBytes || content.byteLength !== plainBytes) return undefined
  return { steps, from: Math.min(from, to), to, content }
}

/** Every number is NaN from the first one on that is none. */
function varintReader(bytes: Uint8Array) {
  const reader = {
    at: 0,
    next(): number {
      try {
        const [number, length] = varint.decode(bytes, reader.at)
        reader.at += length
        return number
      } catch {
        // The library throws a RangeError at what is no varint, or is cut off.
        reader.at = bytes.byteLength
        return Number.NaN
      }
    },
  }
  return reader
}

/** `window` begins at `from`. */
export function takeSteps({ steps, from, content }: ReadSteps, window: Uint8Array): Uint8Array {
  const plain = Buffer.allocUnsafeSlow(content.byteLength)
  let inserted = steps.reduce((sum, { add }) => sum + add, 0)
  let difference = 0
  let at = 0
  let place = -from
  for (const { add, insert, seek } of steps) {
    addBytes(plain, at, window, place, content, difference, add)
    difference += add
    at += add
    plain.set(content.subarray(inserted, inserted + insert), at)
    inserted += insert
    at += insert
    place += add + seek
  }
  return plain
}

function addBytes(
  plain: Uint8Array,
  at: number,
  window: Uint8Array,
  place: number,
  differences: Uint8Array,
  first: number,
  count: number,
): void {
  for (let index = 0; index < count; index++) {
    plain[at + index] = byteOf(window, place + index) + byteOf(differences, first + index)
  }
}

/** The caller keeps within the data: a check for undefined at each byte costs a third. */
function byteOf(data: Uint8Array, at: number): number {
  return data[at] as number
}
