/**
 * Runs in a namespace with two addresses that count as public: a client asks a stock AutoNAT v1 server to dial
 * it back, as the stock client does, and tells whether their connection is still there.
 */
import type { Connection, Transport, Upgrader } from '@libp2p/interface'
import { concat, systemClock } from '@ioex/node/base'
import { multiaddr } from '@multiformats/multiaddr'
import { createStockNode } from './stock-node.ts'

const [ours = '', theirs = ''] = ['3fff::1', '3fff::2']
const server = await createStockNode({
  listen: [`/ip6/${theirs}/tcp/4001`],
  services: ['autoNAT'],
})
const client = await createStockNode({ listen: [`/ip6/${ours}/tcp/4001`] })
const { components } = client as unknown as {
  components: {
    upgrader: Upgrader
    transportManager: { getTransports(): Transport[] }
  }
}
const [tcp] = components.transportManager.getTransports()
if (tcp === undefined) throw new Error('no transport')
// From the address that it listens on, as from another host.
const dialFrom = {
  upgrader: components.upgrader,
  localAddress: ours,
  signal: AbortSignal.timeout(60_000),
}
const to = multiaddr(`/ip6/${theirs}/tcp/4001/p2p/${server.peerId.toString()}`)
const connection: Connection = await tcp.dial(to, dialFrom)
await systemClock.sleep(500)

/** A field of a protocol buffer with a length below 128. */
const field = (number: number, bytes: Uint8Array) =>
  concat([new Uint8Array([(number << 3) | 2, bytes.byteLength]), bytes])
const peer = concat([
  field(1, client.peerId.toMultihash().bytes),
  field(2, multiaddr(`/ip6/${ours}/tcp/4001`).bytes),
])
const message = concat([new Uint8Array([8, 0]), field(2, field(1, peer))])
const before = connection.status
const stream = await connection.newStream('/libp2p/autonat/1.0.0')
stream.send(concat([new Uint8Array([message.byteLength]), message]))
await systemClock.sleep(2_000)
process.stdout.write(JSON.stringify({ before, after: connection.status }), () => process.exit(0))
