import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { codeOf, KIB, MIB } from '../base/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'
import type { FramedStream, Network } from './index.ts'

const LIMITS = { maxFrameBytes: MIB, maxInboundStreams: 8 }
let local: LocalNetwork
let alice: Network
let bob: Network

before(async () => {
  local = await startLocalNetwork({ bootstraps: 1 })
  alice = await local.join({ role: 'peer' })
  bob = await local.join({ role: 'peer' })
})
after(() => local.stop())

async function echo(stream: FramedStream) {
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    await stream.send(frame)
  }
}

const toBob = () => ({ ...LIMITS, multiaddrs: bob.addresses().direct })

test('frames of any size up to the limit come back whole and in order', async () => {
  await bob.handle('/test/echo', LIMITS, echo)
  const stream = await alice.open(bob.peerId, '/test/echo', toBob())
  const sizes = [0, 1, 4, 65_535, 300 * KIB, MIB]
  const sending = (async () => {
    for (const [index, size] of sizes.entries()) await stream.send(new Uint8Array(size).fill(index))
    await stream.close()
  })()
  const heard: number[] = []
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    assert.ok(frame.every((byte) => byte === heard.length))
    heard.push(frame.byteLength)
  }
  await sending
  assert.deepEqual(heard, sizes)
  assert.ok(stream.remotePeer.equals(bob.peerId))
})

test('a stream over a circuit is found by PeerId alone', async () => {
  await bob.handle('/test/echo', LIMITS, echo)
  const carol = await local.join({ role: 'device' })
  const stream = await carol.open(bob.peerId, '/test/echo', LIMITS)
  await stream.send(new Uint8Array([7]))
  assert.deepEqual(await stream.receive(), new Uint8Array([7]))
  const [connection] = carol.libp2p.getConnections(bob.peerId)
  assert.match(connection?.remoteAddr.toString() ?? '', /p2p-circuit/)
  await stream.close()
})

test('what is not served is refused, an unknown peer is unreachable', async () => {
  await assert.rejects(alice.open(bob.peerId, '/test/none', toBob()), (thrown) => {
    return codeOf(thrown) === 'refused'
  })
  const gone = await local.join({ role: 'peer' })
  await gone.stop()
  await assert.rejects(alice.open(gone.peerId, '/test/echo', LIMITS), (thrown) => {
    return codeOf(thrown) === 'unreachable'
  })
})
