import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { KIB, MIB, systemClock } from '../base/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'

const FRAME = { maxFrameBytes: 256 * KIB, maxInboundStreams: 100 }
let local: LocalNetwork
const sockets = new Set<Socket>()
const server = createServer()
before(async () => {
  local = await startLocalNetwork({ bootstraps: 1 })
})
after(async () => {
  for (const socket of sockets) socket.destroy()
  server.close()
  await local.stop()
})

test('when the far end of a circuit takes nothing, the bootstrap stops reading the near end', async (t) => {
  const [bootstrap] = local.bootstraps
  assert.ok(bootstrap !== undefined)
  const stalled = await stallingProxy(bootstrap.addresses().direct[0]?.toString() ?? '')
  const bob = await local.join({
    role: 'peer',
    options: {
      networkFile: {
        ...local.file,
        bootstraps: [{ peerId: bootstrap.peerId.toString(), multiaddrs: [stalled.address] }],
      },
    },
  })
  const alice = await local.join({ role: 'peer' })
  await bob.handle('/test/hold', FRAME, async (stream) => {
    await stream.receive()
  })
  await eventually('bob has a reservation', () => bob.addresses().relayed.length > 0)
  // A stream's window is 256 KiB at first; with so many of them 16 MiB may be under way.
  const streams = await Promise.all(
    Array.from({ length: 60 }, () => alice.open(bob.peerId, '/test/hold', FRAME)),
  )
  stalled.stall()
  await Promise.allSettled(
    streams.map((stream) =>
      stream.send(new Uint8Array(255 * KIB), { signal: AbortSignal.timeout(1500) }),
    ),
  )
  const outer = hopStream(alice.libp2p.getConnections(bootstrap.peerId))
  const inner = hopStream(bootstrap.libp2p.getConnections(alice.peerId))
  assert.equal(inner.readStatus, 'paused')
  const waiting = alice.libp2p
    .getConnections(bob.peerId)
    .flatMap((connection) => connection.streams)
    .reduce((sum, stream) => sum + stream.writeBufferLength, outer.writeBufferLength)
  t.diagnostic(`${(waiting / MIB).toFixed(1)} of 15 MiB wait at the sender`)
  assert.ok(waiting > 4 * MIB)
})

function hopStream(
  connections: ReturnType<LocalNetwork['bootstraps'][0]['libp2p']['getConnections']>,
) {
  const stream = connections
    .flatMap(({ streams }) => streams)
    .find(({ protocol }) => protocol === '/libp2p/circuit/relay/0.2.0/hop')
  assert.ok(stream !== undefined, 'there is a circuit')
  return stream
}

/** Forwards TCP to a bootstrap, until it takes nothing more from it. */
async function stallingProxy(address: string) {
  const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1])
  const stalling: (() => void)[] = []
  server.on('connection', (near: Socket) => {
    const far = connect({ host: '127.0.0.1', port })
    for (const socket of [near, far]) {
      sockets.add(socket)
      // The other half is gone as well then; the test's end cuts both.
      socket.on('error', () => undefined)
    }
    near.pipe(far)
    far.pipe(near)
    stalling.push(() => {
      far.unpipe(near)
      far.pause()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const listening = server.address()
  assert.ok(typeof listening === 'object' && listening !== null)
  return {
    address: `/ip4/127.0.0.1/tcp/${listening.port}`,
    stall() {
      for (const stall of stalling) stall()
    },
  }
}

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 15_000
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`not within 15 s: ${what}`)
    await systemClock.sleep(20)
  }
}
