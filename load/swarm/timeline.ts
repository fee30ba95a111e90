/**
 * One device from the announcement to the installed release. Its own words come from its diary, its calls from
 * the gateway's log, its connections with seeds from the kernel's table, looked at often.
 */
import { readFile } from 'node:fs/promises'
import type { GatewayLine, ProductDevice } from './product.ts'

/** The kernel walks its whole table of sockets for each look, some milliseconds: few looks, and only while it connects. */
const LOOK_EVERY_MS = 25
const SEED_ADDRESS = /^198\.18\.1\./
const ESTABLISHED = '01'

export interface Moment {
  readonly ms: number
  readonly what: string
}

export interface TimelineRecorder {
  moments(zeroMs: number, calls: readonly GatewayLine[]): readonly Moment[]
  stop(): void
}

export function recordTimeline(
  { pid, diary }: ProductDevice,
  version: string,
  nameOf: (address: string) => string,
): TimelineRecorder {
  const seen = new Map<string, number>()
  let failure: unknown
  const look = async () => {
    const entries = diary.of(version)
    if (entries.length === 0) return
    if (entries.some((entry) => entry.event === 'progress')) {
      clearInterval(timer)
      return
    }
    const nowMs = Date.now()
    for (const remote of parseTcp(await readFile(`/proc/${pid}/net/tcp`, 'utf8'))) {
      if (!seen.has(remote)) seen.set(remote, nowMs)
    }
  }
  const timer = setInterval(() => {
    look().catch((thrown: unknown) => {
      failure ??= thrown
      clearInterval(timer)
    })
  }, LOOK_EVERY_MS)
  return {
    stop: () => clearInterval(timer),
    moments(zeroMs, calls) {
      const entries = diary.of(version)
      const endMs = Math.max(...entries.map((entry) => entry.atMs))
      const progress = entries.filter((entry) => entry.event === 'progress')
      const own = entries.filter(
        (entry) => entry.event !== 'progress' || entry === progress[0] || entry === progress.at(-1),
      )
      const moments = [
        ...own.map(({ atMs, event, percent }) => ({
          atMs,
          what: percent === undefined ? `device: ${event}` : `device: ${percent} % of the image`,
        })),
        ...calls.map(({ atMs, what }) => ({ atMs, what })),
        ...[...seen].map(([remote, atMs]) => ({ atMs, what: `socket: ${nameOf(remote)}` })),
        ...(failure === undefined ? [] : [{ atMs: endMs, what: 'sockets were not seen' }]),
      ]
      return moments
        .filter(({ atMs }) => atMs <= endMs)
        .toSorted((a, b) => a.atMs - b.atMs)
        .map(({ atMs, what }) => ({ ms: atMs - zeroMs, what }))
    },
  }
}

/** Connections with seeds that are established, as `address:port` of the seed. */
function parseTcp(table: string): string[] {
  const remotes: string[] = []
  for (const line of table.split('\n').slice(1)) {
    const [, , remote = '', state] = line.trim().split(/\s+/)
    const [hex = '', port = ''] = remote.split(':')
    const address = (hex.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16))
    const text = address.reverse().join('.')
    if (state === ESTABLISHED && SEED_ADDRESS.test(text)) {
      remotes.push(`${text}:${Number.parseInt(port, 16)}`)
    }
  }
  return remotes
}
