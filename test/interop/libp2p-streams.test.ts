/**
 * What stock streams of libp2p 3.3.11 do (yamux 8.0.3, utils 7.4.1), and why node/network has framed streams
 * of its own. Each test fails once upstream has mended the fault; its message says what can go then.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { KIB, MIB, systemClock } from '@ioex/node/base'
import type { Stream } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import { createStockNode, type StockNode } from './stock-node.ts'

const nodes: StockNode[] = []
after(() => Promise.all(nodes.map(async (node) => node.stop())))

async function pair() {
  const [client, server] = [await createStockNode(), await createStockNode()]
  nodes.push(client, server)
  return { client, server, connection: await client.dial(server.getMultiaddrs()) }
}

/** Sends as fast as the other side takes it, waiting for the `drain` event; how much has left in the end. */
async function pour(stream: Stream, bytes: number, withinMs: number): Promise<number> {
  const chunk = new Uint8Array(64 * KIB)
  const ended = new AbortController()
  stream.addEventListener('close', () => ended.abort(), { once: true })
  const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(withinMs)])
  let sent = 0
  while (sent < bytes && stream.status === 'open' && !signal.aborted) {
    sent += chunk.byteLength
    // The other side may reset it, or take nothing more.
    if (!stream.send(chunk)) await Promise.allSettled([once(stream, 'drain', { signal })])
  }
  return sent - stream.writeBufferLength
}

test('upstream: iterating a stream buffers without bound for a reader that is slow', async () => {
  const { server, connection } = await pair()
  const taken = Promise.withResolvers<void>()
  await server.handle('/test/slow', async (stream) => {
    for await (const part of stream) {
      assert.ok(part.byteLength > 0)
      await taken.promise
      break
    }
    stream.abort(new Error('done'))
  })
  const stream = await connection.newStream('/test/slow')
  const left = await pour(stream, 64 * MIB, 10_000)
  taken.resolve()
  stream.abort(new Error('done'))
  assert.ok(
    left > 32 * MIB,
    `only ${left} bytes left for a reader that took one: iterating holds the sender back now; the reader of ` +
      'node/network/stream-flow.ts may be weighed against it',
  )
})

test('upstream: the byte stream resets what is not read at once beyond 4 MiB', async () => {
  const { server, connection } = await pair()
  const ended = Promise.withResolvers<Error | undefined>()
  await server.handle('/test/later', (stream) => {
    stream.addEventListener('close', ({ error }) => ended.resolve(error), { once: true })
    byteStream(stream)
  })
  const stream = await connection.newStream('/test/later')
  const pouring = pour(stream, 24 * MIB, 8_000)
  const outcome = await Promise.race([ended.promise, systemClock.sleep(8_000)])
  stream.abort(new Error('done'))
  await pouring
  assert.ok(
    outcome instanceof Error,
    'byteStream, lpStream and pbStream hold a sender back now; node/network/framed-stream.ts may use them',
  )
})

test('upstream: a stream that is paused is reset when the window lets more through than its buffer holds', async () => {
  const { server, connection } = await pair()
  const ended = Promise.withResolvers<Error | undefined>()
  await server.handle('/test/pause', (stream) => {
    stream.addEventListener('close', ({ error }) => ended.resolve(error), { once: true })
    // Reads long enough for yamux to open its window, then pauses.
    let bytes = 0
    stream.addEventListener('message', ({ data }) => {
      bytes += data.byteLength
      if (bytes > 48 * MIB) queueMicrotask(() => stream.pause())
    })
  })
  const stream = await connection.newStream('/test/pause')
  const pouring = pour(stream, 96 * MIB, 10_000)
  const outcome = await Promise.race([ended.promise, systemClock.sleep(10_000)])
  stream.abort(new Error('done'))
  await pouring
  assert.ok(
    outcome instanceof Error && outcome.name === 'StreamBufferError',
    `${String(outcome)}: pausing works with yamux's default window now; STREAM_WINDOW_BYTES in ` +
      'node/network/limits.ts need no longer stay below the read buffer',
  )
})

test('upstream: middleware of libp2p.use adds each handler to the chain of all that follow', async () => {
  const { server, connection } = await pair()
  let ran = 0
  server.use('/test/gate', [(stream, on, next) => next(stream, on)])
  await server.handle('/test/gate', (stream) => {
    ran++
    stream.abort(new Error('done'))
  })
  for (let opened = 0; opened < 3; opened++) {
    const stream = await connection.newStream('/test/gate')
    await systemClock.sleep(200)
    stream.abort(new Error('done'))
  }
  assert.ok(
    ran > 3,
    `the handler ran ${ran} times for 3 streams: libp2p.use may be a gate now (js-libp2p PR 3534); the look at ` +
      'the peer in each handler could move there',
  )
})
