import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KadDHT } from '@libp2p/kad-dht'
import { codeOf, systemClock, systemRandom, utf8 } from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { type LocalNetwork, startLocalNetwork } from '../testing/index.ts'
import { driveRecordKey, type Network } from './index.ts'

let local: LocalNetwork
before(async () => {
  local = await startLocalNetwork({ bootstraps: 2 })
})
after(() => local.stop())

function dhtOf(network: Network): KadDHT {
  return network.libp2p.services['dht'] as KadDHT
}

/** What reaches the DHT, caught on its way out. */
async function caught(network: Network, put: () => Promise<void>) {
  const dht = dhtOf(network)
  const genuine = dht.put.bind(dht)
  const seen: { key: Uint8Array; value: Uint8Array }[] = []
  dht.put = (key, value, options) => {
    seen.push({ key, value })
    return genuine(key, value, options)
  }
  await put()
  dht.put = genuine
  const [record] = seen
  assert.ok(record !== undefined)
  return record
}

/** Whether any bootstrap took it. */
async function isTaken(by: Network, key: Uint8Array, value: Uint8Array): Promise<boolean> {
  let taken = false
  for await (const event of dhtOf(by).put(key, value, { signal: AbortSignal.timeout(5000) })) {
    taken ||= event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE'
  }
  return taken
}

test('who has the key finds the newest record, even after its owner has gone', async () => {
  const identity = createIdentity(generateSeed(systemRandom))
  const key = driveRecordKey(identity.publicKey)
  const owner = await local.join({ role: 'peer', identity })
  const finder = await local.join({ role: 'peer' })
  assert.equal(await finder.getRecord(key), undefined)
  await owner.putRecord(key, utf8('first'))
  await systemClock.sleep(2)
  await owner.putRecord(key, utf8('second'))
  await owner.stop()
  assert.deepEqual(await finder.getRecord(key), utf8('second'))
})

test('an older record does not replace a newer one, and a forged one is not taken', async () => {
  const identity = createIdentity(generateSeed(systemRandom))
  const key = driveRecordKey(identity.publicKey)
  const owner = await local.join({ role: 'peer', identity })
  const attacker = await local.join({ role: 'peer' })
  const old = await caught(owner, () => owner.putRecord(key, utf8('old')))
  await systemClock.sleep(2)
  const fresh = await caught(owner, () => owner.putRecord(key, utf8('new')))
  assert.equal(await isTaken(attacker, old.key, old.value), false)
  const forged = new Uint8Array(fresh.value)
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  assert.equal(await isTaken(attacker, fresh.key, forged), false)
  assert.equal(await isTaken(attacker, utf8('/pk/anything'), utf8('x')), false)
  // kad-dht forgets a server that refused it, so somebody else shows that a good one is taken.
  const messenger = await local.join({ role: 'peer' })
  assert.deepEqual(await messenger.getRecord(key), utf8('new'))
  assert.equal(await isTaken(messenger, fresh.key, fresh.value), true)
})

test('too large a record and a foreign key are refused at the door', async () => {
  const identity = createIdentity(generateSeed(systemRandom))
  const owner = await local.join({ role: 'peer', identity })
  const isInvalid = (thrown: unknown) => codeOf(thrown) === 'record-invalid'
  const key = driveRecordKey(identity.publicKey)
  await assert.rejects(owner.putRecord(key, new Uint8Array(1025)), isInvalid)
  await assert.rejects(owner.putRecord(new Uint8Array(32), new Uint8Array(1)), isInvalid)
})
