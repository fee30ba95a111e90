import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTimeWindow, stateOf } from './time-window.ts'

const ZONE = 'Europe/Berlin'
const at = (local: string, offset = '+02:00') => Date.parse(`${local}:00${offset}`)

function look(windows: readonly string[], nowMs: number, zone = ZONE) {
  const { isOpen, untilMs } = stateOf(windows.map(parseTimeWindow), nowMs, zone)
  const until = Temporal.Instant.fromEpochMilliseconds(untilMs).toZonedDateTimeISO(zone)
  return `${isOpen ? 'open' : 'shut'} until ${until.toPlainDateTime().toString({ smallestUnit: 'minute' })}`
}

test('a window is open from its first minute to before its last, on its days', () => {
  // 2026-10-05 is a Monday.
  const nights = ['mon-fri 01:00-05:00']
  assert.equal(look(nights, at('2026-10-05T00:59')), 'shut until 2026-10-05T01:00')
  assert.equal(look(nights, at('2026-10-05T01:00')), 'open until 2026-10-05T05:00')
  assert.equal(look(nights, at('2026-10-05T05:00')), 'shut until 2026-10-06T01:00')
  assert.equal(look(nights, at('2026-10-09T12:00')), 'shut until 2026-10-12T01:00')
  assert.equal(look(['00:00-24:00'], at('2026-10-09T12:00')), 'open until 2026-10-10T00:00')
})

test('a window that runs over midnight belongs to the day on which it opens', () => {
  const late = ['fri 22:00-05:30']
  assert.equal(look(late, at('2026-10-09T22:00')), 'open until 2026-10-10T05:30')
  assert.equal(look(late, at('2026-10-10T05:29')), 'open until 2026-10-10T05:30')
  assert.equal(look(late, at('2026-10-09T05:00')), 'shut until 2026-10-09T22:00')
  assert.equal(look(['sun-mon 23:00-01:00'], at('2026-10-06T00:30')), 'open until 2026-10-06T01:00')
})

test('the first of several windows counts, and the one that is open longest', () => {
  const some = ['sat 10:00-11:00', 'sat 10:30-12:00', 'wed 03:00-04:00']
  assert.equal(look(some, at('2026-10-05T00:00')), 'shut until 2026-10-07T03:00')
  assert.equal(look(some, at('2026-10-10T10:40')), 'open until 2026-10-10T12:00')
})

test('the clock on the wall counts when it is put forward and back', () => {
  // 2026-03-29: 02:00 becomes 03:00. What the clock leaves out counts as the moment after.
  const spring = ['02:30-03:30']
  assert.equal(look(spring, at('2026-03-29T01:59', '+01:00')), 'shut until 2026-03-30T02:30')
  const longer = ['02:30-04:00']
  assert.equal(look(longer, at('2026-03-29T01:59', '+01:00')), 'shut until 2026-03-29T03:30')
  assert.equal(look(longer, at('2026-03-29T03:30')), 'open until 2026-03-29T04:00')
  const weekly = ['sun 02:00-03:00']
  assert.equal(look(weekly, at('2026-03-23T12:00', '+01:00')), 'shut until 2026-04-05T02:00')
  // 2026-10-25: 03:00 becomes 02:00, and the window is an hour longer.
  const autumn = ['01:00-04:00']
  assert.equal(look(autumn, at('2026-10-25T02:30', '+01:00')), 'open until 2026-10-25T04:00')
  const hours = (at('2026-10-25T04:00', '+01:00') - at('2026-10-25T01:00')) / 3_600_000
  assert.equal(hours, 4)
  assert.equal(look(['01:00-05:00'], at('2026-10-05T01:00'), 'UTC'), 'shut until 2026-10-05T01:00')
})

test('what is no window is refused with what is wrong', () => {
  for (const text of [
    '',
    '1-5',
    'someday 01:00-02:00',
    '25:00-26:00',
    '01:60-02:00',
    'mon- 01:00-02:00',
  ]) {
    assert.throws(() => parseTimeWindow(text), RangeError, text)
  }
})
