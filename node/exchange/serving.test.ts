import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { codeOf, KIB, MIB, systemClock } from '../base/index.ts'
import type { FramedStream } from '../network/index.ts'
import {
  encodeSignedGrant,
  encodeSignedReceipt,
  grantId,
  type SignedGrant,
  signReceipt,
} from '../receipts/index.ts'
import {
  createRig,
  DOMAIN,
  digestOf,
  grantFor,
  keep,
  makeTree,
  type RigNode,
  type Tree,
  trust,
} from '../testing/exchange-rig.ts'
import { SLOW_READER_MS, WATCH_EVERY_MS } from './limits.ts'
import { windowBytes } from './meter.ts'
import {
  type ClientMessage,
  decodeServer,
  EXCHANGE_PROTOCOL,
  encodeClient,
  type Key,
  MAX_FRAME_BYTES,
  type ServerMessage,
} from './protocol.ts'

const rig = await createRig()
after(() => rig.stop())

/** A client that does what a test tells it, and no more. */
async function rawClient(seed: RigNode, tree: Pick<Tree, 'root'>, grant?: SignedGrant) {
  return openAs(await rig.node({ serve: false, acceptPins: false }), seed, tree, grant)
}

async function openAs(
  device: RigNode,
  seed: RigNode,
  tree: Pick<Tree, 'root'>,
  grant?: SignedGrant,
) {
  const stream = await device.net.open(seed.identity.peerId, EXCHANGE_PROTOCOL, {
    maxFrameBytes: MAX_FRAME_BYTES,
  })
  const say = (message: ClientMessage) => stream.send(encodeClient(message))
  const shown = grant === undefined ? undefined : encodeSignedGrant(grant)
  await say({ kind: 'open', root: tree.root, grant: shown })
  return { device, stream, say, hear: () => hear(stream) }
}

async function hear(stream: FramedStream, waitMs = 2_000): Promise<ServerMessage | undefined> {
  const frame = await stream.receive({ signal: AbortSignal.timeout(waitMs) })
  return frame === undefined ? undefined : decodeServer(frame)
}

/** Everything that comes until nothing has come for a while. */
async function hearAll(stream: FramedStream, quietMs = 300): Promise<ServerMessage[]> {
  const heard: ServerMessage[] = []
  try {
    for (;;) {
      const message = await hear(stream, quietMs)
      if (message === undefined) return heard
      heard.push(message)
    }
  } catch (thrown) {
    if (codeOf(thrown) === 'stream-broken') return [...heard, { kind: 'refused', reason: 'broken' }]
    return heard
  }
}

const keysOf = (tree: Tree): Key[] => tree.leaves.map((cid) => digestOf(cid).slice(2))
const bytesIn = (heard: readonly ServerMessage[]) =>
  heard.reduce((sum, each) => sum + (each.kind === 'block' ? each.bytes.byteLength : 0), 0)

test('a device that never signs gets one window, and little more when it comes again', async () => {
  const tree = makeTree(40)
  const seed = await rig.seed(tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const grant = grantFor(device, tree)
  const first = await openAs(device, seed, tree, grant)
  await first.say({ kind: 'want', keys: keysOf(tree) })
  const heard = await hearAll(first.stream)
  assert.equal(bytesIn(heard), 256 * KIB)
  assert.equal(heard.at(-1)?.kind, 'busy')
  let total = bytesIn(heard)
  for (let times = 0; times < 4; times++) {
    const again = await openAs(device, seed, tree, grant)
    await again.say({ kind: 'want', keys: keysOf(tree) })
    total += bytesIn(await hearAll(again.stream))
    await again.stream.close()
    await first.stream.close()
  }
  assert.ok(total <= 2 * 256 * KIB + 64 * KIB, `${total} bytes for nothing`)
})

test('a receipt opens the next window, twice as large', async () => {
  const tree = makeTree(40)
  const seed = await rig.seed(tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const grant = grantFor(device, tree)
  const client = await openAs(device, seed, tree, grant)
  await client.say({ kind: 'want', keys: keysOf(tree) })
  const first = bytesIn(await hearAll(client.stream))
  const receipt = await device.deviceBook.sign(grant, seed.identity.evmAddress, BigInt(first))
  await client.say({ kind: 'receipt', receipt: encodeSignedReceipt(receipt) })
  const heard = await hearAll(client.stream)
  assert.ok(heard.some((each) => each.kind === 'receipted' && each.bytes === BigInt(first)))
  assert.equal(bytesIn(heard), 512 * KIB)
  assert.deepEqual(
    [0, 256, 767, 768, 4096, 100_000].map((paid) => windowBytes(paid * KIB) / KIB),
    [256, 512, 512, 1024, 4096, 4096],
  )
})

test('whoever lets a server wait, whose blocks were put back meanwhile, gets the rest in the order of asking', async () => {
  const tree = makeTree(10)
  const seed = await rig.seed(tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const grant = grantFor(device, tree)
  const client = await openAs(device, seed, tree, grant)
  const keys = keysOf(tree)
  await client.say({ kind: 'want', keys })
  const first = await hearAll(client.stream)
  // Longer than a server keeps blocks read ahead for somebody who does not take them.
  await systemClock.sleep(2 * SLOW_READER_MS + WATCH_EVERY_MS)
  const cancelled = keys.at(-2) ?? ''
  await client.say({ kind: 'cancel', keys: [cancelled] })
  const receipt = await device.deviceBook.sign(
    grant,
    seed.identity.evmAddress,
    BigInt(bytesIn(first)),
  )
  await client.say({ kind: 'receipt', receipt: encodeSignedReceipt(receipt) })
  const heard = [...first, ...(await hearAll(client.stream))]
  assert.deepEqual(
    heard.filter((each) => each.kind === 'block').map((each) => each.key),
    keys.filter((key) => key !== cancelled),
  )
})

test('a receipt for more than was sent, or of another device, ends the stream', async () => {
  const tree = makeTree(8)
  const seed = await rig.seed(tree)
  const bad = async (bytes: bigint, signer?: RigNode) => {
    const client = await rawClient(seed, tree)
    const grant = grantFor(client.device, tree)
    const { device, stream, say } = await openAs(client.device, seed, tree, grant)
    await say({ kind: 'want', keys: keysOf(tree).slice(0, 1) })
    await hearAll(stream)
    const receipt = signReceipt((signer ?? device).identity, DOMAIN, {
      grantId: grantId(grant.message),
      server: seed.identity.evmAddress,
      serverBytes: bytes,
      grantBytes: bytes,
    })
    await say({ kind: 'receipt', receipt: encodeSignedReceipt(receipt) })
    const last = (await hearAll(stream)).at(-1)
    return last?.kind === 'refused' ? last.reason : last?.kind
  }
  assert.equal(await bad(1_000_000n), 'receipt-beyond-sent')
  assert.equal(await bad(64n, seed), 'receipt-signer-wrong')
})

test('a server stops at the bytes of the grant', async () => {
  const tree = makeTree(40)
  const seed = await rig.seed(tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const maxBytes = BigInt(10 * 64 * KIB)
  const grant = grantFor(device, tree, { maxBytes })
  await assert.rejects(
    device.exchange.fetchAndPin({
      root: tree.root,
      sources: [seed.source],
      grant,
      owner: { owner: 'install' },
      giveUpAfterMs: 1_000,
    }),
    (thrown) => codeOf(thrown) === 'no-source',
  )
  const paid = seed.serverBook.receiptedBytes(grantId(grant.message))
  assert.ok(paid <= maxBytes && paid > maxBytes - 128n * 1024n, `${paid} of ${maxBytes}`)
  assert.ok(seed.exchange.served().bytes <= Number(maxBytes))
})

test('a grant for one root opens no other, and no block of another', async () => {
  const tree = makeTree(3)
  const other = makeTree(3)
  const seed = await rig.seed(tree)
  await keep(seed, other)
  const device = await rig.node({ serve: false, acceptPins: false })
  const grant = grantFor(device, tree)
  const wrong = await openAs(device, seed, other, grant)
  assert.deepEqual(await wrong.hear(), { kind: 'refused', reason: 'grant-for-another-root' })
  const right = await openAs(device, seed, tree, grant)
  assert.deepEqual(await right.hear(), { kind: 'opened', metered: true, isFellow: false })
  const keys = keysOf(other)
  await right.say({ kind: 'want', keys })
  assert.deepEqual(await right.hear(), { kind: 'notHere', keys: keys.slice(0, 1) })
  const none = await rawClient(seed, tree)
  assert.deepEqual(await none.hear(), { kind: 'refused', reason: 'grant-missing' })
  const stolen = await rawClient(seed, tree, grant)
  assert.deepEqual(await stolen.hear(), { kind: 'refused', reason: 'grant-for-another-device' })
})

test('more wants than a stream may have cut it, and nothing of it is left', async () => {
  const tree = makeTree(8)
  const seed = await rig.seed(tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const client = await openAs(device, seed, tree, grantFor(device, tree))
  // The window is used up and never paid, so that the rest of the list cannot be worked off.
  await client.say({ kind: 'want', keys: keysOf(tree) })
  const heard = await hearAll(client.stream)
  assert.equal(heard.at(-1)?.kind, 'busy')
  const flood = async () => {
    for (let from = 0; from < 1_280; from += 256) {
      const keys = Array.from({ length: 256 }, (_, n) => (from + n).toString(16).padStart(64, 'a'))
      await client.say({ kind: 'want', keys })
      await systemClock.sleep(20)
    }
  }
  await assert.rejects(flood(), (thrown) => codeOf(thrown) === 'stream-broken')
  assert.equal(seed.net.openStreams, 0)
  const again = await openAs(device, seed, tree, grantFor(device, tree))
  assert.deepEqual(await again.hear(), { kind: 'opened', metered: true, isFellow: false })
})

test('a reader that does not read holds a few blocks and no more', async () => {
  const tree = makeTree(200)
  const friend = await rig.node()
  const seed = await rig.seed(tree)
  seed.befriend(friend)
  seed.exchange.share(tree.root, friend.identity.peerId)
  let reads = 0
  const get = seed.storage.blocks.get.bind(seed.storage.blocks)
  Object.assign(seed.storage.blocks, {
    get: (cid: Parameters<typeof get>[0]) => {
      reads++
      return get(cid)
    },
  })
  const client = await openAs(friend, seed, tree)
  await client.say({ kind: 'want', keys: keysOf(tree) })
  await systemClock.sleep(500)
  assert.ok(reads <= 12, `${reads} blocks were read for a reader that reads nothing`)
  const heard = await hearAll(client.stream)
  assert.equal(bytesIn(heard), 200 * 64 * KIB)
})

test('a block that is asked for before it is stored comes when it is', async () => {
  const tree = makeTree(6)
  const empty = makeTree(1)
  const seed = await rig.seed(empty)
  trust(seed, tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const fetching = device.exchange.fetchAndPin({
    root: tree.root,
    sources: [seed.source],
    grant: grantFor(device, tree),
    owner: { owner: 'install' },
    giveUpAfterMs: 5_000,
  })
  await systemClock.sleep(600)
  await keep(seed, tree)
  const startedMs = systemClock.monotonicMs()
  assert.equal((await fetching).fetchedBytes, tree.bytes)
  const ms = systemClock.monotonicMs() - startedMs
  assert.ok(ms < 1_500, `it came after ${ms} ms`)
})

test('a device that comes before the order of its root is served once the order is there', async () => {
  const tree = makeTree(3)
  const seed = await rig.seed(makeTree(1))
  const device = await rig.node({ serve: false, acceptPins: false })
  const fetching = device.exchange.fetchAndPin({
    root: tree.root,
    sources: [seed.source],
    grant: grantFor(device, tree),
    owner: { owner: 'install' },
    giveUpAfterMs: 6_000,
  })
  await systemClock.sleep(400)
  await keep(seed, tree)
  assert.equal((await fetching).fetchedBytes, tree.bytes)
})

test('uploads keep to their cap over all streams', async () => {
  const tree = makeTree(32)
  const seed = await rig.seed(tree, { maxUploadBytesPerSecond: MIB })
  const startedMs = systemClock.monotonicMs()
  await Promise.all(
    [1, 2].map(async () => {
      const device = await rig.node({ serve: false, acceptPins: false })
      const half = { ...tree, bytes: tree.bytes }
      const pin = await device.storage.pins.open(tree.root)
      const session = device.exchange.openSession({
        root: tree.root,
        sources: [seed.source],
        grant: grantFor(device, half),
        pin,
      })
      await Promise.all(tree.leaves.slice(0, 16).map((cid) => session.get(cid)))
      await session.close()
    }),
  )
  const ms = systemClock.monotonicMs() - startedMs
  assert.ok(ms > 1_800, `2 MiB at 1 MiB/s took ${ms} ms`)
})

test('receipts go on over a restart of the server', async () => {
  const tree = makeTree(24)
  const seed = await rig.seed(tree)
  const device = await rig.node({ serve: false, acceptPins: false })
  const grant = grantFor(device, tree)
  const fetchSome = async (from: RigNode, leaves: Tree['leaves']) => {
    const pin = await device.storage.pins.open(tree.root)
    const session = device.exchange.openSession({
      root: tree.root,
      sources: [from.source],
      grant,
      pin,
    })
    await Promise.all(leaves.map((cid) => session.get(cid)))
    await session.close()
    return session.report().fetchedBytes
  }
  const first = await fetchSome(seed, tree.leaves.slice(0, 12))
  await seed.stop()
  const again = await rig.node({ identity: seed.identity, folder: seed.folder })
  trust(again, tree)
  const second = await fetchSome(again, tree.leaves.slice(12))
  assert.equal(Number(again.serverBook.receiptedBytes(grantId(grant.message))), first + second)
})
