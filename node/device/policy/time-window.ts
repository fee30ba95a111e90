/** Minutes of a day, from the first to before the last. */
export interface TimeWindow {
  /** 1 Monday to 7 Sunday, as ISO 8601 counts; of the day on which it opens. */
  readonly days: readonly number[]
  readonly fromMinute: number
  /** Before or at `fromMinute`: on the next day. */
  readonly toMinute: number
}

export interface WindowState {
  readonly isOpen: boolean
  /** When it shuts, or opens the next time. Milliseconds since 1970. */
  readonly untilMs: number
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
const DAY_MINUTES = 24 * 60
/** A window opens once a week, and in spring its hour may be left out: two weeks, and a day for those over midnight. */
const DAYS_AHEAD = 15

/** `mon-fri 22:00-05:30`, `sat,sun 00:00-24:00` or `01:00-05:00` for every day. Throws RangeError. */
export function parseTimeWindow(text: string): TimeWindow {
  const found = /^(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(text.trim().toLowerCase())
  if (found === null) throw new RangeError('it must look like "mon-fri 22:00-05:30"')
  const [, days, ...numbers] = found
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = numbers.map(Number)
  const from = fromHour * 60 + fromMinute
  const to = toHour * 60 + toMinute
  if (fromMinute > 59 || toMinute > 59 || from >= DAY_MINUTES || to > DAY_MINUTES) {
    throw new RangeError('hours go from 00:00 to 24:00')
  }
  return {
    days: days === undefined ? [1, 2, 3, 4, 5, 6, 7] : parseDays(days),
    fromMinute: from,
    toMinute: to,
  }
}

function parseDays(text: string): number[] {
  const days = text.split(',').flatMap((part) => {
    const [first = -1, last = first, ...more] = part.split('-').map((name) => DAYS.indexOf(name))
    if (first < 0 || last < 0 || more.length > 0) {
      throw new RangeError(`days are ${DAYS.join(', ')}, such as mon-fri or sat,sun`)
    }
    const count = ((last - first + 7) % 7) + 1
    return Array.from({ length: count }, (_, at) => ((first + at) % 7) + 1)
  })
  return [...new Set(days)]
}

/**
 * Is one of them open, by the clock on the wall at `timeZone`? A time that the clock leaves out in spring counts
 * as the moment after; of one that it shows twice in autumn the first counts (RFC 5545, 3.3.5).
 */
export function stateOf(
  windows: readonly TimeWindow[],
  nowMs: number,
  timeZone: string,
): WindowState {
  const today = Temporal.Instant.fromEpochMilliseconds(Math.floor(nowMs))
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
  let openUntilMs = Number.NEGATIVE_INFINITY
  let opensMs = Number.POSITIVE_INFINITY
  for (let ahead = -1; ahead <= DAYS_AHEAD; ahead++) {
    const date = today.add({ days: ahead })
    for (const { days, fromMinute, toMinute } of windows) {
      if (!days.includes(date.dayOfWeek)) continue
      const fromMs = momentOf(date, fromMinute, timeZone)
      const overnight = toMinute <= fromMinute ? DAY_MINUTES : 0
      const toMs = momentOf(date, toMinute + overnight, timeZone)
      // In spring a window may lie whole in the hour that the clock leaves out.
      if (toMs <= fromMs) continue
      if (fromMs <= nowMs && nowMs < toMs) openUntilMs = Math.max(openUntilMs, toMs)
      else if (fromMs > nowMs) opensMs = Math.min(opensMs, fromMs)
    }
  }
  const isOpen = openUntilMs > nowMs
  return { isOpen, untilMs: isOpen ? openUntilMs : opensMs }
}

function momentOf(date: Temporal.PlainDate, minute: number, timeZone: string): number {
  const day = date.add({ days: Math.floor(minute / DAY_MINUTES) })
  const time = { hour: Math.floor((minute % DAY_MINUTES) / 60), minute: minute % 60 }
  return day.toPlainDateTime(time).toZonedDateTime(timeZone, { disambiguation: 'compatible' })
    .epochMilliseconds
}
