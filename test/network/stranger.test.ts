import assert from 'node:assert/strict'
import type { Server } from 'node:net'
import { after, before, test } from 'node:test'
import type { Peer } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import {
  accepted,
  concat,
  refused,
  systemClock,
  systemRandom,
  unixSeconds,
} from '../../node/base/index.ts'
import { createIdentity, generateSeed } from '../../node/identity/index.ts'
import { type Grant, grantSigner, serviceId, signGrant } from '../../node/receipts/index.ts'
import {
  joinPerson,
  type LocalNetwork,
  type LocalPerson,
  startLocalNetwork,
} from '../../node/testing/index.ts'
import {
  bytesBack,
  recordingProxy,
  senselessRequests,
  type Stock,
  stockNode,
} from './stranger-tries.ts'

const DOMAIN = { chainId: 31337, verifyingContract: `0x${'1'.repeat(40)}` } as const
const vendor = createIdentity(generateSeed(systemRandom))

let local: LocalNetwork
let seed: LocalPerson
let stranger: Stock
const people: LocalPerson[] = []
const servers: Server[] = []

before(async () => {
  local = await startLocalNetwork({ bootstraps: 2 })
  seed = await joinPerson(local, {
    role: 'seed',
    httpListen: { host: '127.0.0.1', port: 0 },
    checkGrant: async (grant, device) => {
      if (grantSigner(DOMAIN, grant) !== vendor.evmAddress) return refused('grant-signer-unknown')
      if (grant.message.device !== device) return refused('grant-for-another-device')
      const { notAfter } = grant.message
      return notAfter > unixSeconds(systemClock) ? accepted({ notAfter }) : refused('grant-expired')
    },
  })
  people.push(seed)
  await eventually('the seed has its reservations', () => {
    return seed.network.addresses().relayed.length >= 2
  })
  stranger = await stockNode()
  for (const bootstrap of local.bootstraps) await stranger.dial([...bootstrap.addresses().direct])
})
after(async () => {
  for (const server of servers) server.close()
  await stranger.stop()
  await Promise.all(people.map((person) => person.leave()))
  await local.stop()
})

test('a stranger that knows the address gets no identify data and no stream of any protocol', async () => {
  let opened = 0
  seed.network.libp2p.addEventListener('connection:open', ({ detail }) => {
    if (detail.remotePeer.equals(stranger.peerId)) opened += 1
  })
  await seed.network.handle(
    '/test/secret',
    { maxFrameBytes: 100, maxInboundStreams: 8 },
    async () => assert.fail('a stranger was served'),
  )
  const [relayed] = seed.network.addresses().relayed
  const ways = [...seed.network.addresses().direct, ...(relayed === undefined ? [] : [relayed])]
  assert.equal(ways.length, 2)
  for (const address of ways) {
    const target = multiaddr(address.toString().replace(/\/p2p\/[^/]+$/, '')).encapsulate(
      `/p2p/${seed.network.peerId.toString()}`,
    )
    for (const protocol of [
      '/test/secret',
      '/ipfs/id/1.0.0',
      '/ipfs/ping/1.0.0',
      '/ioex/kad/1.0.0',
      '/ioex/friend/1.0.0',
      '/ioex/knock/1.0.0',
      '/meshsub/1.2.0',
      '/libp2p/circuit/relay/0.2.0/stop',
    ]) {
      await assert.rejects(async () => {
        const connection = await stranger.dial(target)
        await connection.newStream(protocol, { signal: AbortSignal.timeout(3000) })
      }, `${protocol} was opened over ${target.toString()}`)
    }
    await assert.rejects(async () => {
      const connection = await stranger.dial(target)
      await stranger.services.identify.identify(connection)
    })
  }
  assert.equal(opened, 0)
  const known = await stranger.peerStore.all()
  const self = known.find(({ id }) => id.equals(seed.network.peerId))
  assert.deepEqual(self?.protocols ?? [], [])
})

test('the DHT tells a stranger circuit addresses of the seed only', async () => {
  const heard: string[] = []
  for (const bootstrap of local.bootstraps) {
    await eventually('the seed has told its circuits to the bootstrap', async () => {
      const stored = await bootstrap.libp2p.peerStore.get(seed.network.peerId)
      heard.push(...stored.addresses.map(({ multiaddr: address }) => address.toString()))
      return stored.addresses.length > 0
    })
  }
  const query = stranger.services.dht.findPeer(seed.network.peerId, {
    useCache: false,
    signal: AbortSignal.timeout(5000),
  })
  const asked = new Set<string>()
  for await (const event of query) {
    if (event.name !== 'PEER_RESPONSE') continue
    asked.add(event.from.toString())
    for (const { id, multiaddrs } of event.closer) {
      if (id.equals(seed.network.peerId)) heard.push(...multiaddrs.map(String))
    }
  }
  assert.ok(asked.size > 0)
  assert.ok(heard.length > 0, 'the seed can be found, by its circuits')
  assert.ok(heard.every((address) => address.includes('/p2p-circuit')))
  for (const direct of seed.network.addresses().direct) {
    const port = /\/tcp\/\d+/.exec(direct.toString())?.[0] ?? ''
    assert.ok(port !== '' && heard.every((address) => !address.endsWith(port)))
  }
})

test('even a peer that tells its direct address to a bootstrap is not given away', async () => {
  const careless = await stockNode()
  try {
    const [bootstrap] = local.bootstraps
    assert.ok(bootstrap !== undefined)
    await careless.dial([...bootstrap.addresses().direct])
    let stored: Peer | undefined
    await eventually('the bootstrap has identified it', async () => {
      const all = await bootstrap.libp2p.peerStore.all()
      stored = all.find(({ id }) => id.equals(careless.peerId))
      return stored !== undefined && stored.protocols.length > 0
    })
    assert.deepEqual(stored?.addresses, [])
  } finally {
    await careless.stop()
  }
})

test('the knock answers a valid grant once, and nothing else gets a single byte', async () => {
  const device = await joinPerson(local, { role: 'device' })
  people.push(device)
  const wire = await recordingProxy(seed.network.httpUrl ?? '')
  servers.push(wire.server)
  const grantFor = (change: Partial<Grant>) =>
    signGrant(vendor, DOMAIN, {
      vendor: vendor.evmAddress,
      device: device.identity.evmAddress,
      root: `0x${'ab'.repeat(32)}`,
      deltaRoot: `0x${'00'.repeat(32)}`,
      maxBytes: 1_000_000n,
      service: serviceId('ioex/bandwidth'),
      priceVersion: 1,
      notBefore: unixSeconds(systemClock) - 10,
      notAfter: unixSeconds(systemClock) + 600,
      serial: 1n,
      ...change,
    })
  const server = { peerId: seed.network.peerId, http: wire.url }
  const valid = grantFor({})

  for (const [what, grant] of [
    ['expired', grantFor({ notAfter: unixSeconds(systemClock) - 1 })],
    ['foreign', grantFor({ device: vendor.evmAddress })],
    ['tampered', { ...valid, message: { ...valid.message, maxBytes: 9_000_000n } }],
  ] as const) {
    wire.reset()
    assert.deepEqual(await device.friends.knock(server, grant), refused('knock-refused'), what)
    assert.equal(wire.answered.length, 0, `${what}: bytes came back`)
  }
  assert.equal(seed.gate.isWelcome(device.network.peerId), false)

  wire.reset()
  const admitted = await device.friends.knock(server, valid)
  assert.ok(admitted.ok)
  assert.deepEqual(
    admitted.value.addresses.map(String),
    seed.network.addresses().direct.map(String),
  )
  assert.equal(seed.gate.isWelcome(device.network.peerId), true)
  const asked = concat(wire.asked)
  assert.ok(!Buffer.from(asked).includes(device.identity.evmAddress.slice(2)))

  const inputs = { 'the same knock again': asked, ...senselessRequests() }
  const { port } = new URL(seed.network.httpUrl ?? '')
  for (const [what, bytes] of Object.entries(inputs)) {
    assert.equal(await bytesBack(Number(port), bytes), 0, `${what} was answered`)
  }
})

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 15_000
  while (!(await holds())) {
    if (performance.now() > endMs) assert.fail(`not within 15 s: ${what}`)
    await systemClock.sleep(50)
  }
}
