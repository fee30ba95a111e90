/**
 * What the stock relay and its neighbours do (@libp2p/circuit-relay-v2 4.2.13, dcutr 3.0.28, kad-dht 16.4.5),
 * and why a bootstrap sets its own limits, meters circuits itself and keeps reservations by a watchdog. Each
 * test fails once upstream has mended the fault; its message says what can go then.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KIB, systemClock } from '@ioex/node/base'
import { removePrivateAddressesMapper } from '@libp2p/kad-dht'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { createStockNode, type StockNode, type StockOptions } from './stock-node.ts'

const nodes: StockNode[] = []
after(() => Promise.all(nodes.map(async (node) => node.stop())))

async function start(options: StockOptions = {}): Promise<StockNode> {
  const node = await createStockNode(options)
  nodes.push(node)
  return node
}

/** Alice is connected with Bob over a relay with the default limits. */
async function circuit(services: StockOptions['services'] = []) {
  const relay = await start({ services: ['relay'] })
  const [address] = relay.getMultiaddrs()
  const bob = await start({
    overRelays: true,
    services,
    listen: ['/ip4/127.0.0.1/tcp/0', `${String(address)}/p2p-circuit`],
  })
  const alice = await start({ overRelays: true, services })
  const to = multiaddr(`${String(address)}/p2p-circuit/p2p/${bob.peerId.toString()}`)
  return { alice, bob, connection: await alice.dial(to) }
}

const over = { runOnLimitedConnection: true }

test('upstream: the relay tells its limit of two minutes in milliseconds where seconds are meant', async () => {
  const { connection } = await circuit()
  assert.equal(
    connection.limits?.seconds,
    120_000,
    'the relay tells seconds now; limits of circuits may be believed',
  )
})

test('upstream: both directions of a circuit share one budget of bytes, and the reader sees a clean end', async () => {
  const { bob, connection } = await circuit()
  let up = 0
  await bob.handle(
    '/test/both',
    (stream) => {
      stream.addEventListener('message', ({ data }) => {
        up += data.byteLength
      })
      for (let sent = 0; sent < 96 * KIB; sent += 16 * KIB) stream.send(new Uint8Array(16 * KIB))
    },
    over,
  )
  const stream = await connection.newStream('/test/both', over)
  let down = 0
  stream.addEventListener('message', ({ data }) => {
    down += data.byteLength
  })
  for (let sent = 0; sent < 96 * KIB && stream.status === 'open'; sent += 16 * KIB) {
    stream.send(new Uint8Array(16 * KIB))
    await systemClock.sleep(20)
  }
  await systemClock.sleep(500)
  assert.ok(
    up + down < 160 * KIB,
    `${up} up and ${down} down passed a limit of 128 KiB: the budget counts each direction now; a bootstrap ` +
      'may leave the byte limit to the relay service',
  )
})

test('upstream: dcutr makes nothing of addresses on private ranges, reachable or not', async () => {
  const { alice, bob } = await circuit(['dcutr'])
  await systemClock.sleep(3_000)
  const addresses = alice
    .getConnections(bob.peerId)
    .map((to: Connection) => to.remoteAddr.toString())
  assert.ok(
    addresses.length > 0 && addresses.every((address) => address.includes('/p2p-circuit')),
    `${addresses.join(' ')}: dcutr upgrades on private ranges now; weigh it against a punch of our own`,
  )
})

test('upstream: a circuit listener whose relay cut the connection is not taken up again', async () => {
  const relay = await start({ services: ['relay'] })
  const [address] = relay.getMultiaddrs()
  const bob = await start({ overRelays: true, listen: [`${String(address)}/p2p-circuit`] })
  assert.ok(bob.getMultiaddrs().length > 0, 'it has its reservation')
  for (const connection of relay.getConnections()) await connection.close()
  await systemClock.sleep(4_000)
  assert.equal(
    bob.getMultiaddrs().length,
    0,
    'static relays are reserved again now (js-libp2p#3601); the watchdog of node/network/bootstrap-keeper.ts ' +
      'can go',
  )
})

test('upstream: /p2p-circuit without a relay in reach looks for one without a pause', async (t) => {
  const neighbour = await start({ services: ['dht'] })
  const node = await start({
    overRelays: true,
    services: ['dht'],
    listen: ['/ip4/127.0.0.1/tcp/0', '/p2p-circuit'],
  })
  let walks = 0
  const { peerRouting } = node
  const original = peerRouting.getClosestPeers.bind(peerRouting)
  peerRouting.getClosestPeers = (key, options) => {
    walks++
    return original(key, options)
  }
  await node.dial(neighbour.getMultiaddrs())
  await systemClock.sleep(1_000)
  const before = { walks, cpu: process.cpuUsage() }
  await systemClock.sleep(3_000)
  const cpu = process.cpuUsage(before.cpu)
  const walked = walks - before.walks
  t.diagnostic(
    `${walked} walks in 3 s, ${((cpu.user + cpu.system) / 30_000).toFixed(0)} % of a core`,
  )
  assert.ok(
    walked > 30,
    `${walked} walks in 3 s: relay discovery pauses now; nodes may listen on /p2p-circuit instead of reserving ` +
      'at bootstraps they choose',
  )
})

test('upstream: the DHT hides private addresses unless it is told to let everything through', () => {
  const peer = {
    id: nodes[0]?.peerId,
    multiaddrs: [multiaddr('/ip4/198.18.0.10/tcp/4001'), multiaddr('/ip4/10.0.0.7/tcp/4001')],
  }
  assert.ok(peer.id !== undefined)
  const mapped = removePrivateAddressesMapper({ id: peer.id, multiaddrs: peer.multiaddrs })
  assert.deepEqual(
    mapped.multiaddrs,
    [],
    'private addresses pass the default mapper now; passthroughMapper in node/network can go',
  )
})
