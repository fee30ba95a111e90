/**
 * What stock libp2p (yamux 8.0.3, noise 17.0.3, tcp 11.0.28) spends on a block beyond its bytes, with our wire beside
 * it. Each test of upstream fails once it has been mended; its message says what can go then.
 */
import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'
import { after, test } from 'node:test'
import { KIB, systemClock } from '@ioex/node/base'
import { startLocalNetwork } from '@ioex/node/testing'
import { multiaddrConnectionPair } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { createStockNode } from './stock-node.ts'

/** Fits one message of noise, and leaves the windows of yamux alone. */
const BLOCK_BYTES = 32 * KIB

const stops: (() => Promise<unknown>)[] = []
after(async () => {
  for (const stop of stops.toReversed()) await stop()
})

interface Written {
  calls: number
  bytes: number
}

/** What each socket of this process has handed to the system. */
const sockets = new Set<Written>()

function watch(message: unknown): void {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return
  const { socket } = message
  assert.ok(socket instanceof Socket)
  const written = { calls: 0, bytes: 0 }
  sockets.add(written)
  const [one, many] = [socket._write.bind(socket), socket._writev?.bind(socket)]
  assert.ok(many !== undefined)
  socket._write = (chunk: Uint8Array, encoding, done) => {
    written.calls++
    written.bytes += chunk.byteLength
    one(chunk, encoding, done)
  }
  socket._writev = (chunks, done) => {
    written.calls++
    for (const { chunk } of chunks as { chunk: Uint8Array }[]) written.bytes += chunk.byteLength
    many(chunks, done)
  }
}
subscribe('net.client.socket', watch)
subscribe('net.server.socket', watch)

interface Calls {
  readonly sender: number
  readonly receiver: number
}

/** System calls on both sides, at least: pings and the like may come in between. */
async function callsFor(send: () => Promise<void>): Promise<Calls> {
  const tries: Calls[] = []
  for (let times = 0; times < 5; times++) {
    await systemClock.sleep(50)
    for (const written of sockets) Object.assign(written, { calls: 0, bytes: 0 })
    await send()
    await systemClock.sleep(20)
    const [busiest, ...others] = [...sockets].toSorted((one, other) => other.bytes - one.bytes)
    assert.ok(busiest !== undefined && busiest.bytes >= BLOCK_BYTES)
    const receiver = others.reduce((sum, { calls }) => sum + calls, 0)
    tries.push({ sender: busiest.calls, receiver })
  }
  return {
    sender: Math.min(...tries.map(({ sender }) => sender)),
    receiver: Math.min(...tries.map(({ receiver }) => receiver)),
  }
}

/** Resolves for each block that has arrived, in however many pieces. */
function createArrivals() {
  let bytes = 0
  let arrived = Promise.withResolvers<void>()
  return {
    add(length: number) {
      bytes += length
      if (bytes < BLOCK_BYTES) return
      bytes = 0
      arrived.resolve()
      arrived = Promise.withResolvers()
    },
    next: () => arrived.promise,
  }
}

interface Wire {
  readonly arrivals: ReturnType<typeof createArrivals>
  send(bytes: Uint8Array): Promise<void>
}

/** From one stock node to another. */
const stock: Wire = await (async () => {
  const arrivals = createArrivals()
  const [client, server] = [await createStockNode(), await createStockNode()]
  stops.push(async () => Promise.all([client.stop(), server.stop()]))
  await server.handle('/test/block', (stream) => {
    stream.addEventListener('message', ({ data }) => arrivals.add(data.byteLength))
  })
  const stream = await client.dialProtocol(server.getMultiaddrs(), '/test/block')
  return {
    arrivals,
    async send(bytes) {
      stream.send(bytes)
    },
  }
})()
/** From one node of ours to another. */
const ours: Wire = await (async () => {
  const arrivals = createArrivals()
  const local = await startLocalNetwork({ bootstraps: 0 })
  stops.push(() => local.stop())
  const [alice, bob] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  const limits = { maxFrameBytes: BLOCK_BYTES, maxInboundStreams: 1 }
  await bob.handle('/test/block', limits, async (framed) => {
    for (let frame = await framed.receive(); frame !== undefined; frame = await framed.receive())
      arrivals.add(frame.byteLength)
  })
  const { direct } = bob.addresses()
  const framed = await alice.open(bob.peerId, '/test/block', { ...limits, multiaddrs: direct })
  return { arrivals, send: (bytes) => framed.send(bytes) }
})()

/** A block in so many frames of yamux. */
function callsOf({ arrivals, send }: Wire, frames: number): Promise<Calls> {
  return callsFor(async () => {
    const arrival = arrivals.next()
    for (let frame = 0; frame < frames; frame++) {
      await send(new Uint8Array(BLOCK_BYTES / frames))
      await systemClock.sleep(1)
    }
    await arrival
  })
}

test('upstream: a block leaves in several system calls; ours leaves in one', async (t) => {
  const [theirs, mine] = [await callsOf(stock, 1), await callsOf(ours, 1)]
  t.diagnostic(`${theirs.sender} system calls stock, ${mine.sender} ours`)
  assert.ok(
    theirs.sender > 1,
    'stock noise over TCP hands a message to the system at once now; inOneCall of ' +
      'node/network/secure-bulk.ts can go, and the joining of headers with it',
  )
  assert.equal(mine.sender, 1)
})

test('upstream: yamux answers every frame of data with a message of its own; ours none while there is room', async () => {
  const DATA = 0
  const WINDOW_UPDATE = 1
  const HEADER_BYTES = 12
  const [outbound, inbound] = multiaddrConnectionPair()
  const factory = yamux({ enableKeepAlive: false })()
  const heard = { data: 0, updates: 0 }
  let rest = Buffer.alloc(0)
  inbound.addEventListener('message', ({ data }) => {
    rest = Buffer.concat([rest, data.subarray()])
    while (rest.byteLength >= HEADER_BYTES) {
      const isData = rest[1] === DATA
      const end = HEADER_BYTES + (isData ? rest.readUInt32BE(8) : 0)
      if (rest.byteLength < end) return
      if (isData) heard.data++
      rest = rest.subarray(end)
    }
  })
  outbound.addEventListener('message', ({ data }) => {
    for (let at = 0; at < data.byteLength; at += HEADER_BYTES) {
      const header = data.subarray(at, at + HEADER_BYTES)
      if (header[1] === WINDOW_UPDATE) heard.updates++
    }
  })
  const [sender, receiver] = [
    factory.createStreamMuxer(outbound),
    factory.createStreamMuxer(inbound),
  ]
  stops.push(async () => {
    sender.abort(new Error('done'))
    receiver.abort(new Error('done'))
  })
  const arrived = Promise.withResolvers<void>()
  let bytes = 0
  receiver.addEventListener('stream', ({ detail: stream }) => {
    stream.addEventListener('message', ({ data }) => {
      bytes += data.byteLength
      if (bytes === 20 * 4 * KIB) arrived.resolve()
    })
  })
  const stream = await sender.createStream()
  for (let frame = 0; frame < 20; frame++) {
    // A third of the window in all, so that no room would have to be told of yet.
    stream.send(new Uint8Array(4 * KIB))
    await systemClock.sleep(1)
  }
  await arrived.promise
  await systemClock.sleep(20)
  assert.equal(heard.data, 20)
  assert.ok(
    heard.updates >= heard.data,
    `${heard.updates} window updates for ${heard.data} frames: yamux waits until telling of room is worth it now; ` +
      'tellRoomByHalves of node/network/stream-flow.ts can go',
  )
  assert.equal((await callsOf(ours, 8)).receiver, 0)
})
