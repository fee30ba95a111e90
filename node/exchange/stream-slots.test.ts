import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/index.ts'
import { MAX_STREAMS_PER_CONNECTION, SHARE_OF_SERVED_STREAMS, STALLED_SLOT_MS } from './limits.ts'
import { createStreamSlots, type StreamSlot } from './stream-slots.ts'

const PLACES = 64

/** Slots under a clock that a test moves, and who had to make room, in order. */
function slotsAt() {
  let nowMs = 0
  const ended: string[] = []
  const slots = createStreamSlots({ ...systemClock, monotonicMs: () => nowMs }, PLACES)
  return {
    ended,
    pass(ms: number) {
      nowMs += ms
    },
    take: (peer: string, isToBlame = true) =>
      slots.take(peer, () => {
        if (isToBlame) ended.push(peer)
        return isToBlame
      }),
    /** As many as it gets. */
    fill(peer: string, isToBlame = true): StreamSlot[] {
      const got: StreamSlot[] = []
      for (let slot = this.take(peer, isToBlame); slot !== undefined; ) {
        got.push(slot)
        slot = this.take(peer, isToBlame)
      }
      return got
    },
  }
}

test('while half of the places are free a peer has what its connection allows, then its share', () => {
  const slots = slotsAt()
  assert.equal(slots.fill('first').length, MAX_STREAMS_PER_CONNECTION)
  assert.equal(slots.fill('second').length, MAX_STREAMS_PER_CONNECTION)
  assert.equal(slots.fill('third').length, SHARE_OF_SERVED_STREAMS)
  assert.deepEqual(slots.ended, [])
})

test('when all places are taken whoever holds more than a share makes room at once', () => {
  const slots = slotsAt()
  const first = slots.fill('first')
  slots.fill('second')
  for (let peer = 0; peer < 8; peer++) slots.fill(`few ${peer}`)
  for (const slot of first) slot.moved()
  assert.ok(slots.take('new'))
  assert.deepEqual(slots.ended, ['second'])
})

test('when everybody has a share the one whose reader took nothing for long makes room', () => {
  const slots = slotsAt()
  const taken = new Map<string, StreamSlot[]>()
  for (let peer = 0; peer < PLACES / SHARE_OF_SERVED_STREAMS; peer++) {
    const name = `peer ${peer}`
    taken.set(
      name,
      Array.from({ length: SHARE_OF_SERVED_STREAMS }, () => slots.take(name)).filter(
        (slot) => slot !== undefined,
      ),
    )
  }
  assert.equal(slots.take('new'), undefined, 'nobody has stalled yet')
  slots.pass(STALLED_SLOT_MS)
  for (const [name, held] of taken) if (name !== 'peer 5') for (const slot of held) slot.moved()
  assert.ok(slots.take('new'))
  assert.deepEqual(slots.ended, ['peer 5'])
  // Whoever made room and then leaves does not free a second place.
  for (const slot of taken.get('peer 5') ?? []) slot.leave()
  for (let at = 1; at < SHARE_OF_SERVED_STREAMS; at++) assert.ok(slots.take('new'))
  assert.equal(slots.take('another'), undefined)
})

test('a stream that waits for our own caps is left alone', () => {
  const slots = slotsAt()
  for (let peer = 0; peer < PLACES / SHARE_OF_SERVED_STREAMS; peer++) {
    for (let at = 0; at < SHARE_OF_SERVED_STREAMS; at++) slots.take(`peer ${peer}`, peer === 9)
  }
  slots.pass(STALLED_SLOT_MS)
  for (let at = 0; at < SHARE_OF_SERVED_STREAMS; at++) assert.ok(slots.take('new'))
  assert.equal(slots.take('one more'), undefined)
  assert.deepEqual(new Set(slots.ended), new Set(['peer 9']))
})
