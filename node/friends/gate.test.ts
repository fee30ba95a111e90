import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerId } from '@libp2p/interface'
import { systemRandom } from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { createMemoryRecords } from '../testing/index.ts'
import { createGate } from './index.ts'

const newPeer = (): PeerId => createIdentity(generateSeed(systemRandom)).peerId

function gateAt(startMs: number, infrastructure: readonly PeerId[] = []) {
  const time = { nowMs: startMs }
  const gate = createGate({
    records: createMemoryRecords(),
    clock: { nowMs: () => time.nowMs },
    infrastructure: () => infrastructure.map(String),
  })
  return { gate, time }
}

test('infrastructure is let in always, a stranger never', () => {
  const [bootstrap, stranger] = [newPeer(), newPeer()]
  const { gate } = gateAt(0, [bootstrap])
  assert.equal(gate.isWelcome(bootstrap), true)
  assert.equal(gate.isFriend(bootstrap), false)
  assert.equal(gate.isWelcome(stranger), false)
  assert.equal(gate.hooks.denyDialPeer?.(stranger), true)
  assert.equal(gate.hooks.denyInboundRelayedConnection?.(bootstrap, stranger), true)
  assert.equal(gate.hooks.denyInboundRelayedConnection?.(stranger, bootstrap), true)
  assert.equal(gate.hooks.denyInboundRelayedConnection?.(bootstrap, bootstrap), false)
})

test('an admission lasts until the longest grant ends, or until it is taken back', () => {
  const device = newPeer()
  const { gate, time } = gateAt(1000)
  gate.admit(device, 5000)
  gate.admit(device, 3000)
  time.nowMs = 4999
  assert.equal(gate.isWelcome(device), true)
  time.nowMs = 5000
  assert.equal(gate.isWelcome(device), false)
  gate.admit(device, 4000)
  assert.equal(gate.isWelcome(device), false, 'an ended grant lets nobody in')
  gate.admit(device, 9000)
  gate.dismiss(device)
  assert.equal(gate.isWelcome(device), false)
})

test('ten thousand admissions are kept, and the one that ends first makes room', () => {
  const { gate } = gateAt(0)
  const names = Array.from({ length: 10_001 }, (_, index) => `peer-${index}`)
  // The gate looks at the text of a PeerId only; making so many keys would take a minute.
  const peers = names.map((name) => ({ toString: () => name }) as PeerId)
  for (const [index, peer] of peers.entries()) gate.admit(peer, 1_000_000 - index)
  const welcome = peers.filter((peer) => gate.isWelcome(peer))
  assert.equal(welcome.length, 10_000)
  assert.equal(gate.isWelcome(peers[0] ?? newPeer()), true)
  assert.equal(gate.isWelcome(peers[9_999] ?? newPeer()), false)
})
