import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accepted, type Clock, refused, systemClock } from '../base/index.ts'
import { encodeContactAddress } from '../identity/index.ts'
import {
  joinPerson,
  type LocalNetwork,
  type LocalPerson,
  type PersonOptions,
  startLocalNetwork,
} from '../testing/index.ts'

let local: LocalNetwork
const people: LocalPerson[] = []

before(async () => {
  local = await startLocalNetwork({ bootstraps: 1 })
})
after(async () => {
  await Promise.all(people.map((person) => person.leave()))
  await local.stop()
})

const HTTP = { httpListen: { host: '127.0.0.1', port: 0 } }

async function person(options: PersonOptions = {}): Promise<LocalPerson> {
  const made = await joinPerson(local, options)
  people.push(made)
  return made
}

/** Timers that go off ten times as early, so that the first repetition comes after half a second. */
const hasty: Clock = {
  ...systemClock,
  after: (ms, run) => systemClock.after(ms / 10, run),
}

const areFriends = (a: LocalPerson, b: LocalPerson) =>
  a.gate.isFriend(b.network.peerId) && b.gate.isFriend(a.network.peerId)

async function eventually(what: string, holds: () => boolean, withinMs = 8000): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`not within ${withinMs} ms: ${what}`)
    await systemClock.sleep(20)
  }
}

/** Proves the friendship on the wire: a stream opened by PeerId and the address told. */
async function canTalk(from: LocalPerson, to: LocalPerson): Promise<boolean> {
  await to.network.handle(
    '/test/hi',
    { maxFrameBytes: 10, maxInboundStreams: 4 },
    async (stream) => {
      await stream.send(new Uint8Array([1]))
    },
  )
  const told = from.friends.list().find(({ peerId }) => peerId.equals(to.network.peerId))
  const stream = await from.network.open(to.network.peerId, '/test/hi', {
    maxFrameBytes: 10,
    multiaddrs: told?.multiaddrs ?? [],
  })
  const frame = await stream.receive()
  await stream.close()
  return frame?.[0] === 1
}

test('asking over HTTP and accepting makes friends on both sides', async () => {
  const [anna, ben] = [await person(), await person(HTTP)]
  const asked = await anna.friends.request(ben.friends.contactAddress(), {
    hello: 'Anna from work',
    ...knockUrlOf(ben),
  })
  assert.deepEqual(asked, accepted('asked'))
  const [pending] = ben.friends.pending()
  assert.equal(pending?.hello, 'Anna from work')
  assert.equal(anna.gate.isWelcome(ben.network.peerId), false)

  const answer = await ben.friends.accept(anna.network.peerId)
  assert.ok(answer.ok)
  await eventually('anna hears of it', () => areFriends(anna, ben))
  assert.equal(ben.friends.pending().length, 0)
  assert.ok(await canTalk(anna, ben))
  assert.ok(await canTalk(ben, anna))
})

test('without any address the request finds its way over a bootstrap', async () => {
  const [anna, ben] = [await person(), await person()]
  await reserved(ben)
  const asked = await anna.friends.request(ben.friends.contactAddress(), { hello: 'hi' })
  assert.deepEqual(asked, accepted('asked'))
  await ben.friends.accept(anna.network.peerId)
  await eventually('anna hears of it', () => areFriends(anna, ben))
  assert.ok(await canTalk(anna, ben))
})

test('the right pairing code makes friends at once', async () => {
  const [anna, ben] = [await person(), await person({ ...HTTP, pairingCode: '482 913' })]
  const asked = await anna.friends.request(ben.friends.contactAddress(), {
    hello: '',
    pairingCode: '482 913',
    ...knockUrlOf(ben),
  })
  assert.deepEqual(asked, accepted('befriended'))
  assert.ok(areFriends(anna, ben))
  assert.ok(await canTalk(anna, ben))
})

test('wrong pairing codes get silence, and after five a minute the right one does too', async () => {
  const ben = await person({ ...HTTP, pairingCode: '482913' })
  for (let guess = 0; guess < 6; guess++) {
    const anna = await person()
    const asked = await anna.friends.request(ben.friends.contactAddress(), {
      hello: '',
      pairingCode: guess < 5 ? `00000${guess}` : '482913',
      ...knockUrlOf(ben),
    })
    assert.deepEqual(asked, refused('knock-refused'))
    await anna.leave()
  }
  assert.equal(ben.friends.list().length, 0)
  assert.equal(ben.friends.pending().length, 0)
})

test('an address with an old nospam gets silence', async () => {
  const [anna, ben] = [await person(), await person(HTTP)]
  const old = encodeContactAddress({
    publicKey: ben.identity.publicKey,
    nospam: new Uint8Array([9, 9, 9, 9]),
  })
  const asked = await anna.friends.request(old, { hello: '', ...knockUrlOf(ben) })
  assert.deepEqual(asked, refused('address-outdated'))
  assert.equal(ben.friends.pending().length, 0)
})

test('both asking at the same time become friends without a click', async () => {
  const [anna, ben] = [await person(HTTP), await person(HTTP)]
  const results = await Promise.all([
    anna.friends.request(ben.friends.contactAddress(), { hello: '', ...knockUrlOf(ben) }),
    ben.friends.request(anna.friends.contactAddress(), { hello: '', ...knockUrlOf(anna) }),
  ])
  assert.ok(results.every(({ ok }) => ok))
  await eventually('both are friends', () => areFriends(anna, ben))
  assert.equal(anna.friends.pending().length + ben.friends.pending().length, 0)
})

test('a crash between asking and hearing the answer does not split the two', async () => {
  const ben = await person(HTTP)
  const anna = await person()
  await anna.friends.request(ben.friends.contactAddress(), { hello: '', ...knockUrlOf(ben) })
  await anna.leave()
  await ben.friends.accept(anna.network.peerId)
  const annaAgain = await person({
    identity: anna.identity,
    records: anna.records,
    clock: hasty,
  })
  await eventually('the repeated request brings the answer', () => areFriends(annaAgain, ben))
})

test('a declined request is not asked again by repetition, only anew', async () => {
  const [anna, ben] = [await person(), await person(HTTP)]
  const ask = () =>
    anna.friends.request(ben.friends.contactAddress(), { hello: 'please', ...knockUrlOf(ben) })
  await ask()
  assert.equal(ben.friends.decline(anna.network.peerId), true)
  assert.equal(ben.friends.decline(anna.network.peerId), false)
  assert.equal(ben.friends.pending().length, 0)
  await ask()
  assert.equal(ben.friends.pending().length, 1)
})

test('removing a friend cuts live streams within a second and keeps him out', async () => {
  const [anna, ben] = [await person(), await person({ ...HTTP, pairingCode: '1' })]
  await anna.friends.request(ben.friends.contactAddress(), {
    hello: '',
    pairingCode: '1',
    ...knockUrlOf(ben),
  })
  await ben.network.handle(
    '/test/hold',
    { maxFrameBytes: 10, maxInboundStreams: 4 },
    async (stream) => void (await stream.receive()),
  )
  const [friend] = anna.friends.list()
  const open = { maxFrameBytes: 10, multiaddrs: friend?.multiaddrs ?? [] }
  const stream = await anna.network.open(ben.network.peerId, '/test/hold', open)
  const ended = stream.receive().then(
    () => performance.now(),
    () => performance.now(),
  )
  const removedMs = performance.now()
  assert.equal(await ben.friends.remove(anna.network.peerId), true)
  assert.ok((await ended) - removedMs < 1000)
  await assert.rejects(anna.network.open(ben.network.peerId, '/test/hold', open))
  assert.equal(ben.network.libp2p.getConnections(anna.network.peerId).length, 0)
})

test('friends learn each other’s new direct addresses over a circuit', async () => {
  const [anna, ben] = [await person(), await person()]
  anna.friends.add(ben.network.peerId, { name: 'Ben' })
  ben.friends.add(anna.network.peerId, { name: 'Anna' })
  await reserved(ben)
  assert.ok(await canTalk(anna, ben))
  const benAtAnnas = () => anna.friends.list()[0]?.multiaddrs.map(String) ?? []
  const direct = ben.network.addresses().direct.map(String)
  await eventually('the address arrives', () => direct.every((one) => benAtAnnas().includes(one)))
  assert.ok(await canTalk(anna, ben))
  const connections = anna.network.libp2p.getConnections(ben.network.peerId)
  assert.ok(connections.some(({ remoteAddr }) => !remoteAddr.toString().includes('p2p-circuit')))
})

test('a wrong contact address is an error that says so', async () => {
  const anna = await person()
  for (const text of ['', 'abc', anna.friends.contactAddress()]) {
    await assert.rejects(anna.friends.request(text, { hello: '' }), {
      code: 'contact-address-invalid',
    })
  }
})

function knockUrlOf(to: LocalPerson) {
  return to.friends.knockUrl === undefined ? {} : { knockUrl: to.friends.knockUrl }
}

async function reserved(who: LocalPerson) {
  await eventually('a reservation', () => who.network.addresses().relayed.length > 0)
}
