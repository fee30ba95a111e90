/** What a stranger tries, and how much of an answer it gets. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { identify, type Identify } from '@libp2p/identify'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { createLibp2p, type Libp2p } from 'libp2p'
import { concat, systemRandom } from '../../node/base/index.ts'

export type Stock = Libp2p<{ identify: Identify; ping: Ping; dht: KadDHT }>

/** A libp2p node as the documentation makes them, which knows our DHT's name. */
export async function stockNode(): Promise<Stock> {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/ioex/kad/1.0.0',
        clientMode: true,
        peerInfoMapper: passthroughMapper,
      }),
    },
  })
}

/** What a listener for knocks has no answer to. */
export function senselessRequests(): Record<string, Uint8Array> {
  const head = (line: string, ...fields: string[]) =>
    Buffer.from(`${[line, 'host: x', ...fields].join('\r\n')}\r\n\r\n`)
  const body = (bytes: number) => `content-length: ${bytes}`
  const proof = `authorization: ioex ${Buffer.from(systemRandom.bytes(88)).toString('base64url')}`
  return {
    'random bytes': systemRandom.bytes(300),
    'a get': head('GET / HTTP/1.1'),
    'a get of the path': head('GET /knock HTTP/1.1'),
    'an options': head('OPTIONS * HTTP/1.1'),
    'another path': concat([head('POST /other HTTP/1.1', body(3)), new Uint8Array(3)]),
    'random content': concat([head('POST /knock HTTP/1.1', body(200)), systemRandom.bytes(200)]),
    'an empty body': head('POST /knock HTTP/1.1', body(0)),
    'too large a body': head('POST /knock HTTP/1.1', body(5000)),
    chunks: head('POST /knock HTTP/1.1', 'transfer-encoding: chunked'),
    'expect continue': head('POST /knock HTTP/1.1', body(9), 'expect: 100-continue'),
    'expect something': head('POST /knock HTTP/1.1', body(9), 'expect: magic'),
    'no host': Buffer.from('POST /knock HTTP/1.1\r\ncontent-length: 1\r\n\r\nx'),
    'an upgrade': head('GET /knock HTTP/1.1', 'connection: upgrade', 'upgrade: websocket'),
    'a connect': head('CONNECT x:1 HTTP/1.1'),
    'huge headers': head('GET / HTTP/1.1', `x: ${'y'.repeat(20_000)}`),
    'http 2': Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    'a stream of nobody': head('POST /ioex/stream/%2Fioex%2Fexchange%2F1.0.0 HTTP/1.1', body(0)),
    'a stream of a made-up session': head(
      'POST /ioex/stream/%2Fioex%2Fexchange%2F1.0.0 HTTP/1.1',
      body(0),
      proof,
    ),
  }
}

/** Sends bytes and waits until the other side closes; how many came back. */
export async function bytesBack(port: number, bytes: Uint8Array): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port })
  let count = 0
  socket.on('data', (data: Uint8Array) => {
    count += data.byteLength
  })
  // A reset is as good an end as any.
  socket.on('error', () => undefined)
  socket.write(bytes)
  await once(socket, 'close', { signal: AbortSignal.timeout(15_000) })
  return count
}

/** Between a device and the knock: keeps what went there and what came back. */
export async function recordingProxy(target: string) {
  const { hostname, port } = new URL(target)
  const record = { asked: [] as Uint8Array[], answered: [] as Uint8Array[] }
  const server = createServer((near: Socket) => {
    const far = connect({ host: hostname, port: Number(port) })
    near.on('data', (data: Uint8Array) => {
      record.asked.push(data)
      far.write(data)
    })
    far.on('data', (data: Uint8Array) => {
      record.answered.push(data)
      near.write(data)
    })
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const ownPort = typeof address === 'object' && address !== null ? address.port : 0
  return {
    server,
    url: `http://127.0.0.1:${ownPort}`,
    get asked() {
      return record.asked
    },
    get answered() {
      return record.answered
    },
    reset() {
      record.asked = []
      record.answered = []
    },
  }
}
