import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { codeOf, KIB, systemClock } from '../base/index.ts'
import type { FramedStream } from '../network/index.ts'
import { createMemoryNetwork, type MemoryLink } from './index.ts'

const LIMITS = { maxFrameBytes: 64 * KIB, maxInboundStreams: 2 }

async function twoNodes(link: MemoryLink = {}) {
  const network = createMemoryNetwork({ clock: systemClock })
  const join = async () => {
    const peerId = peerIdFromPrivateKey(await generateKeyPair('secp256k1'))
    return network.join({ peerId, evmAddress: `0x${'0'.repeat(40)}` }, link)
  }
  return { server: await join(), client: await join() }
}

async function echo(stream: FramedStream) {
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    await stream.send(frame)
  }
}

test('frames come back in order and the end is seen on both sides', async () => {
  const { server, client } = await twoNodes({ delayMs: 2 })
  await server.handle('/echo', LIMITS, echo)
  const stream = await client.open(server.peerId, '/echo', LIMITS)
  for (let n = 0; n < 20; n++) await stream.send(new Uint8Array([n]))
  await stream.close()
  const heard: number[] = []
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    heard.push(frame[0] ?? -1)
  }
  assert.deepEqual(
    heard,
    Array.from({ length: 20 }, (_, n) => n),
  )
  assert.equal(client.openStreams, 0)
})

test('a sender waits when the other side does not read', async () => {
  const { server, client } = await twoNodes()
  await server.handle('/sink', LIMITS, () => new Promise<void>(() => undefined))
  const stream = await client.open(server.peerId, '/sink', LIMITS)
  let sent = 0
  await assert.rejects(async () => {
    for (; sent < 100; sent++) {
      await stream.send(new Uint8Array(64 * KIB), { signal: AbortSignal.timeout(100) })
    }
  })
  assert.equal(sent, 4)
})

test('a failed node breaks its streams and is unreachable until it recovers', async () => {
  const { server, client } = await twoNodes()
  await server.handle('/echo', LIMITS, echo)
  const stream = await client.open(server.peerId, '/echo', LIMITS)
  const waiting = stream.receive()
  server.fail()
  await assert.rejects(waiting, (thrown) => codeOf(thrown) === 'stream-broken')
  await assert.rejects(client.open(server.peerId, '/echo', LIMITS), (thrown) => {
    return codeOf(thrown) === 'unreachable'
  })
  server.recover()
  await client.open(server.peerId, '/echo', LIMITS)
})

test('bandwidth is shared by the streams of the sender', async () => {
  const { server, client } = await twoNodes({ bytesPerSecond: 1024 * KIB })
  await server.handle('/echo', LIMITS, echo)
  const startedMs = performance.now()
  await Promise.all(
    [1, 2].map(async () => {
      const stream = await client.open(server.peerId, '/echo', LIMITS)
      await stream.send(new Uint8Array(64 * KIB))
      await stream.receive()
    }),
  )
  assert.ok(performance.now() - startedMs >= 120, 'two 64 KiB frames at 1 MiB/s take 125 ms')
})

test('what is not served is refused, and so is one stream too many', async () => {
  const { server, client } = await twoNodes()
  const isRefused = (thrown: unknown) => codeOf(thrown) === 'refused'
  await assert.rejects(client.open(server.peerId, '/none', LIMITS), isRefused)
  await server.handle('/echo', LIMITS, echo)
  await client.open(server.peerId, '/echo', LIMITS)
  await client.open(server.peerId, '/echo', LIMITS)
  await assert.rejects(client.open(server.peerId, '/echo', LIMITS), isRefused)
})
