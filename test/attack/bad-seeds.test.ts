import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MIB } from '@ioex/node/base'
import type { Wire } from '@ioex/node/exchange'
import { createLab, type Fetched, type SeedProcess, treeOf, treeTask } from './lab.ts'
import { flipped, type Misbehaviour } from './misbehaviour.ts'

const MAX_GAP_MS = 2_000
/** Three honest seeds: 16 MiB take about a second, so a fault falls into the middle of the download. */
const HONEST_BYTES_PER_SECOND = 6 * MIB

const lab = await createLab()
after(() => lab.stop())

const task = treeTask('bad seeds', 16)
const tree = treeOf(task)
const honest = await Promise.all(
  Array.from({ length: 3 }, () =>
    lab.seed(task, { maxUploadBytesPerSecond: HONEST_BYTES_PER_SECOND }),
  ),
)

/**
 * What comes over plain HTTP anybody on the way can have changed: where there is another wire, one bad block
 * costs HTTP to that peer, and the next one, over the other, the peer.
 */
const WIRES: readonly (readonly Wire[])[] = [['libp2p'], ['http'], ['http', 'libp2p']]

/** Fetches from three honest seeds and one that is not, and holds what holds for every fault. */
async function fetchBeside(
  bad: SeedProcess,
  wires: readonly Wire[],
  note: (text: string) => void,
): Promise<Fetched> {
  const fetched = await lab.fetch(tree, [bad, ...honest], { wires })
  const { longestGapMs, report, ms } = fetched
  const outcome = fetched.of(bad)
  note(
    `${ms.toFixed(0)} ms, longest gap ${longestGapMs.toFixed(0)} ms, ${outcome?.outcome} after ${outcome?.blocks} blocks`,
  )
  assert.ok(longestGapMs <= MAX_GAP_MS, `no block for ${longestGapMs} ms`)
  assert.equal(report.reusedBlocks, 0)
  assert.ok(report.fetchedBytes <= 1.2 * tree.bytes)
  return fetched
}

async function isOnDisk(home: string, part: Uint8Array): Promise<boolean> {
  const folder = join(home, 'storage', 'blocks')
  const segments = (await readdir(folder)).filter((name) => name.endsWith('.seg'))
  for (const name of segments) {
    if ((await readFile(join(folder, name))).includes(part)) return true
  }
  return false
}

test('a seed that flips a bit is banned at its first bad block, which never gets to the disk', {
  timeout: 60_000,
}, async (t) => {
  for (const [wires, honestBlocks] of [
    [['libp2p'], 0],
    [['libp2p'], 5],
    [['http'], 5],
    [['http', 'libp2p'], 0],
  ] as const) {
    const liar = await lab.seed(task, { misbehaviour: { kind: 'flips', honestBlocks } })
    const fetched = await fetchBeside(liar, wires, (text) => t.diagnostic(text))
    const outcome = fetched.of(liar)
    assert.equal(outcome?.outcome, 'banned')
    assert.equal(outcome?.blocks, honestBlocks, 'blocks after the first bad one were taken')
    const { badAnswers, streams } = await liar.figures()
    assert.ok(badAnswers >= 1)
    assert.equal(streams, wires.length, 'a wire was used again after a bad block')
    for (const { bytes } of tree.blocks) {
      if (bytes.byteLength < 60_000) continue
      const bad = flipped(bytes).subarray((bytes.byteLength >> 1) - 8, (bytes.byteLength >> 1) + 9)
      assert.equal(await isOnDisk(fetched.home, bad), false)
      break
    }
    // Another release, another session: it is not asked again.
    await lab.fetch(tree, [liar, ...honest], { device: fetched.device })
    assert.equal((await liar.figures()).streams, wires.length)
    await lab.checkDisk(fetched, tree)
    await liar.kill()
  }
})

const CASES: readonly {
  readonly name: string
  readonly misbehaviour: Misbehaviour
  readonly outcomes: RegExp
}[] = [
  { name: 'sends one block for another', misbehaviour: { kind: 'swaps' }, outcomes: /^banned$/ },
  { name: 'sends junk for ever', misbehaviour: { kind: 'junk' }, outcomes: /^banned$/ },
  {
    name: 'sends blocks that nobody asked for',
    misbehaviour: { kind: 'pushes' },
    outcomes: /^banned$/,
  },
  {
    name: 'opens and then says nothing',
    misbehaviour: { kind: 'stalls' },
    outcomes: /^(used|lost)$/,
  },
  {
    name: 'takes the stream and does not open it',
    misbehaviour: { kind: 'mute' },
    outcomes: /^(unused|unreachable|lost)$/,
  },
  {
    name: 'promises blocks for ever',
    misbehaviour: { kind: 'promises' },
    outcomes: /^(used|banned|lost)$/,
  },
  {
    name: 'says for ever that it is busy',
    misbehaviour: { kind: 'busy' },
    outcomes: /^(used|banned|lost)$/,
  },
]
for (const { name, misbehaviour, outcomes } of CASES) {
  test(`a seed that ${name} costs no stall of two seconds`, { timeout: 60_000 }, async (t) => {
    for (const wires of WIRES) await beside(wires, (text) => t.diagnostic(text))
  })
  async function beside(wires: readonly Wire[], note: (text: string) => void): Promise<void> {
    const bad = await lab.seed(task, { misbehaviour })
    try {
      const fetched = await fetchBeside(bad, wires, (text) => note(`${wires.join()}: ${text}`))
      const outcome = fetched.of(bad)
      // With the second wire still to be tried the download may be over before.
      if (wires.length === 1) assert.match(outcome?.outcome ?? '', outcomes)
      assert.equal(outcome?.blocks, 0)
      await lab.checkDisk(fetched, tree)
    } finally {
      await bad.kill()
    }
  }
}

test('a seed that answers with 20 KB/s is used and not waited for', {
  timeout: 60_000,
}, async (t) => {
  const slow = await lab.seed(task, { maxUploadBytesPerSecond: 20_000 })
  const fetched = await fetchBeside(slow, ['http', 'libp2p'], (text) => t.diagnostic(text))
  await lab.checkDisk(fetched, tree)
  await slow.kill()
})
