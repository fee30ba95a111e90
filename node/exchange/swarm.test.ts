import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { MIB } from '../base/index.ts'
import type { Lan } from '../network/index.ts'
import {
  createRig,
  grantFor,
  makeTree,
  type RigNode,
  trust,
  type Tree,
} from '../testing/exchange-rig.ts'
import type { FetchReport } from './index.ts'

type Rig = Awaited<ReturnType<typeof createRig>>

async function withRig(run: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await createRig()
  try {
    await run(rig)
  } finally {
    await rig.stop()
  }
}

/** As a device does it: the nodes first, then everything else in any order. */
async function download(
  node: RigNode,
  tree: Tree,
  sources: readonly RigNode[],
): Promise<FetchReport> {
  const pin = await node.storage.pins.open(tree.root)
  const session = node.exchange.openSession({
    root: tree.root,
    sources: sources.map(({ source }) => source),
    grant: grantFor(node, tree),
    pin,
  })
  try {
    await session.get(tree.root)
    await Promise.all(leavesOf(tree).map((cid) => session.fetch(cid)))
    for (const cid of leavesOf(tree)) assert.ok((await session.get(cid)).byteLength > 0)
  } finally {
    await session.close()
  }
  return session.report()
}

function leavesOf(tree: Tree): CID[] {
  return tree.blocks.map(({ cid }) => cid).filter((cid) => !cid.equals(tree.root))
}

test('devices of one release pass it on to one another, and the seed sends it hardly more than once', () =>
  withRig(async (rig) => {
    const tree = makeTree(128)
    const seed = await rig.seed(tree, { maxUploadBytesPerSecond: 4 * MIB })
    const devices: RigNode[] = []
    for (let at = 0; at < 6; at++) {
      devices.push(await rig.node({ isFellow: true, maxUploadBytesPerSecond: 8 * MIB }))
    }
    const reports = await Promise.all(devices.map((device) => download(device, tree, [seed])))
    const servedImages = seed.exchange.served().bytes / tree.bytes
    assert.ok(servedImages >= 1, `${servedImages}`)
    assert.ok(servedImages < 1.5, `the seed sent ${servedImages.toFixed(2)} images to six devices`)
    for (const report of reports) {
      const receipts = report.sources.reduce((sum, { receipts: each }) => sum + each, 0)
      assert.ok(report.sources.filter(({ bytes }) => bytes > 0).length > 2)
      assert.ok(report.fetchedBytes < 1.1 * tree.bytes, `${report.fetchedBytes / tree.bytes}`)
      assert.ok(receipts > 0)
    }
    // Whoever served has the receipts for it.
    const [device] = devices
    assert.ok(device && device.serverBook.since(0, 10).length > 0)
  }))

test('a device that comes late gets it from those that are done, though the seed is gone', () =>
  withRig(async (rig) => {
    const tree = makeTree(32)
    const seed = await rig.seed(tree)
    const first = await rig.node({ isFellow: true })
    await download(first, tree, [seed])
    const late = await rig.node({ isFellow: true })
    await seed.stop()
    const report = await download(late, tree, [first])
    assert.equal(report.fetchedBytes, tree.bytes)
  }))

test('a device that is found on the local network is fetched from, with no seed that told of it', () =>
  withRig(async (rig) => {
    const tree = makeTree(64)
    const seed = await rig.seed(tree, { maxUploadBytesPerSecond: MIB })
    const first = await rig.node({ isFellow: true })
    await download(first, tree, [seed])
    const joined: { secret: Uint8Array; serves: () => Promise<boolean> }[] = []
    let left = 0
    const lan: Lan = {
      join(secret, found, serves) {
        joined.push({ secret, serves })
        setImmediate(() => found({ ...first.source, http: undefined }))
        return () => left++
      },
    }
    const late = await rig.node({ isFellow: true, lan })
    const { sources, fetchedBytes } = await download(late, tree, [seed])
    assert.equal(fetchedBytes, tree.bytes)
    const id = first.identity.peerId.toString()
    const fromFirst = sources.find(({ peerId }) => peerId === id)?.bytes ?? 0
    assert.ok(fromFirst > 0.8 * tree.bytes, `${fromFirst / tree.bytes}`)
    assert.deepEqual(joined[0]?.secret, tree.root.multihash.digest)
    assert.equal(joined.length, 1)
    assert.equal(left, 1)
    assert.equal(await joined[0].serves(), true)
    // Nobody but a device that shows a grant is looked for.
    const other = await rig.node({ isFellow: true, lan })
    const pin = await other.storage.pins.open(tree.root)
    const session = other.exchange.openSession({ root: tree.root, sources: [seed.source], pin })
    await session.close()
    assert.equal(joined.length, 1)
  }))

test('a device serves only the root that it fetches, to whoever shows a grant of the same signer', () =>
  withRig(async (rig) => {
    const tree = makeTree(16)
    const other = makeTree(16)
    const seed = await rig.seed(tree)
    const device = await rig.node({ isFellow: true })
    await download(device, tree, [seed])
    const pin = await device.storage.pins.open(other.root)
    await pin.add(other.blocks)
    const stranger = await rig.node({ isFellow: true })
    const open = (root: Tree, grant = grantFor(stranger, root)) =>
      stranger.exchange.openSession({
        ...{ root: root.root, sources: [device.source], grant, giveUpAfterMs: 700 },
        pin: undefined as never,
      })
    const foreign = open(other)
    await assert.rejects(foreign.get(other.root), { code: 'no-source' })
    await foreign.close()
    trust(stranger, tree)
    const unsigned = open(tree, { ...grantFor(stranger, tree), signature: `0x${'11'.repeat(65)}` })
    await assert.rejects(unsigned.get(tree.root), { code: 'no-source' })
    await unsigned.close()
  }))

test('upload caps by the second, by the hour and by the link hold', () =>
  withRig(async (rig) => {
    const tree = makeTree(48)
    const rate = async (caps: object): Promise<number> => {
      const seed = await rig.seed(tree, caps)
      const device = await rig.node()
      const startMs = performance.now()
      await download(device, tree, [seed])
      return tree.bytes / ((performance.now() - startMs) / 1_000)
    }
    assert.ok((await rate({ maxUploadBytesPerSecondPerLink: 2 * MIB })) < 2.4 * MIB)
    // A tenth of the hour's allowance may go out at once, the rest evenly.
    const perHour = 20 * MIB
    const seed = await rig.seed(tree, { maxUploadBytesPerHour: perHour })
    const device = await rig.node()
    const pin = await device.storage.pins.open(tree.root)
    const session = device.exchange.openSession({
      ...{ root: tree.root, sources: [seed.source], grant: grantFor(device, tree), pin },
      giveUpAfterMs: 1_500,
    })
    await session.get(tree.root)
    await assert.rejects(Promise.all(leavesOf(tree).map((cid) => session.fetch(cid))), {
      code: 'no-source',
    })
    await session.close()
    const { fetchedBytes } = session.report()
    assert.ok(fetchedBytes > 0.08 * perHour && fetchedBytes < 0.12 * perHour, `${fetchedBytes}`)
  }))
