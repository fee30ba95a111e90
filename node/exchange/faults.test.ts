import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { codeOf, MIB, systemClock } from '../base/index.ts'
import type { FramedStream } from '../network/index.ts'
import { grantId } from '../receipts/index.ts'
import {
  createRig,
  digestOf,
  grantFor,
  keep,
  makeTree,
  type RigNode,
  type Tree,
} from '../testing/exchange-rig.ts'
import {
  decodeClient,
  EXCHANGE_PROTOCOL,
  encodeServer,
  type Key,
  MAX_FRAME_BYTES,
} from './protocol.ts'

const rig = await createRig()
after(() => rig.stop())

const LIMITS = { maxFrameBytes: MAX_FRAME_BYTES, maxInboundStreams: 16 }

/** A server that answers each want as `answer` says. */
async function badSeed(
  answer: (stream: FramedStream, key: Key) => Promise<void>,
  settings: Parameters<typeof rig.node>[0] = {},
): Promise<RigNode> {
  const node = await rig.node({ ...settings, serve: false })
  await node.net.handle(EXCHANGE_PROTOCOL, LIMITS, async (stream) => {
    for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
      const message = decodeClient(frame)
      if (message.kind === 'open') {
        await stream.send(encodeServer({ kind: 'opened', metered: true, isFellow: false }))
      }
      if (message.kind === 'want') for (const key of message.keys) await answer(stream, key)
    }
  })
  return node
}

function bytesOf(tree: Tree): Map<Key, Uint8Array> {
  return new Map(tree.blocks.map(({ cid, bytes }) => [digestOf(cid).slice(2), bytes]))
}

async function fetchFrom(nodes: readonly RigNode[], tree: Tree, giveUpAfterMs = 8_000) {
  const device = await rig.node({ serve: false, acceptPins: false })
  const grant = grantFor(device, tree, { maxBytes: BigInt(3 * tree.bytes) })
  const startedMs = systemClock.monotonicMs()
  let completeMs = 0
  const report = await device.exchange.fetchAndPin({
    root: tree.root,
    sources: nodes.map(({ source }) => source),
    grant,
    owner: { owner: 'install' },
    giveUpAfterMs,
    onBlock: () => {
      completeMs = systemClock.monotonicMs() - startedMs
    },
  })
  const pin = await device.storage.pins.get(tree.root)
  assert.equal(pin?.bytes, tree.bytes)
  const id = grantId(grant.message)
  assert.equal(Number(device.deviceBook.grantBytes(id)), report.fetchedBytes)
  const of = (node: RigNode) =>
    report.sources.find(({ peerId }) => peerId === node.identity.peerId.toString())
  // Until the last block; the end of the session waits for acknowledgements.
  return { device, report, of, ms: completeMs }
}

test('the loss of the fastest of four seeds in mid-download costs nothing but time', async () => {
  const tree = makeTree(160)
  const links = [
    { bytesPerSecond: 8 * MIB, delayMs: 2 },
    { bytesPerSecond: 3 * MIB, delayMs: 5 },
    { bytesPerSecond: 3 * MIB, delayMs: 5 },
    { bytesPerSecond: 3 * MIB, delayMs: 5 },
  ]
  const seeds = await Promise.all(links.map((link) => rig.seed(tree, { link })))
  const [fastest] = seeds
  const cancel = systemClock.after(300, () => fastest?.net.fail())
  const { report, ms } = await fetchFrom(seeds, tree)
  cancel()
  assert.ok(ms > 300, `the download was over after ${ms} ms, before the seed was lost`)
  assert.ok(report.fetchedBytes <= 1.2 * tree.bytes, `${report.fetchedBytes} of ${tree.bytes}`)
})

test('a liar is banned after one block, and nothing of it is on the disk', async () => {
  const tree = makeTree(40)
  const contents = bytesOf(tree)
  let lies = 0
  const liar = await badSeed(async (stream, key) => {
    const bytes = Uint8Array.from(contents.get(key) ?? [0])
    bytes[0] = (bytes[0] ?? 0) ^ 1
    lies++
    await stream.send(encodeServer({ kind: 'block', key, bytes }))
  })
  const seed = await rig.seed(tree, { link: { bytesPerSecond: 6 * MIB } })
  const { device, of } = await fetchFrom([liar, seed], tree)
  assert.ok(lies > 0)
  assert.equal(of(liar)?.outcome, 'banned')
  assert.equal(of(liar)?.blocks, 0)
  for (const { cid, bytes } of tree.blocks) {
    assert.deepEqual(await device.storage.blocks.get(cid), bytes)
  }
  const before = lies
  const other = makeTree(4)
  await keep(seed, other)
  await device.exchange.fetchAndPin({
    root: other.root,
    sources: [liar.source, seed.source],
    grant: grantFor(device, other),
    owner: { owner: 'install' },
  })
  assert.equal(lies, before)
})

test('a seed that goes silent holds the download up for at most two seconds', async () => {
  const tree = makeTree(100)
  const settings = { link: { bytesPerSecond: 8 * MIB, delayMs: 2 } }
  const silent = await rig.seed(tree, settings)
  const seeds = [silent, await rig.seed(tree, settings)]
  const cancel = systemClock.after(150, () => silent.net.stall())
  const { ms } = await fetchFrom(seeds, tree)
  cancel()
  silent.net.resume()
  assert.ok(ms < 800 + 2_500, `it took ${ms} ms`)
})

test('a seed that sends junk is banned', async () => {
  const tree = makeTree(20)
  const junk = await badSeed(async (stream) => {
    for (;;) await stream.send(new Uint8Array(1_000).fill(0x99))
  })
  const unasked = await badSeed(async (stream) => {
    const { blocks } = makeTree(1, 1_000)
    for (const { cid, bytes } of blocks) {
      await stream.send(encodeServer({ kind: 'block', key: digestOf(cid).slice(2), bytes }))
    }
  })
  const seed = await rig.seed(tree, { link: { bytesPerSecond: 4 * MIB } })
  const { of } = await fetchFrom([junk, unasked, seed], tree)
  assert.notEqual(of(seed)?.blocks, 0)
  for (const bad of [junk, unasked]) assert.match(of(bad)?.outcome ?? '', /banned|unused/)
})

test('a slow seed is used, but not waited for', async () => {
  const tree = makeTree(60)
  const contents = bytesOf(tree)
  const slow = await badSeed(async (stream, key) => {
    await systemClock.sleep(500)
    await stream.send(
      encodeServer({ kind: 'block', key, bytes: contents.get(key) ?? tree.root.bytes }),
    )
  })
  const seed = await rig.seed(tree, { link: { bytesPerSecond: 4 * MIB, delayMs: 2 } })
  const { ms, report } = await fetchFrom([slow, seed], tree)
  assert.ok(ms < 1_000 + 2_500, `it took ${ms} ms`)
  assert.ok(report.fetchedBytes < 1.3 * tree.bytes, `${report.fetchedBytes} of ${tree.bytes}`)
})

test('without any source the session says so and keeps what has come', async () => {
  const tree = makeTree(200)
  const seed = await rig.seed(tree, { link: { bytesPerSecond: 8 * MIB } })
  const device = await rig.node({ serve: false, acceptPins: false })
  const options = {
    root: tree.root,
    sources: [seed.source],
    grant: grantFor(device, tree),
    owner: { owner: 'install' },
    giveUpAfterMs: 500,
  }
  const cancel = systemClock.after(400, () => seed.net.fail())
  await assert.rejects(device.exchange.fetchAndPin(options), (thrown) => {
    return codeOf(thrown) === 'no-source'
  })
  cancel()
  seed.net.recover()
  const report = await device.exchange.fetchAndPin({ ...options, giveUpAfterMs: 5_000 })
  assert.ok(report.reusedBlocks > 0)
  assert.ok(report.fetchedBlocks < tree.blocks.length)
  assert.equal(report.reusedBlocks + report.fetchedBlocks, tree.blocks.length)
})
