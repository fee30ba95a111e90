/** Devices on one network, under a clock that jumps; the datagrams are real, what carries them is not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Clock, silentLog, systemRandom } from '../base/index.ts'
import { createIdentity, generateSeed, type Identity } from '../identity/index.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { createLan } from './lan.ts'
import { BEACON_BYTES, type Beacon, beaconKeyOf, openBeacon, sealBeacon } from './lan-beacon.ts'
import type { LanPeer } from './index.ts'

const ROOT = systemRandom.bytes(32)
const random = seededRandom('lan')

interface Sent {
  readonly datagram: Uint8Array
  readonly ip: string
}

function createAir() {
  let nowMs = 1_700_000_000_000
  const due: { atMs: number; run: () => void }[] = []
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async () => undefined,
    after(ms, run) {
      const event = { atMs: nowMs + ms, run }
      due.push(event)
      return () => {
        if (due.includes(event)) due.splice(due.indexOf(event), 1)
      }
    },
  }
  const listeners = new Map<string, (datagram: Uint8Array, ip: string) => void>()
  const sent: Sent[] = []
  const send = (datagram: Uint8Array, ip: string) => {
    sent.push({ datagram, ip })
    for (const heard of [...listeners.values()]) heard(datagram, ip)
  }
  let hosts = 0
  const host = (identity: Identity = createIdentity(generateSeed(systemRandom))) => {
    const ip = `10.0.${hosts >> 8}.${hosts++ & 255}`
    const lan = createLan({
      identity,
      clock,
      random,
      log: silentLog,
      portsAt: () => ({ tcpPort: 4_001, httpPort: 4_180 }),
      openSocket: ({ heard }) => {
        listeners.set(ip, heard)
        return { send: (make) => send(make(ip), ip), close: () => listeners.delete(ip) }
      },
    })
    const found: LanPeer[] = []
    const join = (secret = ROOT, serves = async () => true) =>
      lan.join(secret, (peer) => found.push(peer), serves)
    return {
      ip,
      identity,
      found,
      join,
      lan,
      heard: (each: Sent) => listeners.get(ip)?.(each.datagram, each.ip),
    }
  }
  return {
    clock,
    sent,
    send,
    host,
    listeners,
    async pass(ms: number) {
      const endMs = nowMs + ms
      for (;;) {
        due.sort((a, b) => a.atMs - b.atMs)
        const [next] = due
        if (next === undefined || next.atMs > endMs) break
        due.shift()
        nowMs = next.atMs
        next.run()
        // What is asked meanwhile is answered by promises.
        await new Promise((resolve) => setImmediate(resolve))
      }
      nowMs = endMs
    },
  }
}

type Air = ReturnType<typeof createAir>

const idsOf = (peers: readonly LanPeer[]) => peers.map(({ peerId }) => peerId.toString())

function beaconOf(air: Air, ip: string, changes: Partial<Beacon> = {}): Beacon {
  return {
    publicKey: createIdentity(generateSeed(systemRandom)).publicKey,
    sentAtMs: air.clock.nowMs(),
    asks: true,
    ip,
    tcpPort: undefined,
    httpPort: 4_180,
    ...changes,
  }
}

test('two that start a second apart find each other at once, with where each is reached', async () => {
  const air = createAir()
  const [first, second] = [air.host(), air.host()]
  first.join()
  await air.pass(1_000)
  second.join()
  assert.deepEqual(idsOf(first.found), [second.identity.peerId.toString()])
  await air.pass(500)
  assert.deepEqual(idsOf(second.found), [first.identity.peerId.toString()])
  const [found] = second.found
  assert.equal(found?.http, `http://${first.ip}:4180`)
  assert.deepEqual(found.multiaddrs.map(String), [`/ip4/${first.ip}/tcp/4001`])
})

test('each is found once, and again by whoever starts to look anew', async () => {
  const air = createAir()
  const [first, second] = [air.host(), air.host()]
  first.join()
  const leave = second.join()
  await air.pass(60_000)
  assert.equal(second.found.length, 1)
  leave()
  second.join()
  assert.equal(second.found.length, 2)
})

test('who does not know the root learns nothing, neither by listening nor by taking part', async () => {
  const air = createAir()
  const [first, second, other] = [air.host(), air.host(), air.host()]
  other.join(systemRandom.bytes(32))
  first.join()
  second.join()
  await air.pass(60_000)
  assert.equal(first.found.length, 1)
  assert.equal(second.found.length, 1)
  assert.deepEqual(other.found, [])
  const known = [ROOT, beaconKeyOf(ROOT), first.identity.publicKey, second.identity.publicKey]
  const seen = new Set<string>()
  for (const { datagram } of air.sent) {
    assert.equal(datagram.byteLength, BEACON_BYTES)
    for (const bytes of known) assert.equal(Buffer.from(datagram).indexOf(bytes.subarray(0, 8)), -1)
    // No part of it is alike in two of them.
    for (let at = 0; at + 8 <= BEACON_BYTES; at++) {
      const part = `${at} ${datagram.subarray(at, at + 8).toHex()}`
      assert.equal(seen.has(part), false)
      seen.add(part)
    }
  }
})

test('junk, forgeries and recordings are as if they had not been', async () => {
  const air = createAir()
  const host = air.host()
  host.join()
  await air.pass(10_000)
  const key = beaconKeyOf(ROOT)
  const ip = '10.0.9.9'
  const good = sealBeacon(key, beaconOf(air, ip), random)
  const sealed = (changes: Partial<Beacon>) => sealBeacon(key, beaconOf(air, ip, changes), random)
  const bad: Sent[] = [
    ...[0, 1, BEACON_BYTES - 1, BEACON_BYTES + 1, 1_472, 65_507].map((length) => ({
      datagram: systemRandom.bytes(length),
      ip,
    })),
    { datagram: systemRandom.bytes(BEACON_BYTES), ip },
    { datagram: sealBeacon(beaconKeyOf(systemRandom.bytes(32)), beaconOf(air, ip), random), ip },
    // Sent again by somebody else.
    { datagram: good, ip: '10.0.9.8' },
    { datagram: sealed({ sentAtMs: air.clock.nowMs() - 3 * 60_000 }), ip },
    { datagram: sealed({ sentAtMs: air.clock.nowMs() + 3 * 60_000 }), ip },
    { datagram: sealed({ sentAtMs: 2 ** 53 }), ip },
    { datagram: sealed({ publicKey: new Uint8Array(33) }), ip },
    { datagram: sealed({ publicKey: new Uint8Array(33).fill(0xff) }), ip },
    { datagram: sealed({ httpPort: undefined }), ip },
    { datagram: sealed({ publicKey: host.identity.publicKey }), ip },
  ]
  for (let bit = 0; bit < 8 * BEACON_BYTES; bit++) {
    const datagram = good.slice()
    datagram[bit >> 3] = (datagram[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    bad.push({ datagram, ip: `10.0.8.${bit & 255}` })
    assert.equal(openBeacon(key, datagram), undefined)
  }
  const before = air.sent.length
  for (const each of bad) {
    host.heard(each)
    // As slowly as they may come without being left out unseen.
    await air.pass(40)
  }
  const turns = air.sent.length - before
  assert.deepEqual(host.found, [])
  assert.ok(turns <= 2, `${turns}: some were answered`)

  const fresh = { datagram: sealed({}), ip }
  host.heard(fresh)
  assert.equal(host.found.length, 1)
  const answered = air.sent.length
  await air.pass(600)
  assert.equal(air.sent.length, answered + 1)
  for (let again = 0; again < 20; again++) host.heard(fresh)
  await air.pass(600)
  assert.equal(host.found.length, 1)
  assert.equal(air.sent.length, answered + 1, 'a recording was answered')
})

test('a flood from one address is not looked into, and others are heard all the same', async (t) => {
  const air = createAir()
  const [host, other] = [air.host(), air.host()]
  host.join()
  const flood = Array.from({ length: 20_000 }, () => systemRandom.bytes(BEACON_BYTES))
  const startMs = performance.now()
  for (const datagram of flood) host.heard({ datagram, ip: '10.0.9.9' })
  const ms = performance.now() - startMs
  t.diagnostic(`${((1_000 * ms) / flood.length).toFixed(2)} microseconds each`)
  assert.ok(ms < 500, `${ms} ms`)
  other.join()
  assert.equal(host.found.length, 1)
})

test('whoever knows the root and makes up peers gets a few in, and takes nobody else’s place', async () => {
  const air = createAir()
  const [host, victim] = [air.host(), air.host()]
  host.join()
  const key = beaconKeyOf(ROOT)
  const liar = '10.0.9.9'
  const say = (changes: Partial<Beacon>) =>
    host.heard({ datagram: sealBeacon(key, beaconOf(air, liar, changes), random), ip: liar })
  say({ publicKey: victim.identity.publicKey, sentAtMs: air.clock.nowMs() + 60_000 })
  for (let at = 0; at < 100; at++) {
    say({})
    await air.pass(400)
  }
  assert.equal(host.found.length, 8)
  victim.join()
  assert.equal(host.found.at(-1)?.http, `http://${victim.ip}:4180`)
})

test('who is done sends nothing by himself, and answers newcomers while he serves', async () => {
  const air = createAir()
  const [done, late, later] = [air.host(), air.host(), air.host()]
  let serves = true
  const leave = done.join(ROOT, async () => serves)
  await air.pass(5_000)
  leave()
  const before = air.sent.length
  await air.pass(10 * 60_000)
  assert.equal(air.sent.length, before)
  late.join()()
  await air.pass(500)
  assert.deepEqual(idsOf(late.found), [])
  late.join()
  await air.pass(1_000)
  assert.deepEqual(idsOf(late.found), [done.identity.peerId.toString()])
  assert.equal(done.found.length, 0, 'nobody looks there any longer')
  serves = false
  later.join()
  await air.pass(1_000)
  assert.deepEqual(idsOf(later.found), [late.identity.peerId.toString()])
  assert.equal(air.listeners.has(done.ip), false, 'it has no more reason to listen')
})

test('of the roots that are no longer fetched the last four are answered for', async () => {
  const air = createAir()
  const [done, late] = [air.host(), air.host()]
  const roots = Array.from({ length: 6 }, () => systemRandom.bytes(32))
  for (const root of roots) done.join(root)()
  for (const root of roots) late.join(root)
  await air.pass(1_000)
  assert.equal(late.found.length, 4)
  done.lan.stop()
  assert.equal(air.listeners.has(done.ip), false)
})

test('a hundred on one network hear of enough others with a few datagrams', async (t) => {
  const air = createAir()
  const hosts = Array.from({ length: 100 }, () => air.host())
  for (const host of hosts) {
    host.join()
    await air.pass(50)
  }
  await air.pass(60_000)
  const fewest = Math.min(...hosts.map(({ found }) => found.length))
  const first = air.sent.length
  await air.pass(60_000)
  const perSecond = (air.sent.length - first) / 60
  t.diagnostic(`${first} datagrams in the first minute, ${perSecond.toFixed(1)} a second later`)
  assert.ok(fewest >= 12, `somebody has heard of ${fewest}`)
  assert.ok(first < 1_500, `${first}`)
  assert.ok(perSecond < 2, `${perSecond}`)
})
