import { systemRandom } from '../base/index.ts'
import { DIGEST_BYTES } from './digest.ts'

const SHARDS = 256
const FIRST_CAPACITY = 8
const GROWTH = 1.5
const MAX_LOAD = 0.8
const TWO_TO_32 = 2 ** 32

/**
 * A map from digests to a few 32-bit words and a one-byte mark, without an object per entry. Open addressing
 * with linear probing in 256 shards by the first byte, each of which grows by half on its own, so that no
 * insertion ever rehashes everything. An entry costs (34 + 4 x words) / 0.53..0.8 bytes: 58 to 86 bytes for
 * the block index (three words), whatever the block's size. Probing starts at a keyed position, so that
 * nobody can grind digests that collide here.
 */
export interface DigestTable {
  readonly size: number
  has(digest: Uint8Array): boolean
  /** A view of the entry's words, valid until the next change of the table. */
  words(digest: Uint8Array): Uint32Array | undefined
  /** Adds or replaces. */
  set(digest: Uint8Array, words: readonly number[], mark: number): void
  /** Sets the mark of an entry; false when there is none. */
  mark(digest: Uint8Array, mark: number): boolean
  markOf(digest: Uint8Array): number | undefined
  delete(digest: Uint8Array): boolean
  /** Visits one of the shards (0 to 255) in no particular order. The views are valid during the call only. */
  visit(shard: number, entry: (digest: Uint8Array, words: Uint32Array, mark: number) => void): void
}

export const TABLE_SHARDS = SHARDS

interface Shard {
  count: number
  capacity: number
  digests: Uint8Array
  values: Uint32Array
  /** 0: free; otherwise the mark plus one. */
  marks: Uint16Array
}

export function createDigestTable(wordsPerEntry: number): DigestTable {
  const shards: (Shard | undefined)[] = new Array<undefined>(SHARDS).fill(undefined)
  const keys = new Uint32Array(new Uint8Array(systemRandom.bytes(8)).buffer)
  const [keyA = 1, keyB = 1] = keys
  let size = 0

  const empty = (capacity: number): Shard => ({
    count: 0,
    capacity,
    digests: new Uint8Array(capacity * DIGEST_BYTES),
    values: new Uint32Array(capacity * wordsPerEntry),
    marks: new Uint16Array(capacity),
  })
  const word = (bytes: Uint8Array, at: number) =>
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  const home = (bytes: Uint8Array, at: number, capacity: number) => {
    let mixed = Math.imul(word(bytes, at + 1) ^ keyA, 0x85ebca6b) ^ (word(bytes, at + 5) + keyB)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35)
    mixed ^= mixed >>> 16
    return Math.floor(((mixed >>> 0) / TWO_TO_32) * capacity)
  }
  const equals = (shard: Shard, slot: number, digest: Uint8Array) => {
    const from = slot * DIGEST_BYTES
    for (let at = 0; at < DIGEST_BYTES; at++)
      if (shard.digests[from + at] !== digest[at]) return false
    return true
  }
  /** The slot of the digest, or -1 - the free slot where it would go. */
  const find = (shard: Shard, digest: Uint8Array) => {
    let slot = home(digest, 0, shard.capacity)
    while (shard.marks[slot] !== 0) {
      if (equals(shard, slot, digest)) return slot
      slot = slot + 1 === shard.capacity ? 0 : slot + 1
    }
    return -1 - slot
  }
  const copySlot = (from: Shard, slot: number, to: Shard, target: number) => {
    to.digests.set(
      from.digests.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES),
      target * DIGEST_BYTES,
    )
    to.values.set(
      from.values.subarray(slot * wordsPerEntry, (slot + 1) * wordsPerEntry),
      target * wordsPerEntry,
    )
    to.marks[target] = from.marks[slot] as number
  }
  const grown = (shard: Shard) => {
    const larger = empty(Math.ceil(shard.capacity * GROWTH))
    larger.count = shard.count
    for (let slot = 0; slot < shard.capacity; slot++) {
      if (shard.marks[slot] === 0) continue
      const digest = shard.digests.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES)
      copySlot(shard, slot, larger, -1 - find(larger, digest))
    }
    return larger
  }
  const shardOf = (digest: Uint8Array) => shards[digest[0] as number]
  const slotOf = (digest: Uint8Array): [Shard, number] | undefined => {
    const shard = shardOf(digest)
    if (shard === undefined) return undefined
    const slot = find(shard, digest)
    return slot < 0 ? undefined : [shard, slot]
  }
  /** Closes the gap, so that no probe stops early (Knuth, TAOCP 6.4, algorithm R). */
  const free = (shard: Shard, freed: number) => {
    let gap = freed
    let slot = freed
    for (;;) {
      slot = slot + 1 === shard.capacity ? 0 : slot + 1
      if (shard.marks[slot] === 0) break
      const wanted = home(shard.digests, slot * DIGEST_BYTES, shard.capacity)
      const between = gap <= slot ? gap < wanted && wanted <= slot : gap < wanted || wanted <= slot
      if (between) continue
      copySlot(shard, slot, shard, gap)
      gap = slot
    }
    shard.marks[gap] = 0
  }

  return {
    get size() {
      return size
    },
    has: (digest) => slotOf(digest) !== undefined,
    words(digest) {
      const found = slotOf(digest)
      if (found === undefined) return undefined
      const [shard, slot] = found
      return shard.values.subarray(slot * wordsPerEntry, (slot + 1) * wordsPerEntry)
    },
    set(digest, words, mark) {
      const number = digest[0] as number
      let shard = shards[number]
      if (shard === undefined) {
        shard = empty(FIRST_CAPACITY)
        shards[number] = shard
      }
      let slot = find(shard, digest)
      if (slot < 0) {
        if (shard.count + 1 > shard.capacity * MAX_LOAD) {
          shard = grown(shard)
          shards[number] = shard
          slot = find(shard, digest)
        }
        slot = -1 - slot
        shard.digests.set(digest, slot * DIGEST_BYTES)
        shard.count++
        size++
      }
      shard.values.set(words, slot * wordsPerEntry)
      shard.marks[slot] = mark + 1
    },
    mark(digest, mark) {
      const found = slotOf(digest)
      if (found === undefined) return false
      found[0].marks[found[1]] = mark + 1
      return true
    },
    markOf(digest) {
      const found = slotOf(digest)
      return found === undefined ? undefined : (found[0].marks[found[1]] as number) - 1
    },
    delete(digest) {
      const found = slotOf(digest)
      if (found === undefined) return false
      free(found[0], found[1])
      found[0].count--
      size--
      return true
    },
    visit(number, entry) {
      const shard = shards[number]
      if (shard === undefined) return
      for (let slot = 0; slot < shard.capacity; slot++) {
        const mark = shard.marks[slot] as number
        if (mark === 0) continue
        entry(
          shard.digests.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES),
          shard.values.subarray(slot * wordsPerEntry, (slot + 1) * wordsPerEntry),
          mark - 1,
        )
      }
    },
  }
}
