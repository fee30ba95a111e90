import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { MIB } from '../base/index.ts'
import { createFindCut } from './cut.ts'
import { gearTable } from './gear.ts'
import { PROFILE_64K } from './index.ts'
import { noise } from '../testing/memory-blocks.ts'

function cuts(data: Uint8Array, boundarySecret?: Uint8Array): number[] {
  const findCut = createFindCut(PROFILE_64K, boundarySecret)
  const ends: number[] = []
  for (let at = 0; at < data.byteLength; ) {
    at += findCut(data, at, data.byteLength)
    ends.push(at)
  }
  return ends
}

/** The same rule with whole numbers and one loop: slow, and easy to check against the paper. */
function plainCuts(data: Uint8Array): number[] {
  const gear = Array.from(gearTable(), (word) => BigInt.asUintN(32, BigInt(word)))
  const { minBytes, averageBytes, maxBytes } = PROFILE_64K
  const ends: number[] = []
  for (let start = 0; start < data.byteLength; ) {
    let hash = 0n
    let length = Math.min(maxBytes, data.byteLength - start)
    for (let at = minBytes - 32; at < length; at++) {
      hash = BigInt.asUintN(32, 2n * hash + (gear[data[start + at] ?? 0] ?? 0n))
      const highBits = at < averageBytes ? 18n : 14n
      if (at >= minBytes && hash >> (32n - highBits) === 0n) length = at + 1
    }
    start += length
    ends.push(start)
  }
  return ends
}

/** Of HKDF and AES-256-CTR as gear.ts says; computed once and never again. */
const FIRST_WORDS = [2008703105, -1246628437, 1185348578, 235572283]
const ENDS_DIGEST = '93d503c7c58882d5d68c9a7a016fcc78d0e0bec7bfb61692ce08e470f0e880b6'

describe('cutting by content', () => {
  test('follows the rule of normalised chunking', () => {
    const data = noise(3 * MIB, 1)
    assert.deepEqual(cuts(data), plainCuts(data))
  })

  test('gives chunks near the average, few of the largest and none beyond the limits', () => {
    const ends = cuts(noise(32 * MIB, 2))
    const lengths = ends.map((end, index) => end - (ends[index - 1] ?? 0)).slice(0, -1)
    const average = lengths.reduce((sum, length) => sum + length, 0) / lengths.length
    assert.ok(average > 48 * 1024 && average < 96 * 1024, `average ${average}`)
    assert.ok(Math.min(...lengths) > PROFILE_64K.minBytes)
    const largest = lengths.filter((length) => length === PROFILE_64K.maxBytes).length
    assert.ok(largest < lengths.length / 20, `${largest} of ${lengths.length}`)
  })

  test('finds the old cuts again after an insertion', () => {
    const data = noise(8 * MIB, 3)
    const at = 3 * MIB + 17
    const inserted = Buffer.concat([data.subarray(0, at), noise(1000, 4), data.subarray(at)])
    const moved = new Set(cuts(inserted).map((end) => (end > at ? end - 1000 : end)))
    const lost = cuts(data).filter((end) => !moved.has(end))
    assert.ok(lost.length <= 4, `${lost.length} cuts were lost`)
  })

  test('never changes, as old releases would then have nothing in common with new ones', () => {
    const words = gearTable()
    assert.deepEqual([...words.subarray(0, 4)], FIRST_WORDS)
    const keyed = gearTable(new Uint8Array(32).fill(1))
    assert.notDeepEqual(keyed, words)
    const ends = createHash('sha256')
      .update(cuts(noise(4 * MIB, 5)).join())
      .digest('hex')
    assert.equal(ends, ENDS_DIGEST)
  })

  test('is fast enough to be no bottleneck', (t) => {
    const data = noise(64 * MIB, 6)
    cuts(data.subarray(0, 8 * MIB))
    const { user } = process.cpuUsage()
    cuts(data)
    const mibPerSecond = 64e6 / (process.cpuUsage().user - user)
    t.diagnostic(`${mibPerSecond.toFixed(0)} MiB per second of one core`)
    assert.ok(mibPerSecond > 50)
  })
})
