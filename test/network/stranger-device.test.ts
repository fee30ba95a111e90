/** A device that passes its release on listens, too: on both wires it is there for fellows only. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createNode, type IoexNode } from '@ioex/node'
import {
  KIB,
  MIB,
  refused,
  silentLog,
  systemClock,
  systemRandom,
  toHex,
  unixSeconds,
} from '@ioex/node/base'
import type { Wire } from '@ioex/node/exchange'
import { createIdentity, generateSeed, type Identity } from '@ioex/node/identity'
import { type SignedGrant, serviceId, signGrant } from '@ioex/node/receipts'
import { EXCHANGE_WIRE, emptyNetworkFile, makeTree, type Tree } from '@ioex/node/testing'
import { bytesBack, recordingProxy, senselessRequests, stockNode } from './stranger-tries.ts'

const LOOPBACK = '127.0.0.1'
const home = await mkdtemp(join(tmpdir(), 'ioex-stranger-device-'))
const vendor = createIdentity(generateSeed(systemRandom))
const another = createIdentity(generateSeed(systemRandom))
const tree = makeTree(16, 64 * KIB)
const other = makeTree(16, 64 * KIB)
const nodes: IoexNode[] = []
const closing: (() => unknown)[] = []
after(async () => {
  for (const close of closing) await close()
  for (const node of nodes) await node.stop()
  await rm(home, { recursive: true, force: true })
})

async function startNode(role: 'seed' | 'device', isServing = true): Promise<IoexNode> {
  const node = await createNode(
    { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
    {
      home: join(home, `${role}-${nodes.length}`),
      role,
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: isServing ? [`/ip4/${LOOPBACK}/tcp/0`] : [],
      ...(isServing ? { httpListen: { host: LOOPBACK, port: 0 } } : {}),
      quotaBytes: 256 * MIB,
      acceptPins: false,
    },
  )
  nodes.push(node)
  return node
}

function grantFor(
  device: IoexNode,
  of: Tree,
  signer: Identity = vendor,
  notAfter = unixSeconds(systemClock) + 3_600,
): SignedGrant {
  return signGrant(signer, emptyNetworkFile().ledger, {
    vendor: signer.evmAddress,
    device: device.identity.evmAddress,
    root: toHex(of.root.multihash.digest),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(2 * of.bytes + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: unixSeconds(systemClock) - 60,
    notAfter,
    serial: 1n,
  })
}

const sourceOf = (node: IoexNode) => ({
  peerId: node.identity.peerId,
  multiaddrs: node.network.addresses().direct,
  http: node.network.httpUrl ?? '',
})

function fetchFrom(
  device: IoexNode,
  source: IoexNode,
  grant: SignedGrant,
  wires?: readonly Wire[],
) {
  return device.exchange.fetchAndPin({
    root: tree.root,
    grant,
    sources: [sourceOf(source)],
    owner: { owner: 'install' },
    giveUpAfterMs: 3_000,
    ...(wires === undefined ? {} : { wires }),
  })
}

/** It has fetched the tree, holds another one as well, and serves the one to its fellows. */
async function startFellow(): Promise<IoexNode> {
  const seed = await startNode('seed')
  for (const each of [tree, other]) {
    const pin = await seed.storage.pins.open(each.root)
    await pin.add(each.blocks)
    await pin.commit({ owner: 'order:test' })
    const until = unixSeconds(systemClock) + 3_600
    seed.serverBook.trust(toHex(each.root.multihash.digest), [vendor.evmAddress], until)
  }
  const fellow = await startNode('device')
  await fetchFrom(fellow, seed, grantFor(fellow, tree))
  const pin = await fellow.storage.pins.open(other.root)
  await pin.add(other.blocks)
  await pin.commit({ owner: 'old' })
  return fellow
}

test('a device that serves its fellows gives a stranger nothing, on either wire', async () => {
  const fellow = await startFellow()
  let opened = 0
  fellow.network.libp2p.addEventListener('connection:open', () => opened++)
  const stranger = await stockNode()
  closing.push(() => stranger.stop())
  const [address] = fellow.network.addresses().direct
  assert.ok(address !== undefined)
  for (const protocol of [EXCHANGE_WIRE.protocol, '/ipfs/id/1.0.0', '/ipfs/ping/1.0.0']) {
    await assert.rejects(async () => {
      const connection = await stranger.dial(address)
      await connection.newStream(protocol, { signal: AbortSignal.timeout(3_000) })
    }, `${protocol} was opened`)
  }
  await assert.rejects(async () =>
    stranger.services.identify.identify(await stranger.dial(address)),
  )
  assert.equal(opened, 0)
  const known = await stranger.peerStore.all()
  const self = known.find(({ id }) => id.equals(fellow.identity.peerId))
  assert.deepEqual(self?.protocols ?? [], [])

  const { port } = new URL(fellow.network.httpUrl ?? '')
  for (const [what, bytes] of Object.entries(senselessRequests())) {
    assert.equal(await bytesBack(Number(port), bytes), 0, `${what} was answered`)
  }
})

test('to a knock without a grant of its root and signer a device is silent', async () => {
  const fellow = await startFellow()
  const wire = await recordingProxy(fellow.network.httpUrl ?? '')
  closing.push(() => wire.server.close())
  const guest = await startNode('device', false)
  const server = { peerId: fellow.identity.peerId, http: wire.url }
  const valid = grantFor(guest, tree)
  const hourAgo = unixSeconds(systemClock) - 3_600
  for (const [what, grant] of [
    ['another root', grantFor(guest, other)],
    ['another signer', grantFor(guest, tree, another)],
    ['another device', grantFor(fellow, tree)],
    ['expired', grantFor(guest, tree, vendor, hourAgo)],
    ['tampered', { ...valid, message: { ...valid.message, maxBytes: 9_000_000n } }],
  ] as const) {
    wire.reset()
    const answer = await guest.friends.knock(server, grant)
    assert.deepEqual(answer, refused('knock-refused'), what)
    assert.ok(wire.asked.length > 0, `${what}: nothing was asked`)
    assert.equal(wire.answered.length, 0, `${what}: bytes came back`)
    assert.equal(fellow.gate.isWelcome(guest.identity.peerId), false)
  }
})

test('with a grant of its root and signer a device is served by its fellow, on each wire', async () => {
  const fellow = await startFellow()
  for (const wire of ['http', 'libp2p'] as const) {
    const guest = await startNode('device', false)
    const report = await fetchFrom(guest, fellow, grantFor(guest, tree), [wire])
    assert.equal(report.fetchedBytes, tree.bytes)
    assert.equal(guest.network.libp2p.getConnections().length > 0, wire === 'libp2p')
  }
})
