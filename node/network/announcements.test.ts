import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { GossipSub } from '@libp2p/gossipsub'
import { codeOf, systemClock, systemRandom } from '../base/index.ts'
import { createIdentity, type EvmAddress, generateSeed } from '../identity/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'
import type { Announcement, Network } from './index.ts'

const ROOT = 'bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const gateway = createIdentity(generateSeed(systemRandom))
let local: LocalNetwork
let announcer: Network
let leaf: Network

before(async () => {
  local = await startLocalNetwork({ bootstraps: 2, announcers: [gateway] })
  announcer = await local.join({ role: 'gateway', identity: gateway })
  leaf = await local.join({ role: 'device' })
})
after(() => local.stop())

function newVendor(): EvmAddress {
  return createIdentity(generateSeed(systemRandom)).evmAddress
}

function release(vendor: EvmAddress, change: Partial<Announcement> = {}): Announcement {
  return {
    vendor,
    root: ROOT,
    model: 'speaker',
    version: '1.0.0',
    issuedAtMs: systemClock.nowMs(),
    ...change,
  }
}

function pubsubOf(network: Network): GossipSub {
  return network.libp2p.services['pubsub'] as GossipSub
}

/** Listens and waits until every bootstrap has the listener in its mesh. */
async function listenTo(network: Network, vendor: EvmAddress) {
  const heard: Announcement[] = []
  const stop = network.listen([vendor], (announcement) => heard.push(announcement))
  const name = network.peerId.toString()
  await eventually('the bootstraps pass on to who listens', () => {
    const topics = pubsubOf(network).getTopics()
    return local.bootstraps.every((bootstrap) => {
      const { mesh } = pubsubOf(bootstrap) as GossipSub & { mesh: Map<string, Set<string>> }
      return topics.every((topic) => mesh.get(topic)?.has(name) === true)
    })
  })
  return { heard, stop }
}

test('a leaf hears the releases of its vendors, each once, and no longer when it stops', async () => {
  const [mine, other] = [newVendor(), newVendor()]
  const { heard, stop } = await listenTo(leaf, mine)
  assert.equal(await announcer.announce(release(mine)), 2)
  await announcer.announce(release(other))
  await announcer.announce(release(mine, { version: '1.0.1' }))
  await eventually('both arrive', () => heard.length === 2)
  await systemClock.sleep(300)
  assert.deepEqual(
    heard.map(({ version }) => version),
    ['1.0.0', '1.0.1'],
  )
  assert.equal(heard[0]?.vendor, mine)
  stop()
  await announcer.announce(release(mine, { version: '1.0.2' }))
  await systemClock.sleep(300)
  assert.equal(heard.length, 2)
})

test('a leaf that stopped listening and listens again hears at once', async () => {
  const vendor = newVendor()
  const first = await listenTo(leaf, vendor)
  first.stop()
  await systemClock.sleep(100)
  const startMs = performance.now()
  const { heard, stop } = await listenTo(leaf, vendor)
  assert.ok(performance.now() - startMs < 2500, 'within two heartbeats')
  await announcer.announce(release(vendor))
  await eventually('it arrives', () => heard.length === 1)
  stop()
})

test('old ones, ones from the future and too many of one vendor are not passed on', async () => {
  const vendor = newVendor()
  const { heard, stop } = await listenTo(leaf, vendor)
  const nowMs = systemClock.nowMs()
  const startMs = performance.now()
  await announcer.announce(release(vendor, { version: 'old', issuedAtMs: nowMs - 11 * 60_000 }))
  await announcer.announce(release(vendor, { version: 'early', issuedAtMs: nowMs + 3 * 60_000 }))
  for (let number = 0; number < 40; number++) {
    await announcer.announce(release(vendor, { version: `v${number}` }))
  }
  await eventually('the first thirty arrive', () => heard.length >= 30)
  await systemClock.sleep(300)
  const refilled = Math.ceil((performance.now() - startMs) / 2000)
  assert.ok(heard.length <= 30 + refilled, `${heard.length} were passed on`)
  assert.ok(heard.every(({ version }) => version.startsWith('v')))
  stop()
})

test('a leaf that pushes is not listened to, nor can it make routers miss the genuine message', async () => {
  const vendor = newVendor()
  const { heard, stop } = await listenTo(leaf, vendor)
  const pusher = await local.join({ role: 'device' })
  const caught = await listenTo(pusher, vendor)
  // The pusher gets hold of a genuine message before any router has it.
  const bytes: { topic: string; data: Uint8Array }[] = []
  const sender = pubsubOf(announcer)
  const publish = sender.publish.bind(sender)
  sender.publish = async (topic, data = new Uint8Array()) => {
    bytes.push({ topic, data })
    return { recipients: [] }
  }
  await announcer.announce(release(vendor))
  sender.publish = publish
  const [genuine] = bytes
  assert.ok(genuine !== undefined)
  const pushed = await pubsubOf(pusher).publish(genuine.topic, genuine.data)
  assert.ok(pushed.recipients.length > 0, 'it left the pusher')
  await systemClock.sleep(300)
  assert.equal(heard.length, 0)

  await sender.publish(genuine.topic, genuine.data)
  await eventually('the genuine one arrives', () => heard.length === 1)
  caught.stop()
  stop()
})

test('only announcers announce, and what does not fit is refused at the door', async () => {
  const refusedWith = (code: string) => (thrown: unknown) => codeOf(thrown) === code
  await assert.rejects(leaf.announce(release(newVendor())), refusedWith('not-an-announcer'))
  for (const change of [{ model: 'm'.repeat(3000) }, { root: 'no cid' }]) {
    const wrong = announcer.announce(release(newVendor(), change))
    await assert.rejects(wrong, refusedWith('announcement-too-large'))
  }
})

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`not within 10 s: ${what}`)
    await systemClock.sleep(20)
  }
}
