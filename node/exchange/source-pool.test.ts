import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { systemRandom } from '../base/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { MAX_ALL_FELLOWS, MAX_FELLOWS } from './limits.ts'
import { createSourcePool, type FellowKind, type SourcePool } from './source-pool.ts'
import type { Source } from './types.ts'

const NEED = { wants: 100, stalled: 0, isSlow: false }

const newSource = (): Source => ({
  peerId: createIdentity(generateSeed(systemRandom)).peerId,
  multiaddrs: [],
})

function add(pool: SourcePool, count: number, kind: 'keeper' | FellowKind): Source[] {
  const sources = Array.from({ length: count }, newSource)
  for (const source of sources) pool.add(source, kind)
  return sources
}

/** Those that are dialled now, in their order. */
function dial(pool: SourcePool) {
  const dialled = []
  for (let due = pool.due(0, NEED); due !== undefined; due = pool.due(0, NEED)) {
    pool.opening(due, 0)
    pool.opened(due, due.isFellow)
    dialled.push(due)
  }
  return dialled
}

test('fellows on the local network are dialled first, within the limits of all', () => {
  const pool = createSourcePool(seededRandom('pool'))
  add(pool, 4, 'keeper')
  add(pool, 12, 'fellow')
  add(pool, 3, 'lan')
  const dialled = dial(pool)
  assert.deepEqual(
    dialled.slice(0, 4).map(({ isLan }) => isLan),
    [true, true, true, false],
  )
  assert.equal(dialled.filter(({ isFellow }) => isFellow).length, MAX_FELLOWS)
})

test('they are dialled though others have taken the places, and leave places to them', () => {
  const pool = createSourcePool(seededRandom('pool'))
  add(pool, 12, 'fellow')
  assert.equal(dial(pool).length, MAX_FELLOWS)
  add(pool, 3, 'lan')
  assert.equal(dial(pool).length, 3)
  add(pool, 20, 'lan')
  assert.equal(dial(pool).length, MAX_FELLOWS - 3)
  add(pool, 20, 'mutual')
  assert.equal(dial(pool).length, MAX_ALL_FELLOWS - 2 * MAX_FELLOWS)
})

test('where one was found on the local network counts for more than what others say of it', () => {
  const pool = createSourcePool(seededRandom('pool'))
  const [told] = add(pool, 1, 'fellow')
  assert.ok(told)
  const here = { ...told, multiaddrs: [multiaddr('/ip4/10.0.0.2/tcp/4001')] }
  pool.add(here, 'lan')
  pool.add(told, 'fellow')
  pool.add(told, 'mutual')
  const [known] = pool.list()
  assert.equal(known?.isLan, true)
  assert.deepEqual(known.source, here)
})

test('what the address list says of a server counts for more than the local network', () => {
  const pool = createSourcePool(seededRandom('pool'))
  const [server] = add(pool, 1, 'keeper')
  assert.ok(server)
  pool.add({ ...server, multiaddrs: [multiaddr('/ip4/10.0.0.2/tcp/4001')] }, 'lan')
  const [known] = pool.list()
  assert.equal(known?.isLan, false)
  assert.deepEqual(known.source, server)
})
