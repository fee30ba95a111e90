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
  const plain = new Uint8Array(Buffer.allocUnsafeSlow(content.byteLength).buffer)
  const words = wordsOf(content)
  let inserted = steps.reduce((sum, { add }) => sum + add, 0)
  let difference = 0
  let at = 0
  let place = -from
  for (const { add, insert, seek } of steps) {
    if (add < BY_WORDS_FROM_BYTES) addBytes({ plain, window, content }, at, place, difference, add)
    else addByWords({ plain, window, content, words }, at, place, difference, add)
    difference += add
    at += add
    for (let end = at + insert; at < end; at++) plain[at] = byteOf(content, inserted++)
    place += add + seek
  }
  return plain
}

const WORD_BYTES = 4
/** Shorter steps are added byte by byte: there is nothing to gain. */
const BY_WORDS_FROM_BYTES = 128

/** The whole words within; they begin where memory is aligned. */
function wordsOf(content: Uint8Array): Int32Array {
  const from = alignedFrom(content)
  const count = (content.byteLength - from) >> 2
  if (count <= 0) return new Int32Array(new ArrayBuffer(0))
  return new Int32Array(content.buffer, content.byteOffset + from, count)
}

function alignedFrom({ byteOffset }: Uint8Array): number {
  return -byteOffset & (WORD_BYTES - 1)
}

interface Adding {
  readonly plain: Uint8Array
  readonly window: Uint8Array
  readonly content: Uint8Array
}

/** Nearly all differences are zero: the window is copied, and they are looked at by words. */
function addByWords(
  from: Adding & { readonly words: Int32Array },
  at: number,
  place: number,
  difference: number,
  count: number,
): void {
  const { plain, window, content, words } = from
  plain.set(window.subarray(place, place + count), at)
  const aligned = alignedFrom(content)
  const first = Math.ceil((difference - aligned) / WORD_BYTES)
  const end = Math.floor((difference + count - aligned) / WORD_BYTES)
  addBytes(from, at, place, difference, first * WORD_BYTES + aligned - difference)
  for (let word = nextChange(words, first, end); word < end; ) {
    const skipped = word * WORD_BYTES + aligned - difference
    addBytes(from, at + skipped, place + skipped, difference + skipped, WORD_BYTES)
    word = nextChange(words, word + 1, end)
  }
  const done = end * WORD_BYTES + aligned - difference
  addBytes(from, at + done, place + done, difference + done, count - done)
}

/** The next word from there on that is not zero, or `end`. */
function nextChange(words: Int32Array, from: number, end: number): number {
  let word = from
  // Four at once; without a function for one of them, as it takes a while until V8 puts it in its place.
  while (
    word + 4 <= end &&
    ((words[word] as number) |
      (words[word + 1] as number) |
      (words[word + 2] as number) |
      (words[word + 3] as number)) ===
      0
  ) {
    word += 4
  }
  while (word < end && words[word] === 0) word++
  return word
}

function addBytes(
  { plain, window, content }: Adding,
  at: number,
  place: number,
  difference: number,
  count: number,
): void {
  for (let index = 0; index < count; index++) {
    plain[at + index] = (window[place + index] as number) + (content[difference + index] as number)
  }
}

/** The caller keeps within the data: a check for undefined at each byte costs a third. */
function byteOf(data: Uint8Array, at: number): number {
  return data[at] as number
}
