import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grantId } from '../receipts/index.ts'
import { createRig, grantFor, makeTree } from '../testing/exchange-rig.ts'

test('a device fetches a tree from four seeds, and the receipts are what it fetched', async () => {
  const rig = await createRig()
  try {
    const tree = makeTree(100)
    const seeds = await Promise.all([1, 2, 3, 4].map(() => rig.seed(tree)))
    const device = await rig.node({ serve: false, acceptPins: false })
    const grant = grantFor(device, tree)
    const report = await device.exchange.fetchAndPin({
      root: tree.root,
      sources: seeds.map((seed) => seed.source),
      grant,
      owner: { owner: 'install' },
      giveUpAfterMs: 5_000,
    })
    const pin = await device.storage.pins.get(tree.root)
    assert.equal(pin?.bytes, tree.bytes)
    const paid = seeds.map((seed) => Number(seed.serverBook.receiptedBytes(grantId(grant.message))))
    assert.equal(
      paid.reduce((a, b) => a + b),
      report.fetchedBytes,
    )
    assert.ok(report.fetchedBytes >= tree.bytes)
    assert.equal(Number(device.deviceBook.grantBytes(grantId(grant.message))), report.fetchedBytes)
  } finally {
    await rig.stop()
  }
})
