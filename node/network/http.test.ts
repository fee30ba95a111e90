import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request as plainRequest } from 'node:http'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { type Clock, codeOf, KIB, MIB, systemClock, systemRandom, utf8 } from '../base/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'
import { createHttpPass, type FramedStream, type HttpPass, type Network } from './index.ts'
import { authorize } from './http-auth.ts'

const LIMITS = { maxFrameBytes: 64 * KIB, maxInboundStreams: 4 }
const ECHO = '/test/echo'
const ECHO_PATH = `/ioex/stream/${encodeURIComponent(ECHO)}`
const HTTP = { httpListen: { host: '127.0.0.1', port: 0 } }
let local: LocalNetwork
let server: Network
let client: Network

before(async () => {
  local = await startLocalNetwork({ bootstraps: 0 })
  server = await local.join({ role: 'seed', options: HTTP })
  client = await local.join({ role: 'device' })
  await server.handle(ECHO, LIMITS, echo)
})
after(() => local.stop())

async function echo(stream: FramedStream) {
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    await stream.send(frame)
  }
}

/** What a knock does, without a grant. */
function passTo(to: Network, endsMs = systemClock.nowMs() + 60_000): HttpPass {
  const key = systemRandom.bytes(32)
  const session = to.openHttpSession({ peerId: client.peerId, key, endsMs })
  assert.ok(session !== undefined)
  return createHttpPass({ server: to.peerId, session, key })
}

function open(
  pass: HttpPass,
  protocol = ECHO,
  to = server,
  { maxFrameBytes } = LIMITS,
): Promise<FramedStream> {
  const http = { url: to.httpUrl ?? '', pass }
  return client.open(pass.server, protocol, { maxFrameBytes, http })
}

/** One request by hand; undefined when the socket was closed without a byte. */
async function post(
  path: string,
  body: Uint8Array,
  authorization: string,
  to = server,
): Promise<number | undefined> {
  const request = plainRequest(`${to.httpUrl ?? ''}${path}`, {
    method: 'POST',
    agent: new Agent(),
    headers: { 'content-length': body.byteLength, authorization },
  })
  const status = Promise.withResolvers<number | undefined>()
  request.on('response', (response) => {
    status.resolve(response.statusCode)
    response.resume()
    response.on('error', () => undefined)
    request.destroy()
  })
  request.on('error', (error) => {
    assert.equal(codeOf(error), 'ECONNRESET')
    status.resolve(undefined)
  })
  request.end(body)
  return status.promise
}

test('frames of any size come back whole and in order, under the ID that the knock has proven', async () => {
  let seen: FramedStream | undefined
  await server.handle('/test/who', LIMITS, async (stream) => {
    seen = stream
    await echo(stream)
  })
  const stream = await open(passTo(server), '/test/who')
  const sizes = [0, 1, 4, 5_000, 64 * KIB, 64 * KIB, 3]
  const sending = (async () => {
    for (const [index, size] of sizes.entries()) {
      const frame = new Uint8Array(size).fill(index)
      await stream.send(index % 2 === 0 ? frame : [frame.subarray(0, 1), frame.subarray(1)])
    }
    await stream.close()
  })()
  const heard: number[] = []
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    assert.ok(frame.every((byte) => byte === heard.length))
    heard.push(frame.byteLength)
  }
  await sending
  assert.deepEqual(heard, sizes)
  assert.ok(seen?.remotePeer.equals(client.peerId))
})

test('what was overheard, changed, or meant for another server gets its socket closed without a byte', async () => {
  const pass = passTo(server)
  const body = new Uint8Array([0, 0, 0, 1, 7])
  const good = authorize(pass, pass.nextCount(), ECHO_PATH, body)
  assert.equal(await post(ECHO_PATH, body, good), 200)
  assert.equal(await post(ECHO_PATH, body, good), undefined, 'the same again')

  const next = () => authorize(pass, pass.nextCount(), ECHO_PATH, body)
  const changed = new Uint8Array([0, 0, 0, 1, 8])
  assert.equal(await post(ECHO_PATH, changed, next()), undefined, 'another body')
  assert.equal(await post(`${ECHO_PATH}x`, body, next()), undefined, 'another path')
  const stolen = { ...pass, key: systemRandom.bytes(32) }
  const guessed = authorize(stolen, pass.nextCount(), ECHO_PATH, body)
  assert.equal(await post(ECHO_PATH, body, guessed), undefined, 'a session without its key')
  assert.equal(await post(ECHO_PATH, body, ''), undefined, 'no proof')

  const other = await local.join({ role: 'seed', options: HTTP })
  await other.handle(ECHO, LIMITS, echo)
  // Even with the same session and key there: the MAC names the server.
  const twin = passTo(other)
  const foreign = authorize({ ...twin, server: server.peerId }, 1, ECHO_PATH, body)
  assert.equal(await post(ECHO_PATH, body, foreign, other), undefined, 'for another server')
  assert.equal(await post(ECHO_PATH, body, next()), 200, 'and the honest one goes on')
})

test('requests that overtake one another are taken, each once', async () => {
  const pass = passTo(server)
  const body = new Uint8Array()
  const proofs = [1, 2, 3].map((count) => authorize(pass, count, `${ECHO_PATH}none`, body))
  for (const proof of proofs.toReversed()) {
    assert.equal(await post(`${ECHO_PATH}none`, body, proof), 404)
  }
  for (const proof of proofs) assert.equal(await post(`${ECHO_PATH}none`, body, proof), undefined)
})

test('a session ends with its grant and is not known after a restart', async () => {
  const over = await open(passTo(server, systemClock.nowMs() - 1))
  await assert.rejects(over.receive(), (thrown) => codeOf(thrown) === 'refused')
  const forgotten = createHttpPass({ ...passTo(server), session: systemRandom.bytes(16) })
  const stream = await open(forgotten)
  await assert.rejects(stream.receive(), (thrown) => codeOf(thrown) === 'refused')
  const nobody = await client.open(server.peerId, ECHO, {
    maxFrameBytes: 10,
    http: { url: 'http://127.0.0.1:1', pass: passTo(server) },
  })
  await assert.rejects(nobody.receive(), (thrown) => codeOf(thrown) === 'unreachable')
})

test('a client that does not read holds the server back, and gets every frame later', async (t) => {
  const total = 64 * MIB
  let sent = 0
  await server.handle('/test/bulk', LIMITS, async (stream) => {
    const frame = new Uint8Array(64 * KIB)
    for (; sent < total; sent += frame.byteLength) await stream.send(frame)
  })
  const stream = await open(passTo(server), '/test/bulk')
  await stream.send(new Uint8Array(1))
  let atRest = -1
  for (let seen = 0; seen !== atRest; await systemClock.sleep(300)) {
    atRest = seen
    seen = sent
  }
  t.diagnostic(`${sent / MIB} MiB of 64 got away before the server was held back`)
  assert.ok(sent > 0 && sent <= 16 * MIB)
  let got = 0
  for (let frame = await stream.receive(); frame !== undefined; frame = await stream.receive()) {
    got += frame.byteLength
  }
  assert.equal(got, total)
})

test('large frames come whole though the reader is slower than the line', async () => {
  const frames = 96
  const limits = { ...LIMITS, maxFrameBytes: 257 * KIB }
  const bytes = limits.maxFrameBytes - 1
  await server.handle('/test/large', limits, async (stream) => {
    for (let sent = 0; sent < frames; sent++)
      await stream.send(new Uint8Array(bytes - 1_000 * sent))
  })
  const stream = await open(passTo(server), '/test/large', server, limits)
  await stream.send(new Uint8Array(1))
  for (let got = 0; got < frames; got++) {
    const frame = await stream.receive({ signal: AbortSignal.timeout(5_000) })
    assert.equal(frame?.byteLength, bytes - 1_000 * got)
    await systemClock.sleep(2)
  }
})

test('a server that does not read holds the client back', async (t) => {
  const held: FramedStream[] = []
  const done = Promise.withResolvers<void>()
  await server.handle('/test/hold', LIMITS, async (stream) => {
    held.push(stream)
    await done.promise
  })
  const stream = await open(passTo(server), '/test/hold')
  let sent = 0
  try {
    for (; sent < 64 * MIB; sent += 64 * KIB) {
      await stream.send(new Uint8Array(64 * KIB), { signal: AbortSignal.timeout(500) })
    }
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'TimeoutError')
  }
  t.diagnostic(`${sent / MIB} MiB of 64 got away`)
  assert.ok(sent <= MIB)
  const [reader] = held
  assert.ok(reader !== undefined)
  for (let got = 0; got < sent; got += 64 * KIB) {
    assert.equal((await reader.receive())?.byteLength, 64 * KIB)
  }
  done.resolve()
})

test('an end that was aborted is told from one that was reached, on both sides', async () => {
  const outcome = Promise.withResolvers<unknown>()
  await server.handle('/test/abort', LIMITS, async (stream) => {
    await stream.send((await stream.receive()) ?? new Uint8Array())
    await stream.receive().then(outcome.resolve, outcome.resolve)
  })
  const left = await open(passTo(server), '/test/abort')
  await left.send(new Uint8Array([1]))
  assert.deepEqual(await left.receive(), new Uint8Array([1]))
  left.abort(new Error('enough'))
  assert.equal(codeOf(await outcome.promise), 'stream-broken')

  await server.handle('/test/throw', LIMITS, async (stream) => {
    await stream.send(new Uint8Array([1]))
    throw new Error('no more')
  })
  const cut = await open(passTo(server), '/test/throw')
  await assert.rejects(
    async () => {
      while ((await cut.receive()) !== undefined);
    },
    (thrown) => codeOf(thrown) === 'stream-broken',
  )
})

test('streams beyond the limit are refused, the others go on; disconnecting ends them', async () => {
  const pass = passTo(server)
  const streams = await Promise.all(Array.from({ length: 4 }, () => open(pass)))
  for (const [index, stream] of streams.entries()) {
    await stream.send(new Uint8Array([index]))
    assert.deepEqual(await stream.receive(), new Uint8Array([index]))
  }
  const fifth = await open(pass)
  await assert.rejects(fifth.receive(), (thrown) => codeOf(thrown) === 'refused')
  await streams[0]?.send(new Uint8Array([9]))
  assert.deepEqual(await streams[0]?.receive(), new Uint8Array([9]))
  await server.disconnect(client.peerId)
  for (const stream of streams) {
    await assert.rejects(stream.receive(), (thrown) => codeOf(thrown) === 'stream-broken')
  }
})

test('half-open streams, slow heads and sockets that say nothing are closed', async () => {
  const hasty: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 50, run) }
  const busy = await local.join({
    role: 'seed',
    options: HTTP,
    clock: { ...hasty, monotonicMs: () => 50 * systemClock.monotonicMs() },
  })
  const ended = Promise.withResolvers<unknown>()
  await busy.handle('/test/wait', LIMITS, async (stream) => {
    await stream.receive().then(ended.resolve, ended.resolve)
  })
  const silent = await open(passTo(busy), '/test/wait', busy)
  await assert.rejects(silent.receive(), (thrown) => codeOf(thrown) === 'stream-broken')
  assert.equal(codeOf(await ended.promise), 'stream-broken')
  const { port } = new URL(server.httpUrl ?? '')
  const mute = [new Uint8Array(), utf8('POST /knock HTTP/1.1\r\nx: ')]
  const back = await Promise.all(mute.map((bytes) => bytesBack(Number(port), bytes)))
  assert.deepEqual(back, [0, 0])
})

/** Sends bytes and waits until the other side closes; how many came back. */
async function bytesBack(port: number, bytes: Uint8Array): Promise<number> {
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
