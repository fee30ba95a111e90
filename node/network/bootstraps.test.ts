import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryDatastore } from 'datastore-core'
import { type Clock, codeOf, systemClock, systemRandom, utf8 } from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { emptyNetworkFile, type LocalNetwork, startLocalNetwork } from '../testing/index.ts'

let local: LocalNetwork
before(async () => {
  local = await startLocalNetwork({ bootstraps: 2 })
})
after(() => local.stop())

test('a reservation comes back after its bootstrap was restarted', async (t) => {
  const identity = createIdentity(generateSeed(systemRandom))
  const name = identity.peerId.toString()
  const first = await local.join({
    role: 'bootstrap',
    identity,
    options: { networkFile: { ...local.file, bootstraps: [{ peerId: name, multiaddrs: [] }] } },
  })
  const addresses = first.addresses().direct.map(String)
  const networkFile = {
    ...emptyNetworkFile(),
    bootstraps: [{ peerId: name, multiaddrs: addresses }],
  }
  const peer = await local.join({ role: 'peer', options: { networkFile } })
  const isReserved = () => peer.addresses().relayed.length > 0
  await eventually('the first reservation', isReserved)
  await first.stop()
  await eventually('the reservation is gone with the bootstrap', () => !isReserved())
  await systemClock.sleep(1000)
  await local.join({ role: 'bootstrap', identity, options: { networkFile, listen: addresses } })
  const restartedMs = performance.now()
  await eventually('the reservation is back', isReserved)
  t.diagnostic(`reserved again ${Math.round(performance.now() - restartedMs)} ms after the restart`)
})

test('without any bootstrap a node starts, costs next to nothing and says what is wrong', async (t) => {
  const nobody = createIdentity(generateSeed(systemRandom)).peerId.toString()
  const networkFile = {
    ...emptyNetworkFile(),
    bootstraps: [{ peerId: nobody, multiaddrs: ['/ip4/127.0.0.1/tcp/1'] }],
  }
  // The wait for a bootstrap is a fifth as long as it is for people.
  const hasty: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 5, run) }
  const peer = await local.join({ role: 'peer', clock: hasty, options: { networkFile } })
  const before = process.cpuUsage()
  const startedMs = performance.now()
  const other = createIdentity(generateSeed(systemRandom)).peerId
  await assert.rejects(peer.knockThroughBootstrap(other, utf8('hi')), (thrown) => {
    return codeOf(thrown) === 'no-bootstrap'
  })
  const { user, system } = process.cpuUsage(before)
  const share = (user + system) / 1000 / (performance.now() - startedMs)
  t.diagnostic(`${(100 * share).toFixed(1)} % of a core for this node and two idle bootstraps`)
  assert.ok(share < 0.25)
})

test('an address that worked is tried again when the network file has none', async () => {
  const [bootstrap] = local.bootstraps
  assert.ok(bootstrap !== undefined)
  const name = bootstrap.peerId.toString()
  const datastore = new MemoryDatastore()
  const identity = createIdentity(generateSeed(systemRandom))
  const listed = bootstrap.addresses().direct.map(String)
  const withFile = (multiaddrs: readonly string[]) => ({
    role: 'peer' as const,
    identity,
    datastore,
    options: { networkFile: { ...emptyNetworkFile(), bootstraps: [{ peerId: name, multiaddrs }] } },
  })
  const once = await local.join(withFile(listed))
  await eventually('it connects', () => once.libp2p.getConnections().length > 0)
  await systemClock.sleep(100)
  await once.stop()
  const again = await local.join(withFile([]))
  await eventually('it connects again', () => again.libp2p.getConnections().length > 0)
})

test('a knock is carried to a peer that has not let us in, and its one answer back', async () => {
  const [asker, owner] = [
    await local.join({ role: 'peer' }),
    await local.join({ role: 'peer', gate: { denyInboundRelayedConnection: () => true } }),
  ]
  await eventually('the owner is connected', () => owner.addresses().relayed.length > 0)
  owner.onKnock(async (message, from) => {
    assert.ok(from.equals(asker.peerId))
    return message.byteLength === 1 ? undefined : utf8('come in')
  })
  assert.deepEqual(await asker.knockThroughBootstrap(owner.peerId, utf8('hello')), utf8('come in'))
  assert.equal(await asker.knockThroughBootstrap(owner.peerId, utf8('x')), undefined)
  const nobody = createIdentity(generateSeed(systemRandom)).peerId
  assert.equal(await asker.knockThroughBootstrap(nobody, utf8('hello')), undefined)
  await assert.rejects(
    asker.knockThroughBootstrap(owner.peerId, new Uint8Array(5000)),
    (thrown) => {
      return codeOf(thrown) === 'frame-too-large'
    },
  )
})

test('a bootstrap carries so many knocks of one source a minute and no more', async () => {
  const [asker, owner] = [await local.join({ role: 'peer' }), await local.join({ role: 'peer' })]
  await eventually('the owner is connected', () => owner.libp2p.getPeers().length >= 2)
  let heard = 0
  owner.onKnock(async () => {
    heard += 1
    return undefined
  })
  for (let count = 0; count < 50; count++) {
    await asker.knockThroughBootstrap(owner.peerId, utf8('again'))
  }
  // Twenty a minute at each of the two bootstraps; what one refuses the other is asked.
  assert.ok(heard >= 20 && heard <= 42, `${heard} arrived`)
})

test('bootstraps tell of their own addresses, and keep up with one another', async () => {
  await eventually('both are connected', () =>
    local.bootstraps.every(({ libp2p }, index) => {
      const other = local.bootstraps[1 - index]
      return other !== undefined && libp2p.getConnections(other.peerId).length > 0
    }),
  )
  const [first] = local.bootstraps
  assert.deepEqual(first?.libp2p.getMultiaddrs().map(String), [
    `${first?.addresses().direct[0]?.toString()}/p2p/${first?.peerId.toString()}`,
  ])
  assert.ok(
    multiaddr(first?.libp2p.getMultiaddrs()[0]?.toString() ?? '').getComponents().length === 3,
  )
})

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 15_000
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`not within 15 s: ${what}`)
    await systemClock.sleep(20)
  }
}
