/** Devices of one release on one network find each other there, and nobody else learns anything. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { inOwnNamespace } from '../interop/own-namespace.ts'
import type { HouseStory } from './lan-house.ts'

const SET_UP = [
  'ip link add lan type bridge',
  'ip address add 10.77.0.1/24 dev lan',
  'ip link set lan up',
]

test('a device gets a release from another one in the house that no seed told it of; a device of another release and a stranger learn nothing', {
  timeout: 120_000,
}, async (t) => {
  const outcome = await inOwnNamespace(SET_UP, join(import.meta.dirname, 'lan-house.ts'), 110_000)
  if (!outcome.ok) {
    t.skip(outcome.lacks)
    return
  }
  const story = JSON.parse(outcome.said) as HouseStory
  const { seed, first, second, off, deaf, other, overheard } = story
  const shareOf = ({ fetched }: typeof first, from: typeof first) => {
    const sources = fetched?.sources ?? []
    const all = sources.reduce((sum, { bytes }) => sum + bytes, 0)
    return (sources.find(({ peerId }) => peerId === from.peerId)?.bytes ?? 0) / all
  }
  for (const [name, who] of Object.entries({ first, second, off, deaf, other })) {
    const percent = Math.round(100 * shareOf(who, seed))
    t.diagnostic(`${name}: ${Math.round(who.fetched?.ms ?? 0)} ms, ${percent} % from the seed`)
  }
  assert.ok(shareOf(second, first) > 0.8)
  assert.ok((second.fetched?.ms ?? Infinity) < (off.fetched?.ms ?? 0) / 2)
  assert.deepEqual(first.found, [second.peerId])
  assert.deepEqual(second.found, [first.peerId])

  for (const who of [seed, off, deaf, other]) assert.deepEqual(who.found, [])
  for (const who of [off, deaf, other]) assert.equal(shareOf(who, seed), 1)
  assert.deepEqual(deaf.complaints, ['devices on the local network are not heard'])
  for (const who of [first, second, other]) assert.deepEqual(who.complaints, [])

  t.diagnostic(`${overheard.count} datagrams`)
  assert.ok(overheard.count >= 4)
  assert.deepEqual(overheard.lengths, [78])
  assert.equal(overheard.telling, 0)
})
