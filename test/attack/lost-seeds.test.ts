import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { MIB } from '@ioex/node/base'
import { seededRandom } from '@ioex/node/testing'
import { createLab, isSmall, type SeedProcess, treeOf, treeTask } from './lab.ts'

const RUNS = 7
const MIB_FETCHED = 16
/** Verified blocks may be so far apart, whatever happens to seeds: the line of the issue. */
const MAX_GAP_MS = 2_000

const lab = await createLab()
after(() => lab.stop())

test(`the fastest seed is killed at ${3 * RUNS} random points, until one is left: the download goes on`, {
  timeout: 240_000,
}, async (t) => {
  const task = treeTask('lost seeds', MIB_FETCHED)
  const tree = treeOf(task)
  const random = seededRandom(process.env['IOEX_SEED'] ?? 'lost seeds 1')
  const rates = [10, 6, 6, 6].map((rate) => rate * MIB)
  const seeds = await Promise.all(
    rates.map((maxUploadBytesPerSecond) => lab.seed(task, { maxUploadBytesPerSecond })),
  )
  const gaps: number[] = []
  for (let run = 0; run < (isSmall ? RUNS : 2 * RUNS); run++) {
    // A seed has to have sent something before it is the fastest.
    const points = Array.from({ length: 3 }, () => 12 + random.int(tree.blocks.length - 24))
    points.sort((a, b) => a - b)
    const killed: Promise<void>[] = []
    const alive = new Set(seeds)
    const before = new Map<SeedProcess, number>()
    const fetched = await lab.fetch(tree, seeds, {
      onBlock(blocks, report) {
        if (blocks < (points[0] ?? Number.POSITIVE_INFINITY)) return
        points.shift()
        const sent = (seed: SeedProcess) =>
          report.sources.find(({ peerId }) => peerId === seed.peerId)?.blocks ?? 0
        const since = (seed: SeedProcess) => sent(seed) - (before.get(seed) ?? 0)
        const [fastest] = [...alive].toSorted((a, b) => since(b) - since(a))
        if (fastest === undefined) return
        for (const seed of alive) before.set(seed, sent(seed))
        alive.delete(fastest)
        killed.push(fastest.kill())
      },
    })
    await Promise.all(killed)
    assert.equal(killed.length, 3)
    assert.ok(fetched.report.fetchedBytes <= 1.2 * tree.bytes, `${fetched.report.fetchedBytes}`)
    await lab.checkDisk(fetched, tree)
    gaps.push(fetched.longestGapMs)
    await Promise.all(seeds.filter((seed) => !alive.has(seed)).map((seed) => seed.restart()))
  }
  t.diagnostic(`longest gap of each run: ${gaps.map((ms) => ms.toFixed(0)).join(', ')} ms`)
  assert.ok(Math.max(...gaps) <= MAX_GAP_MS, `no block for ${Math.max(...gaps)} ms`)
})
