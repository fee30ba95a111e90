import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { asError, MIB, systemClock } from '../base/index.ts'
import { createRig, grantFor, makeTree } from '../testing/exchange-rig.ts'
import { seededRandom } from '../testing/index.ts'
import { createTrialFiles } from './trial-files.ts'

const CUTS = 12
/** One durable batch: what has been verified and no barrier has covered yet. */
const BATCH_BYTES = MIB
/** And what is on the wire at that moment, as with a kill. */
const ON_THE_WIRE_BYTES = MIB
/** Flash of a cheap device: a barrier takes some milliseconds. */
const MAX_BARRIER_MS = 12

const rig = await createRig()
after(() => rig.stop())

test('a power cut in a download takes at most one durable batch, and nothing that was told', {
  timeout: 120_000,
}, async (t) => {
  const tree = makeTree(256)
  const seed = await rig.seed(tree, { link: { bytesPerSecond: 16 * MIB, delayMs: 2 } })
  const random = seededRandom(process.env['IOEX_SEED'] ?? 'power cuts 1')
  const first = await rig.node({ serve: false, acceptPins: false })
  const { identity, folder } = first
  await first.stop()
  const restarted = { serve: false, acceptPins: false, identity, folder }
  const costs: number[] = []
  let inVainBefore = 0
  const share = Math.floor(tree.blocks.length / (CUTS + 1))
  for (let cut = 1; cut <= CUTS; cut++) {
    const point = cut * share - random.int(share >> 1)
    const files = createTrialFiles(join(folder, `graveyard-${cut}`))
    files.before = async (operation) => {
      if (operation === 'datasync') await systemClock.sleep(random.int(MAX_BARRIER_MS + 1))
    }
    const device = await rig.node({ ...restarted, files })
    let told = 0
    let cutting: Promise<void> | undefined
    await assert.rejects(
      device.exchange.fetchAndPin({
        root: tree.root,
        sources: [seed.source],
        grant: grantFor(device, tree, { maxBytes: BigInt(4 * tree.bytes) }),
        owner: { owner: 'install' },
        giveUpAfterMs: 5_000,
        onBlock: ({ blocks }) => {
          if (cutting === undefined) told = blocks
          if (blocks >= point) cutting ??= files.powerCut(random)
        },
      }),
    )
    await cutting
    // Without power nothing can be stopped in order; its files are closed all the same.
    await device.stop().catch((thrown: unknown) => t.diagnostic(asError(thrown).message))

    const survivor = await rig.node(restarted)
    let kept = 0
    let keptBytes = 0
    for (const { cid, bytes } of tree.blocks) {
      const here = await survivor.storage.blocks.get(cid)
      if (here === undefined) continue
      assert.deepEqual(here, bytes)
      kept++
      keptBytes += bytes.byteLength
    }
    await survivor.stop()
    assert.ok(kept >= told, `${told} blocks were told as durable, ${kept} are there`)
    const inVain = seed.exchange.served().bytes - keptBytes
    costs.push(inVain - inVainBefore)
    inVainBefore = inVain
  }
  const last = await rig.node(restarted)
  const report = await last.exchange.fetchAndPin({
    root: tree.root,
    sources: [seed.source],
    grant: grantFor(last, tree, { maxBytes: BigInt(4 * tree.bytes) }),
    owner: { owner: 'install' },
  })
  assert.equal(report.reusedBlocks + report.fetchedBlocks, tree.blocks.length)
  for (const { cid, bytes } of tree.blocks) {
    assert.deepEqual(await last.storage.blocks.get(cid), bytes)
  }
  const mib = costs.map((bytes) => (bytes / MIB).toFixed(2))
  t.diagnostic(`sent in vain at each cut: ${mib.join(', ')} MiB`)
  assert.ok(Math.max(...costs) <= BATCH_BYTES + ON_THE_WIRE_BYTES, mib.join(', '))
})
