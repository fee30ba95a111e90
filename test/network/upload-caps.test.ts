/** Upload caps over real sockets: what a seed sends in a second, in an hour and to one link, on each wire. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createNode, type IoexNode, type NodeOptions } from '@ioex/node'
import { KIB, MIB, silentLog, systemClock, systemRandom, toHex, unixSeconds } from '@ioex/node/base'
import type { Wire } from '@ioex/node/exchange'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import { serviceId, signGrant } from '@ioex/node/receipts'
import { emptyNetworkFile, makeTree } from '@ioex/node/testing'

const LOOPBACK = '127.0.0.1'
const WIRES = ['http', 'libp2p'] as const
/** A bucket holds a little at the start, and nothing measures to the byte. */
const MAX_OVER = 1.2

const home = await mkdtemp(join(tmpdir(), 'ioex-caps-'))
const vendor = createIdentity(generateSeed(systemRandom))
const tree = makeTree(64, 64 * KIB)
const nodes: IoexNode[] = []
let folders = 0
after(async () => {
  for (const node of nodes) await node.stop()
  await rm(home, { recursive: true, force: true })
})

async function startNode(
  role: 'seed' | 'device',
  options: Partial<NodeOptions> = {},
): Promise<IoexNode> {
  const node = await createNode(
    { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
    {
      home: join(home, `${role}-${folders++}`),
      role,
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: [],
      quotaBytes: 256 * MIB,
      acceptPins: false,
      ...options,
    },
  )
  nodes.push(node)
  return node
}

async function startSeed(caps: Partial<NodeOptions>): Promise<IoexNode> {
  const seed = await startNode('seed', {
    listen: [`/ip4/${LOOPBACK}/tcp/0`],
    httpListen: { host: LOOPBACK, port: 0 },
    ...caps,
  })
  const pin = await seed.storage.pins.open(tree.root)
  await pin.add(tree.blocks)
  await pin.commit({ owner: 'order:test' })
  const until = unixSeconds(systemClock) + 3_600
  seed.serverBook.trust(toHex(tree.root.multihash.digest), [vendor.evmAddress], until)
  return seed
}

/** How long a new device takes for the tree, its start not counted. */
async function fetch(seed: IoexNode, wire: Wire, giveUpAfterMs = 10_000): Promise<number> {
  const device = await startNode('device')
  const now = unixSeconds(systemClock)
  const grant = signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device: device.identity.evmAddress,
    root: toHex(tree.root.multihash.digest),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(2 * tree.bytes + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3_600,
    serial: 1n,
  })
  const startedMs = performance.now()
  await device.exchange.fetchAndPin({
    root: tree.root,
    grant,
    sources: [
      {
        peerId: seed.identity.peerId,
        multiaddrs: seed.network.addresses().direct,
        http: seed.network.httpUrl ?? '',
      },
    ],
    owner: { owner: 'install' },
    giveUpAfterMs,
    wires: [wire],
  })
  assert.equal(device.network.libp2p.getConnections().length > 0, wire === 'libp2p')
  return performance.now() - startedMs
}

const rateOf = (bytes: number, ms: number) => bytes / (ms / 1_000)

for (const wire of WIRES) {
  test(`over ${wire} a link gets what a link may have, and two get twice that`, async () => {
    const perLink = 2 * MIB
    const seed = await startSeed({ maxUploadBytesPerSecondPerLink: perLink })
    const startedMs = performance.now()
    const each = await Promise.all([fetch(seed, wire), fetch(seed, wire)])
    const allMs = performance.now() - startedMs
    for (const ms of each) assert.ok(rateOf(tree.bytes, ms) <= MAX_OVER * perLink, `${ms} ms`)
    assert.ok(rateOf(2 * tree.bytes, allMs) > perLink, `${allMs} ms: one waits for the other`)
  })

  test(`over ${wire} an hour's bytes are not gone in a minute`, async () => {
    // A tenth may go out at once, the rest evenly.
    const perHour = 20 * MIB
    const seed = await startSeed({ maxUploadBytesPerHour: perHour })
    await assert.rejects(fetch(seed, wire, 1_500), { code: 'no-source' })
    const { bytes } = seed.exchange.served()
    assert.ok(bytes > 0.08 * perHour && bytes < 0.12 * perHour, `${bytes}`)
  })
}

test('both wires together keep to what goes out in a second', async () => {
  const perSecond = 4 * MIB
  const seed = await startSeed({ maxUploadBytesPerSecond: perSecond })
  const startedMs = performance.now()
  await Promise.all([...WIRES, ...WIRES].map((wire) => fetch(seed, wire)))
  const ms = performance.now() - startedMs
  const rate = rateOf(4 * tree.bytes, ms)
  assert.ok(rate <= MAX_OVER * perSecond, `${rate} bytes a second`)
  assert.ok(rate > perSecond / 2, `${rate} bytes a second: the cap costs more than it should`)
})
