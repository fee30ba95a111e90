import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { type Clock, codeOf, KIB, MIB, systemClock } from '../base/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'
import type { FramedStream, Network } from './index.ts'

const FRAME = { maxFrameBytes: 256 * KIB, maxInboundStreams: 4 }
let local: LocalNetwork
before(async () => {
  local = await startLocalNetwork({ bootstraps: 1 })
})
after(() => local.stop())

/** Sends until the other side's not reading stops us for half a second; how many bytes got away. */
async function pushAll(stream: FramedStream, limitBytes: number): Promise<number> {
  let sent = 0
  try {
    while (sent < limitBytes) {
      await stream.send(new Uint8Array(256 * KIB), { signal: AbortSignal.timeout(500) })
      sent += 256 * KIB
    }
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'TimeoutError')
  }
  return sent
}

async function neverReads(network: Network) {
  const held: FramedStream[] = []
  await network.handle('/test/hold', FRAME, async (stream) => {
    held.push(stream)
    await new Promise<void>((resolve) => after(() => resolve()))
  })
  return held
}

test('a reader that does not read holds the sender back, and gets every frame later', async (t) => {
  const [alice, bob] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  const held = await neverReads(bob)
  const stream = await alice.open(bob.peerId, '/test/hold', {
    ...FRAME,
    multiaddrs: bob.addresses().direct,
  })
  const sent = await pushAll(stream, 64 * MIB)
  t.diagnostic(`${sent / MIB} MiB of 64 got away before the sender was held back`)
  assert.ok(sent <= 4 * MIB)
  const [reader] = held
  assert.ok(reader !== undefined)
  // The frame whose send was given up was handed over before and arrives too.
  for (let got = 0; got < sent; got += 256 * KIB) {
    assert.equal((await reader.receive())?.byteLength, 256 * KIB)
  }
  stream.abort(new Error('done'))
})

test('over a circuit the bootstrap does not fill up for a reader that does not read', async (t) => {
  const [alice, bob] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  await neverReads(bob)
  await eventually('bob has a reservation', () => bob.addresses().relayed.length > 0)
  const stream = await alice.open(bob.peerId, '/test/hold', FRAME)
  const sent = await pushAll(stream, 64 * MIB)
  t.diagnostic(`${sent / MIB} MiB of 64 got away over the circuit`)
  assert.ok(sent <= 12 * MIB)
  stream.abort(new Error('done'))
})

test('over a circuit bulk arrives whole', async (t) => {
  const [alice, bob] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  await bob.handle('/test/bulk', FRAME, async (stream) => {
    for (let number = 0; number < 128; number++) {
      await stream.send(new Uint8Array(256 * KIB).fill(number))
    }
  })
  await eventually('bob has a reservation', () => bob.addresses().relayed.length > 0)
  const startedMs = performance.now()
  const stream = await alice.open(bob.peerId, '/test/bulk', FRAME)
  for (let number = 0; number < 128; number++) {
    const frame = await stream.receive()
    assert.equal(frame?.byteLength, 256 * KIB)
    assert.equal(frame.at(-1), number)
  }
  assert.equal(await stream.receive(), undefined)
  const seconds = (performance.now() - startedMs) / 1000
  t.diagnostic(`32 MiB over a circuit in ${seconds.toFixed(2)} s`)
})

test('too large a frame ends the stream with an error on both sides', async () => {
  const [alice, bob] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  const outcome = Promise.withResolvers<unknown>()
  await bob.handle('/test/small', { maxFrameBytes: 100, maxInboundStreams: 4 }, async (stream) => {
    await stream.receive().catch(outcome.resolve)
  })
  const stream = await alice.open(bob.peerId, '/test/small', {
    ...FRAME,
    multiaddrs: bob.addresses().direct,
  })
  await stream.send(new Uint8Array(101))
  assert.equal(codeOf(await outcome.promise), 'frame-too-large')
  await assert.rejects(stream.receive(), (thrown) => codeOf(thrown) === 'stream-broken')
  await assert.rejects(stream.send(new Uint8Array(300 * KIB)), (thrown) => {
    return codeOf(thrown) === 'frame-too-large'
  })
})

test('a stream that is opened and stays silent is aborted, and so is one stalled in a frame', async () => {
  const hasty: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 100, run) }
  const bob = await local.join({ role: 'peer', clock: hasty })
  const alice = await local.join({ role: 'peer' })
  const endings: Promise<unknown>[] = []
  await bob.handle('/test/wait', FRAME, async (stream) => {
    const ending = stream.receive().catch((thrown: unknown) => thrown)
    endings.push(ending)
    await ending
  })
  await alice.libp2p.dial(
    bob.addresses().direct.map((one) => one.encapsulate(`/p2p/${bob.peerId.toString()}`)),
  )
  const [connection] = alice.libp2p.getConnections(bob.peerId)
  assert.ok(connection !== undefined)
  const silent = await connection.newStream('/test/wait')
  const stalled = await connection.newStream('/test/wait')
  // The length of a frame of 10 bytes, and 3 of them.
  stalled.send(new Uint8Array([0, 0, 0, 10, 1, 2, 3]))
  await eventually('both are aborted', () =>
    [silent, stalled].every(({ status }) => status !== 'open'),
  )
  for (const thrown of await Promise.all(endings)) assert.equal(codeOf(thrown), 'stream-broken')
})

test('one stream too many of a protocol is refused, the others go on', async () => {
  const [alice, bob] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  await neverReads(bob)
  const open = () =>
    alice.open(bob.peerId, '/test/hold', { ...FRAME, multiaddrs: bob.addresses().direct })
  const streams = await Promise.all([open(), open(), open(), open()])
  const fifth = await open()
  await assert.rejects(fifth.receive(), (thrown) => codeOf(thrown) === 'stream-broken')
  await streams[0]?.send(new Uint8Array(1))
  for (const stream of streams) stream.abort(new Error('done'))
})

test('connections beyond the rate of one address are cut before any handshake', async () => {
  const bob = await local.join({ role: 'peer', options: { maxNewConnectionsPerIpPerSecond: 3 } })
  const [address] = bob.addresses().direct
  const port = Number(/\/tcp\/(\d+)/.exec(address?.toString() ?? '')?.[1])
  const sockets = Array.from({ length: 10 }, () => connect({ host: '127.0.0.1', port }))
  let closed = 0
  for (const socket of sockets) {
    // A reset is as good an end as any.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      closed += 1
    })
  }
  await eventually('seven are closed', () => closed >= 7)
  assert.equal(closed, 7)
  for (const socket of sockets) socket.destroy()
})

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`not within 10 s: ${what}`)
    await systemClock.sleep(20)
  }
}
