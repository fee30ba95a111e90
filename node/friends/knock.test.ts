import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  accepted,
  type Clock,
  codeOf,
  refused,
  systemClock,
  systemRandom,
  unixSeconds,
} from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { type SignedGrant, serviceId, signGrant } from '../receipts/index.ts'
import {
  joinPerson,
  type LocalNetwork,
  type LocalPerson,
  type PersonOptions,
  startLocalNetwork,
} from '../testing/index.ts'

const DOMAIN = { chainId: 31337, verifyingContract: `0x${'1'.repeat(40)}` } as const
const vendor = createIdentity(generateSeed(systemRandom))
const FRAME = { maxFrameBytes: 100, maxInboundStreams: 4 }
let local: LocalNetwork
const people: LocalPerson[] = []
before(async () => {
  local = await startLocalNetwork({ bootstraps: 1 })
})
after(async () => {
  await Promise.all(people.map((person) => person.leave()))
  await local.stop()
})

async function person(options: PersonOptions): Promise<LocalPerson> {
  const made = await joinPerson(local, options)
  people.push(made)
  return made
}

/** Timers that go off ten times as early: looks for ended grants every second and a half. */
const hasty: Clock = { ...systemClock, after: (ms, run) => systemClock.after(ms / 10, run) }

/** A seed that takes every grant shown by the device that it names. */
function seed(options: PersonOptions = {}) {
  return person({
    role: 'seed',
    checkGrant: async (grant, device) =>
      grant.message.device === device
        ? accepted({ notAfter: grant.message.notAfter })
        : refused('grant-for-another-device'),
    ...options,
  })
}

function grantFor(device: LocalPerson, seconds: number): SignedGrant {
  return signGrant(vendor, DOMAIN, {
    vendor: vendor.evmAddress,
    device: device.identity.evmAddress,
    root: `0x${'ab'.repeat(32)}`,
    deltaRoot: `0x${'00'.repeat(32)}`,
    maxBytes: 1n,
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: 0,
    notAfter: unixSeconds(systemClock) + seconds,
    serial: 1n,
  })
}

test('a grant shown over a bootstrap opens both gates for as long as it lasts', async () => {
  const server = await seed({ clock: hasty })
  const device = await person({ role: 'device' })
  await eventually('a reservation', () => server.network.addresses().relayed.length > 0)
  await server.network.handle('/test/hi', FRAME, (stream) => stream.send(new Uint8Array([1])))
  const open = (multiaddrs = server.network.addresses().direct) =>
    device.network.open(server.network.peerId, '/test/hi', { ...FRAME, multiaddrs })
  await assert.rejects(open(), (thrown) => codeOf(thrown) === 'refused')

  const answer = await device.friends.knock({ peerId: server.network.peerId }, grantFor(device, 3))
  assert.ok(answer.ok)
  const stream = await open(answer.value.addresses)
  assert.deepEqual(await stream.receive(), new Uint8Array([1]))
  await eventually(
    'the grant has ended, and the connection with it',
    () => server.network.libp2p.getConnections(device.network.peerId).length === 0,
  )
  assert.equal(server.gate.isWelcome(device.network.peerId), false)
  await assert.rejects(open(), (thrown) => codeOf(thrown) === 'refused')
})

test('a server that is not there is told apart from one that does not take the grant', async () => {
  const server = await seed({ httpListen: { host: '127.0.0.1', port: 0 } })
  const [device, other] = [await person({ role: 'device' }), await person({ role: 'device' })]
  const knock = (peerId = server.network.peerId, http = server.network.httpUrl ?? '') =>
    device.friends.knock({ peerId, http }, grantFor(other, 60))
  assert.deepEqual(await knock(), refused('knock-refused'))
  const nobody = createIdentity(generateSeed(systemRandom)).peerId
  assert.deepEqual(await knock(nobody, 'http://127.0.0.1:1'), refused('knock-unanswered'))
})

test('a knock for one server means nothing at another, even with the same grant', async () => {
  const listen = { httpListen: { host: '127.0.0.1', port: 0 } }
  const [first, second] = [await seed(listen), await seed(listen)]
  const device = await person({ role: 'device' })
  const misdirected = await device.friends.knock(
    { peerId: first.network.peerId, http: second.network.httpUrl ?? '' },
    grantFor(device, 60),
  )
  assert.deepEqual(misdirected, refused('knock-refused'))
  assert.equal(second.gate.isWelcome(device.network.peerId), false)
})

async function eventually(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > endMs) assert.fail(`not within 10 s: ${what}`)
    await systemClock.sleep(20)
  }
}
