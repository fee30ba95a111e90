import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createNode, type IoexNode } from '@ioex/node'
import { KIB, MIB, silentLog, systemClock, systemRandom, toHex, unixSeconds } from '@ioex/node/base'
import type { Wire } from '@ioex/node/exchange'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import { grantId, type SignedGrant, serviceId, signGrant } from '@ioex/node/receipts'
import { emptyNetworkFile, makeTree, type Tree } from '@ioex/node/testing'

const LOOPBACK = '127.0.0.1'
const home = await mkdtemp(join(tmpdir(), 'ioex-http-'))
const vendor = createIdentity(generateSeed(systemRandom))
const nodes: IoexNode[] = []
const servers: Server[] = []
const tree = makeTree(256, 64 * KIB)
let serial = 0n
after(async () => {
  for (const server of servers) server.close()
  for (const node of nodes) await node.stop()
  await rm(home, { recursive: true, force: true })
})

async function startNode(role: 'seed' | 'device'): Promise<IoexNode> {
  const node = await createNode(
    { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
    {
      home: join(home, `${role}-${nodes.length}`),
      role,
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: role === 'seed' ? [`/ip4/${LOOPBACK}/tcp/0`] : [],
      ...(role === 'seed' ? { httpListen: { host: LOOPBACK, port: 0 } } : {}),
      quotaBytes: 256 * MIB,
      acceptPins: false,
    },
  )
  nodes.push(node)
  return node
}

async function startSeed(): Promise<IoexNode> {
  const seed = await startNode('seed')
  const pin = await seed.storage.pins.open(tree.root)
  await pin.add(tree.blocks)
  await pin.commit({ owner: 'order:test' })
  const until = unixSeconds(systemClock) + 3600
  seed.serverBook.trust(toHex(tree.root.multihash.digest), [vendor.evmAddress], until)
  return seed
}

function grantFor(device: IoexNode, of: Tree): SignedGrant {
  const now = unixSeconds(systemClock)
  return signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device: device.identity.evmAddress,
    root: toHex(of.root.multihash.digest),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(Math.ceil(1.1 * of.bytes) + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3600,
    serial: serial++,
  })
}

/** Between a device and the listener: counts what comes back, and does with it what `change` wants. */
async function proxyTo(target: string, change: (data: Buffer, near: Socket) => void) {
  const { hostname, port } = new URL(target)
  const record = { bytesBack: 0, url: '' }
  const server = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port) })
    near.pipe(far)
    far.on('data', (data: Buffer) => {
      record.bytesBack += data.byteLength
      change(data, near)
    })
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  servers.push(server)
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const address = server.address()
  record.url = `http://${LOOPBACK}:${typeof address === 'object' ? (address?.port ?? 0) : 0}`
  return record
}

async function fetchOver(http: string, seed: IoexNode, wires?: readonly Wire[]) {
  const device = await startNode('device')
  const grant = grantFor(device, tree)
  const report = await device.exchange.fetchAndPin({
    root: tree.root,
    grant,
    sources: [{ peerId: seed.identity.peerId, multiaddrs: [], http }],
    owner: { owner: 'install' },
    giveUpAfterMs: 15_000,
    ...(wires === undefined ? {} : { wires }),
  })
  for (const { cid, bytes } of tree.blocks) {
    assert.deepEqual(await device.storage.blocks.get(cid), bytes)
  }
  assert.equal(report.fetchedBytes, tree.bytes)
  const id = grantId(grant.message)
  assert.equal(seed.serverBook.receiptedBytes(id), BigInt(tree.bytes), 'every byte is receipted')
  return { device, report }
}

test('a tree comes over HTTP alone, and every byte of it is receipted', async (t) => {
  const seed = await startSeed()
  const wire = await proxyTo(seed.network.httpUrl ?? '', (data, near) => near.write(data))
  const { device } = await fetchOver(wire.url, seed, ['http'])
  assert.equal(device.network.libp2p.getConnections().length, 0)
  const overhead = wire.bytesBack / tree.bytes - 1
  t.diagnostic(`${(100 * overhead).toFixed(2)} % more on the wire than in the blocks`)
  assert.ok(overhead < 0.02)
})

test('HTTP is taken where there is a choice', async () => {
  const seed = await startSeed()
  const { device } = await fetchOver(seed.network.httpUrl ?? '', seed)
  assert.equal(device.network.libp2p.getConnections().length, 0)
})

test('when HTTP breaks in the middle, again and again, the rest comes over libp2p', async () => {
  const seed = await startSeed()
  let passed = 0
  const wire = await proxyTo(seed.network.httpUrl ?? '', (data, near) => {
    passed += data.byteLength
    near.write(data)
    if (passed < 3 * MIB) return
    passed = 0
    near.resetAndDestroy()
  })
  const { device } = await fetchOver(wire.url, seed)
  assert.ok(wire.bytesBack > 5 * MIB, 'HTTP was tried twice')
  assert.ok(wire.bytesBack < tree.bytes)
  assert.ok(device.network.libp2p.getConnections(seed.identity.peerId).length > 0)
})

test('what somebody on the way changed costs the wire, not the peer', async () => {
  const seed = await startSeed()
  let passed = 0
  const wire = await proxyTo(seed.network.httpUrl ?? '', (data, near) => {
    passed += data.byteLength
    const middle = data.byteLength >> 1
    if (passed > 2 * MIB) data.writeUInt8(data.readUInt8(middle) ^ 1, middle)
    near.write(data)
  })
  const { report } = await fetchOver(wire.url, seed)
  assert.deepEqual(
    report.sources.map(({ outcome }) => outcome),
    ['used'],
  )
})

test('when a server has forgotten the session the device knocks again and goes on', async () => {
  const seed = await startSeed()
  const device = await startNode('device')
  const grant = grantFor(device, tree)
  const source = {
    peerId: seed.identity.peerId,
    multiaddrs: [],
    http: seed.network.httpUrl ?? '',
  }
  const get = async () => {
    const pin = await device.storage.pins.open(tree.root)
    const session = device.exchange.openSession({
      root: tree.root,
      grant,
      sources: [source],
      pin,
      wires: ['http'],
      giveUpAfterMs: 10_000,
    })
    const [leaf] = tree.leaves
    assert.ok(leaf !== undefined)
    const bytes = await session.get(leaf)
    await session.close()
    await pin.drop()
    return bytes.byteLength
  }
  assert.equal(await get(), 64 * KIB)
  await seed.network.disconnect(device.identity.peerId)
  assert.equal(await get(), 64 * KIB)
  assert.equal(device.network.libp2p.getConnections().length, 0)
})
