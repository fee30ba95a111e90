import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { test } from 'node:test'
import { MIB } from '../base/index.ts'
import { CHUNKS_IN_FLIGHT, PROFILE_64K, sealFile } from './index.ts'

const SECRET = new Uint8Array(32).fill(7)

test('memory stays bounded while 256 MiB are sealed', async (t) => {
  const pieceBytes = MIB
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16))
  let peak = 0
  let stored = 0
  let overlapping = 0
  const zeros = Buffer.alloc(pieceBytes)
  const source = (async function* () {
    for (let piece = 0; piece < 256; piece++) {
      yield cipher.update(zeros)
      await Promise.resolve()
    }
  })()
  const before = process.memoryUsage().rss
  const startedMs = performance.now()
  const sealed = await sealFile(
    source,
    async ({ bytes }) => {
      overlapping++
      assert.ok(overlapping <= CHUNKS_IN_FLIGHT)
      stored += bytes.byteLength
      peak = Math.max(peak, process.memoryUsage.rss())
      await new Promise((resume) => setImmediate(resume))
      overlapping--
    },
    { profile: PROFILE_64K, secret: SECRET, zstdLevel: 3 },
  )
  const seconds = (performance.now() - startedMs) / 1000
  t.diagnostic(
    `sealed ${(256 / seconds).toFixed(0)} MiB/s, RSS grew ${((peak - before) / MIB).toFixed(0)} MiB`,
  )
  assert.equal(sealed.sealedBytes, stored)
  // Less than the file: what grows with it would be above. Most of it is garbage that V8 lets lie.
  assert.ok(peak - before < 192 * MIB)
})
