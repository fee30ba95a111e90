/** What one peer may hold of a listener, however often it knocks. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import type { PeerId } from '@libp2p/interface'
import { codeOf, KIB, systemClock, systemRandom } from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'
import { authorize } from './http-auth.ts'
import { createHttpPass, type FramedStream, type HttpPass, type Network } from './index.ts'
import { MAX_HTTP_BODY_BYTES_PER_PEER, MAX_HTTP_STREAMS_PER_PEER } from './limits.ts'

const LIMITS = { maxFrameBytes: 64 * KIB, maxInboundStreams: 8 }
const ECHO = '/test/echo'
const ECHO_PATH = `/ioex/stream/${encodeURIComponent(ECHO)}`

let local: LocalNetwork
let server: Network
let client: Network
before(async () => {
  local = await startLocalNetwork({ bootstraps: 0 })
  server = await local.join({
    role: 'seed',
    options: { httpListen: { host: '127.0.0.1', port: 0 } },
  })
  client = await local.join({ role: 'device' })
  await server.handle(ECHO, LIMITS, async (stream) => {
    for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
      await stream.send(frame)
    }
  })
})
after(() => local.stop())

const newPeer = (): PeerId => createIdentity(generateSeed(systemRandom)).peerId

/** What a knock does, without a grant. */
function passOf(peerId: PeerId): HttpPass {
  const key = systemRandom.bytes(32)
  const endsMs = systemClock.nowMs() + 60_000
  const session = server.openHttpSession({ peerId, key, endsMs })
  assert.ok(session !== undefined)
  return createHttpPass({ server: server.peerId, session, key })
}

async function opened(pass: HttpPass): Promise<FramedStream> {
  const stream = await client.open(server.peerId, ECHO, {
    maxFrameBytes: LIMITS.maxFrameBytes,
    http: { url: server.httpUrl ?? '', pass },
  })
  await stream.send(new Uint8Array([1]))
  assert.deepEqual(await stream.receive(), new Uint8Array([1]))
  return stream
}

test('a peer has its share of streams, however many sessions it has', async () => {
  const greedy = newPeer()
  const streams: FramedStream[] = []
  for (let pass = passOf(greedy); streams.length < MAX_HTTP_STREAMS_PER_PEER; ) {
    if (streams.length % LIMITS.maxInboundStreams === 0) pass = passOf(greedy)
    streams.push(await opened(pass))
  }
  await assert.rejects(opened(passOf(greedy)), (thrown) => codeOf(thrown) === 'refused')
  const [first] = streams
  const other = await opened(passOf(newPeer()))
  await first?.close()
  streams.push(await opened(passOf(greedy)), other)
  for (const stream of streams) stream.abort(new Error('the test is over'))
})

test('bodies that never come hold a share of the room for bodies, and others none the less send theirs', async () => {
  const greedy = newPeer()
  const { port } = new URL(server.httpUrl ?? '')
  const length = 128 * KIB
  const sockets: Socket[] = []
  const announce = (): Socket => {
    const pass = passOf(greedy)
    const proof = authorize(pass, pass.nextCount(), ECHO_PATH, new Uint8Array())
    const socket = connect({ host: '127.0.0.1', port: Number(port) })
    // A reset is as good an end as any.
    socket.on('error', () => undefined)
    socket.write(
      `POST ${ECHO_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: ${proof}\r\ncontent-length: ${length}\r\n\r\n`,
    )
    sockets.push(socket)
    return socket
  }
  for (let held = 0; held < MAX_HTTP_BODY_BYTES_PER_PEER; held += length) announce()
  const tooMuch = announce()
  await Promise.race(
    sockets.map((socket) => once(socket, 'close', { signal: AbortSignal.timeout(5_000) })),
  )
  // Sockets are not taken in the order of connecting: one of them had to go.
  assert.equal(sockets.filter(({ destroyed }) => destroyed).length, 1, `${tooMuch.destroyed}`)
  const other = await opened(passOf(newPeer()))
  for (const socket of sockets) socket.destroy()
  other.abort(new Error('the test is over'))
})
