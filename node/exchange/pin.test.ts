import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { encode } from '@ipld/dag-cbor'
import { codeOf, MIB, systemClock, toHex, unixSeconds } from '../base/index.ts'
import {
  hashPinOrder,
  pinOrderSigner,
  type PinOrder,
  serviceId,
  signPinOrder,
} from '../receipts/index.ts'
import {
  blockOf,
  createRig,
  DOMAIN,
  digestOf,
  grantFor,
  keep,
  makeTree,
  type RigNode,
  type Tree,
  vendor,
} from '../testing/exchange-rig.ts'

const rig = await createRig()
after(() => rig.stop())

/** Somebody with a tree on his disk, and a friend with none. */
async function pair(tree: Tree, link = {}) {
  const owner = await rig.node({ link })
  const friend = await rig.node()
  await keep(owner, tree, 'drive')
  owner.befriend(friend)
  return { owner, friend }
}

function orderFor(tree: Tree, change: Partial<PinOrder> = {}) {
  const now = unixSeconds(systemClock)
  return signPinOrder(vendor, DOMAIN, {
    payer: vendor.evmAddress,
    roots: [digestOf(tree.root)],
    bytes: BigInt(tree.bytes),
    from: now - 10,
    until: now + 3600,
    copies: 1,
    service: serviceId('ioex/storage'),
    priceVersion: 1,
    signers: [vendor.evmAddress],
    ...change,
  })
}

const ask = (tree: Tree) => ({ root: tree.root, bytes: tree.bytes })

test('a friend pulls the root, tells how far it is, and gives it back', async () => {
  const tree = makeTree(80)
  const { owner, friend } = await pair(tree, { bytesPerSecond: 10 * MIB })
  const heard: number[] = []
  const asked = await owner.exchange.askToPin(friend.identity.peerId, ask(tree), {
    onProgress: ({ bytes }) => heard.push(bytes),
  })
  assert.deepEqual(asked, { ok: true, value: {} })
  assert.ok(heard.length >= 2, `${heard.length} reports`)
  assert.deepEqual(
    heard,
    heard.toSorted((a, b) => a - b),
  )
  assert.equal(heard.at(-1), tree.bytes)
  const pin = await friend.storage.pins.get(tree.root)
  assert.equal(pin?.bytes, tree.bytes)
  assert.deepEqual(pin?.owners, [{ owner: `friend:${owner.identity.peerId.toString()}` }])

  await owner.storage.pins.remove(tree.root, 'drive')
  const restored = await rig.node({ identity: owner.identity })
  restored.befriend(friend)
  const report = await restored.exchange.fetchAndPin({
    root: tree.root,
    sources: [friend.source],
    owner: { owner: 'drive' },
    giveUpAfterMs: 5_000,
  })
  assert.equal(report.fetchedBytes, tree.bytes)
  assert.equal(report.sources[0]?.receipts, 0)
})

test('asked again, a friend that has it says so at once; unpinned, it is gone', async () => {
  const tree = makeTree(3)
  const { owner, friend } = await pair(tree)
  const { peerId } = friend.identity
  assert.equal((await owner.exchange.askToPin(peerId, ask(tree))).ok, true)
  assert.equal((await owner.exchange.askToPin(peerId, ask(tree))).ok, true)
  assert.equal(await owner.exchange.askToUnpin(peerId, tree.root), true)
  assert.equal(await friend.storage.pins.get(tree.root), undefined)
  assert.equal(await owner.exchange.askToUnpin(peerId, tree.root), false)
})

test('a paid order is countersigned, kept beyond its end, and opens the root to its signers’ grants', async () => {
  const tree = makeTree(6)
  const { owner, friend } = await pair(tree)
  const order = orderFor(tree)
  const asked = await owner.exchange.askToPin(friend.identity.peerId, { ...ask(tree), order })
  assert.ok(asked.ok)
  const signature = asked.value.countersignature ?? '0x'
  assert.equal(
    pinOrderSigner(DOMAIN, { message: order.message, signature }),
    friend.identity.evmAddress,
  )
  const pin = await friend.storage.pins.get(tree.root)
  assert.deepEqual(pin?.owners, [
    {
      owner: `order:${hashPinOrder(order.message)}`,
      untilMs: (order.message.until + 7 * 24 * 3600) * 1000,
    },
  ])
  const fetchWithGrant = async (from: RigNode) => {
    const device = await rig.node({ serve: false, acceptPins: false })
    return device.exchange.fetchAndPin({
      root: tree.root,
      sources: [from.source],
      grant: grantFor(device, tree),
      owner: { owner: 'install' },
      giveUpAfterMs: 2_000,
    })
  }
  assert.equal((await fetchWithGrant(friend)).fetchedBytes, tree.bytes)
  await friend.stop()
  const again = await rig.node({ identity: friend.identity, folder: friend.folder })
  assert.equal((await fetchWithGrant(again)).fetchedBytes, tree.bytes)
})

test('orders that do not hold are refused, and leave nothing behind', async () => {
  const tree = makeTree(2)
  const { owner, friend } = await pair(tree)
  const stranger = owner.identity
  const good = orderFor(tree)
  const bad = [
    signPinOrder(stranger, DOMAIN, good.message),
    orderFor(tree, { roots: [toHex(new Uint8Array(32))] }),
    orderFor(tree, { until: unixSeconds(systemClock) - 1 }),
    signPinOrder(vendor, { ...DOMAIN, chainId: 1 }, good.message),
  ]
  for (const order of bad) {
    assert.deepEqual(
      await owner.exchange.askToPin(friend.identity.peerId, { ...ask(tree), order }),
      { ok: false, reason: 'order-invalid' },
    )
  }
  assert.equal(await friend.storage.pins.get(tree.root), undefined)
  assert.equal([...friend.storage.records.list('exchange-pins')].length, 0)
})

test('strangers, too large roots and roots larger than announced are refused', async () => {
  const tree = makeTree(30)
  const { owner } = await pair(tree)
  const stranger = await rig.node()
  const small = await rig.node({ quotaBytes: MIB })
  owner.befriend(small)
  // With room for all of it, so that it is refused for its size and not for what had come before it was counted.
  const roomy = await rig.node()
  owner.befriend(roomy)
  const no = (reason: string) => ({ ok: false, reason })
  const asked = (node: RigNode, bytes: number) =>
    owner.exchange.askToPin(node.identity.peerId, { root: tree.root, bytes })
  assert.deepEqual(await asked(stranger, tree.bytes), no('not-a-friend'))
  assert.deepEqual(await asked(small, tree.bytes), no('no-room'))
  assert.deepEqual(await asked(roomy, 100_000), no('incomplete'))
  for (const { storage } of [small, roomy]) {
    assert.equal([...storage.records.list('exchange-pins')].length, 0)
    assert.equal(await storage.pins.get(tree.root), undefined)
  }
})

test('a tree that names one node a billion times is walked once', async () => {
  const owner = await rig.node()
  const friend = await rig.node()
  owner.befriend(friend)
  let node = blockOf(encode({ links: [], sealed: new Uint8Array(8) }), 0x71)
  const blocks = [node]
  for (let level = 0; level < 40; level++) {
    node = blockOf(encode({ links: [node.cid, node.cid], sealed: new Uint8Array([level]) }), 0x71)
    blocks.push(node)
  }
  const bytes = blocks.reduce((sum, block) => sum + block.bytes.byteLength, 0)
  await keep(owner, { root: node.cid, blocks, leaves: [], bytes })
  const asked = await owner.exchange.askToPin(friend.identity.peerId, { root: node.cid, bytes })
  assert.equal(asked.ok, true)
  assert.equal((await friend.storage.pins.get(node.cid))?.blocks, 41)
})

test('a pin request outlives the loss of the stream, of the asker and of the keeper', async () => {
  const tree = makeTree(160)
  const { owner, friend } = await pair(tree, { bytesPerSecond: 6 * MIB })
  const stopped = new AbortController()
  const asking = owner.exchange.askToPin(friend.identity.peerId, ask(tree), {
    signal: stopped.signal,
    onProgress: ({ bytes }) => {
      if (bytes > tree.bytes / 4) stopped.abort(new Error('the asker went away'))
    },
  })
  await assert.rejects(asking)
  await friend.stop()
  assert.equal([...owner.storage.records.list('exchange-asked')].length, 1)
  const again = await rig.node({ identity: friend.identity, folder: friend.folder })
  again.befriend(owner)
  for (let waited = 0; waited < 100; waited++) {
    if ((await again.storage.pins.get(tree.root)) !== undefined) break
    await systemClock.sleep(100)
    if (waited === 10) {
      // Whoever asks again meets the fetch that goes on.
      assert.equal((await owner.exchange.askToPin(friend.identity.peerId, ask(tree))).ok, true)
    }
  }
  assert.equal((await again.storage.pins.get(tree.root))?.bytes, tree.bytes)
})

test('a friend gets nothing that was not shared with him', async () => {
  const tree = makeTree(4)
  const { owner, friend } = await pair(tree)
  const fetch = () =>
    friend.exchange.fetchAndPin({
      root: tree.root,
      sources: [owner.source],
      owner: { owner: 'mine' },
      giveUpAfterMs: 700,
    })
  const isNoSource = (thrown: unknown) => codeOf(thrown) === 'no-source'
  await assert.rejects(fetch(), isNoSource)
  owner.exchange.share(tree.root, friend.identity.peerId)
  assert.equal((await fetch()).fetchedBytes, tree.bytes)
  await friend.storage.pins.remove(tree.root, 'mine')
  owner.exchange.unshare(tree.root, friend.identity.peerId)
  const other = makeTree(4)
  await keep(owner, other)
  await assert.rejects(
    friend.exchange.fetchAndPin({
      root: other.root,
      sources: [owner.source],
      owner: { owner: 'mine' },
      giveUpAfterMs: 700,
    }),
    isNoSource,
  )
})

test('asking to keep what one does not have is no way to get it', async () => {
  const tree = makeTree(20)
  const { friend } = await pair(tree)
  await keep(friend, tree, 'friend:somebody-else')
  const thief = await rig.node()
  thief.befriend(friend)
  const stopped = AbortSignal.timeout(2_000)
  await assert.rejects(
    thief.exchange.askToPin(friend.identity.peerId, ask(tree), { signal: stopped }),
  )
  const pin = await friend.storage.pins.get(tree.root)
  assert.deepEqual(pin?.owners, [{ owner: 'friend:somebody-else' }])
})

test('a share that is taken back ends what is under way', async () => {
  const tree = makeTree(100)
  const { owner, friend } = await pair(tree, { bytesPerSecond: 4 * MIB })
  owner.exchange.share(tree.root, friend.identity.peerId)
  let got = 0
  const fetching = friend.exchange.fetchAndPin({
    root: tree.root,
    sources: [owner.source],
    owner: { owner: 'mine' },
    giveUpAfterMs: 700,
    onBlock: ({ blocks }) => {
      got = blocks
      if (blocks === 20) owner.exchange.unshare(tree.root, friend.identity.peerId)
    },
  })
  await assert.rejects(fetching, (thrown) => codeOf(thrown) === 'no-source')
  assert.ok(got < 60, `${got} of ${tree.blocks.length} blocks came`)
})
