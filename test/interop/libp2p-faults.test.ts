/**
 * Faults of libp2p that node/network is designed around. Each test shows the fault itself: when one fails,
 * the fault has been mended upstream, and what goes around it can go.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { type GossipSub, gossipsub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { KIB, MIB, systemClock } from '../../node/base/index.ts'

type Stock = Libp2p<{ identify: Identify; ping: Ping; pubsub: GossipSub; relay: unknown }>
const nodes: Stock[] = []
after(() => Promise.all(nodes.map(async (node) => node.stop())))

async function stockNode(kind: 'plain' | 'relay' | 'client' = 'plain'): Promise<Stock> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: kind === 'client' ? [tcp(), circuitRelayTransport()] : [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 100 },
    services: {
      identify: identify(),
      ping: ping(),
      pubsub: gossipsub({
        allowPublishToZeroTopicPeers: true,
        scoreParams: { IPColocationFactorWeight: 0 },
      }),
      relay: kind === 'relay' ? circuitRelayServer() : () => undefined,
    },
  })
  nodes.push(node)
  return node
}

async function pair() {
  const [client, server] = [await stockNode(), await stockNode()]
  return { client, server, connection: await client.dial(server.getMultiaddrs()) }
}

test('upstream: onDrain() waits once only: after the first time it lets a sender fill the memory', async () => {
  const { server, connection } = await pair()
  const held: Stream[] = []
  await server.handle('/test/hold', (stream) => {
    stream.addEventListener('message', () => queueMicrotask(() => stream.pause()), { once: true })
    held.push(stream)
  })
  const stream = await connection.newStream('/test/hold')
  const chunk = new Uint8Array(64 * KIB)
  let waits = 0
  for (let sent = 0; sent < 32 * MIB; sent += chunk.byteLength) {
    if (stream.send(chunk)) continue
    await Promise.race([
      stream.onDrain(),
      systemClock.sleep(300).then(() => {
        waits += 1
      }),
    ])
    if (waits > 3) break
  }
  assert.ok(
    stream.writeBufferLength > 16 * MIB,
    `only ${stream.writeBufferLength} bytes are queued: onDrain() waits each time now; whenWritable of ` +
      'node/network/stream-flow.ts may be it',
  )
})

test('upstream: iterating a stream never ends when the other side closed before the iteration began', async () => {
  const { server, connection } = await pair()
  await server.handle('/test/greet', async (stream) => {
    stream.send(new Uint8Array([1]))
    await stream.close()
  })
  const stream = await connection.newStream('/test/greet')
  await systemClock.sleep(300)
  const reading = (async () => {
    let bytes = 0
    for await (const data of stream) bytes += data.byteLength
    return bytes
  })()
  const outcome = await Promise.race([reading, systemClock.sleep(1500).then(() => 'still waiting')])
  assert.equal(
    outcome,
    'still waiting',
    'iteration ends now; the reader of node/network/stream-flow.ts may be weighed against it',
  )
  stream.abort(new Error('done'))
})

test('upstream: a stock router passes messages to its mesh only and starves the other leaves', async () => {
  const router = await stockNode()
  router.services.pubsub.subscribe('news')
  const leaves = await Promise.all(Array.from({ length: 40 }, () => stockNode()))
  const heard = new Set<number>()
  for (const [index, leaf] of leaves.entries()) {
    leaf.services.pubsub.addEventListener('message', () => heard.add(index))
    leaf.services.pubsub.subscribe('news')
    await leaf.dial(router.getMultiaddrs())
  }
  const endMs = performance.now() + 20_000
  while (router.services.pubsub.getSubscribers('news').length < leaves.length) {
    assert.ok(performance.now() < endMs, 'all leaves subscribe')
    await systemClock.sleep(50)
  }
  await systemClock.sleep(1500)
  const mesh = router.services.pubsub as GossipSub & { getMeshPeers(topic: string): string[] }
  assert.ok(mesh.getMeshPeers('news').length <= 12)
  const publisher = await stockNode()
  await publisher.dial(router.getMultiaddrs())
  while (publisher.services.pubsub.getSubscribers('news').length === 0) await systemClock.sleep(20)
  await publisher.services.pubsub.publish('news', new Uint8Array([1]))
  await systemClock.sleep(500)
  assert.ok(
    heard.size > 0 && heard.size < leaves.length,
    `${heard.size} of 40 heard it in time: routers reach leaves beyond their mesh now; how node/network/gossip.ts ` +
      'has routers accept every leaf can go',
  )
})

test('upstream: of two reservations asked for at once the second is forgotten and its promise never settles', async () => {
  const relays = [await stockNode('relay'), await stockNode('relay')]
  const client = await stockNode('client')
  for (const relay of relays) await client.dial(relay.getMultiaddrs())
  const { transportManager } = (
    client as unknown as {
      components: { transportManager: { getTransports(): unknown[] } }
    }
  ).components
  const transport = transportManager
    .getTransports()
    .find((one) => typeof one === 'object' && one !== null && 'reservationStore' in one) as {
    reservationStore: { addRelay(relay: unknown, type: 'configured'): Promise<unknown> }
  }
  const asked = relays.map(({ peerId }) =>
    transport.reservationStore.addRelay(peerId, 'configured'),
  )
  const outcome = await Promise.race([
    Promise.allSettled(asked).then(() => 'both settled'),
    systemClock.sleep(3000).then(() => 'one waits'),
  ])
  assert.equal(
    outcome,
    'one waits',
    'reservations at several relays may be asked for at once now; that node/network asks for one after another ' +
      'can go',
  )
})
