import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Random } from '../base/index.ts'
import { createMemoryRecords } from '../testing/memory-records.ts'
import { runTrial, type TrialReport } from './receipt-trial.ts'

const INCIDENTS_PER_WORLD = 500
/** IOEX_SHAPE=full: ten times as many. IOEX_SEED=N: that world alone. */
const WORLDS = process.env['IOEX_SHAPE'] === 'full' ? 200 : 20
const MIB = 1024 * 1024

/** mulberry32 */
function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return (word ^ (word >>> 14)) >>> 0
  }
  return {
    int: (below) => Math.floor((next() / 2 ** 32) * below),
    bytes: (length) => Uint8Array.from({ length }, () => next() & 255),
  }
}

const total = (reports: readonly TrialReport[], what: (one: TrialReport) => number) =>
  reports.reduce((sum, one) => sum + what(one), 0)

test(`over ${WORLDS * INCIDENTS_PER_WORLD} crashes, power cuts and partitions no server loses more than one window to any of them, and no device signs for a byte that it did not verify and store`, async (t) => {
  const only = process.env['IOEX_SEED']
  const seeds = only === undefined ? Array.from({ length: WORLDS }, (_, at) => at) : [Number(only)]
  const reports: TrialReport[] = []
  for (const seed of seeds) {
    try {
      reports.push(
        await runTrial(
          { random: seeded(seed), newRecords: createMemoryRecords },
          INCIDENTS_PER_WORLD,
        ),
      )
    } catch (thrown) {
      assert.fail(new Error(`again with IOEX_SEED=${seed}`, { cause: thrown }))
    }
  }
  const incidents = total(reports, (one) => one.incidents)
  const receiptedMiB = Math.round(total(reports, (one) => one.receiptedBytes) / MIB)
  const lostMiB = Math.round(total(reports, (one) => one.lostBytes) / MIB)
  const receipts = total(reports, (one) => one.receipts)
  t.diagnostic(
    `${incidents} incidents, ${receipts} receipts, ${receiptedMiB} MiB paid, ${lostMiB} MiB lost`,
  )
  assert.equal(incidents, seeds.length * INCIDENTS_PER_WORLD)
  // Were any of these zero, the trial would have shown nothing.
  for (const { widestWindow, blocked, receiptedBytes, lostBytes } of reports) {
    assert.ok(widestWindow >= MIB && blocked > 0 && lostBytes > 0)
    assert.ok(receiptedBytes > 100 * MIB)
  }
})
