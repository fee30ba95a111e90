import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { concat, KIB } from '../base/index.ts'
import { noise } from '../testing/memory-blocks.ts'
import { findSteps } from './find-steps.ts'
import { encodeSteps, readSteps, takeSteps } from './steps.ts'

async function encodedOf(window: Uint8Array, plain: Uint8Array): Promise<Uint8Array> {
  const encoded = encodeSteps(await findSteps(window, plain), window, plain)
  assert.ok(encoded !== undefined)
  return encoded
}

async function mustComeBack(window: Uint8Array, plain: Uint8Array): Promise<Uint8Array> {
  const encoded = await encodedOf(window, plain)
  const read = readSteps(encoded, plain.byteLength, window.byteLength)
  assert.ok(read !== undefined)
  const made = takeSteps(read, window.subarray(read.from, read.to))
  assert.ok(made !== undefined)
  assert.ok(Buffer.from(made).equals(plain))
  return encoded
}

/** The same numbers for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('steps over a window', () => {
  test('make what they were found for, whatever it is', async () => {
    const below = numbers(7)
    for (let round = 0; round < 200; round++) {
      const letters = round % 3 === 0 ? 3 : 256
      const window = new Uint8Array(below(2_000)).map(() => below(letters))
      const parts: Uint8Array[] = []
      for (let part = below(8); part > 0; part--) {
        const from = below(window.byteLength + 1)
        const copied = window.slice(from, from + below(500))
        parts.push(copied.map((byte) => (below(20) === 0 ? byte + below(5) : byte)))
        parts.push(new Uint8Array(below(50)).map(() => below(256)))
      }
      await mustComeBack(window, concat(parts))
    }
  })

  test('of what has moved apart and changed by single bytes are a fraction of it', async () => {
    const window = noise(128 * KIB, 1)
    const next = concat([window.subarray(60 * KIB), noise(300, 2), window.subarray(0, 60 * KIB)])
    for (let at = 500; at < next.byteLength; at += 1_000) next[at] = (next[at] ?? 0) + 4
    const encoded = await mustComeBack(window, next)
    assert.ok(encoded.byteLength < 1_500, `${encoded.byteLength} bytes`)
  })

  test('are found where bytes repeat without end', async () => {
    const window = new Uint8Array(512 * KIB)
    const next = new Uint8Array(512 * KIB)
    for (let at = 0; at < next.byteLength; at += 5_000) next[at] = 1
    for (let at = 0; at < next.byteLength; at += 7_000) window[at] = 1
    const encoded = await mustComeBack(window, next)
    assert.ok(encoded.byteLength < 4_000, `${encoded.byteLength} bytes`)
  })

  test('that are very many are not told', () => {
    const window = new Uint8Array(20 * KIB)
    const many = Array.from({ length: 16_385 }, () => ({ add: 1, insert: 0, seek: 0 }))
    assert.equal(encodeSteps(many, window, window.subarray(0, 16_385)), undefined)
  })
})
