import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { after, test } from 'node:test'
import { MemoryDatastore } from 'datastore-core'
import { silentLog, systemClock, systemRandom } from '../../node/base/index.ts'
import { createIdentity, generateSeed } from '../../node/identity/index.ts'
import { createNetwork, type Network } from '../../node/network/index.ts'
import { emptyNetworkFile } from '../../node/testing/index.ts'
import type { Order, Report } from './announcement-nodes.ts'

const BOOTSTRAPS = 3
const PROCESSES = 5
const LEAVES_PER_PROCESS = 40
const LEAVES = PROCESSES * LEAVES_PER_PROCESS
const ANNOUNCEMENTS = 10
/** 600 handshakes in pure JavaScript cost the two cores half a minute; more when they are shared. */
const PATIENCE_MS = 220_000
const ROOT = 'bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'

const children: ChildProcess[] = []
let announcer: Network | undefined
after(async () => {
  await announcer?.stop()
  for (const child of children) if (child.connected) child.disconnect()
})

test('with 3 bootstraps and 200 leaves every leaf hears every release, p99 below a second', async (t) => {
  const gateway = createIdentity(generateSeed(systemRandom))
  const vendor = createIdentity(generateSeed(systemRandom)).evmAddress
  const seeds = Array.from({ length: BOOTSTRAPS }, () => generateSeed(systemRandom))
  const listed = seeds.map((seed) => ({
    peerId: createIdentity(seed).peerId.toString(),
    multiaddrs: [] as readonly string[],
  }))
  const file = {
    ...emptyNetworkFile(),
    bootstraps: listed,
    announcers: [{ peerId: gateway.peerId.toString(), signer: gateway.evmAddress }],
  }

  const known = new Map<number, ReadonlySet<string>>()
  for (const [index, seed] of seeds.entries()) {
    const listening = await command<readonly string[]>(
      { be: 'bootstrap', file, seed: seed.toHex() },
      (report, done) => {
        if (report.kind === 'listening') done(report.multiaddrs)
        if (report.kind === 'subscribers') known.set(index, new Set(report.peers))
      },
    )
    const entry = listed[index]
    if (entry !== undefined) entry.multiaddrs = listening
  }
  announcer = createNetwork(
    {
      identity: gateway,
      gate: {},
      datastore: new MemoryDatastore(),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
    },
    { role: 'gateway', listen: [], networkFile: file },
  )
  await announcer.start()

  const heard = new Map<string, number[]>()
  const startedMs = performance.now()
  await Promise.all(
    Array.from({ length: PROCESSES }, () =>
      command<true>({ be: 'leaves', file, leaves: LEAVES_PER_PROCESS, vendor }, (report, done) => {
        if (report.kind === 'joined') done(true)
        if (report.kind === 'heard') {
          heard.set(report.version, [...(heard.get(report.version) ?? []), report.ms])
        }
      }),
    ),
  )
  const routers = new Set(listed.map(({ peerId }) => peerId))
  await eventually(
    () => [...known.values()].map((peers) => peers.difference(routers).size),
    (counts) => counts.every((count) => count === LEAVES),
  )
  t.diagnostic(
    `${LEAVES} leaves known to all ${BOOTSTRAPS} bootstraps ${Math.round(performance.now() - startedMs)} ms after the start of their processes`,
  )

  for (let number = 1; number <= ANNOUNCEMENTS; number++) {
    const taken: number = await announcer.announce({
      vendor,
      root: ROOT,
      model: 'speaker',
      version: `1.0.${number}`,
      issuedAtMs: systemClock.nowMs(),
    })
    assert.equal(taken, BOOTSTRAPS)
    await systemClock.sleep(300)
  }
  await eventually(
    () => [...heard.values()].map(({ length }) => length),
    (counts) => counts.length === ANNOUNCEMENTS && counts.every((count) => count === LEAVES),
  )
  const delays = [...heard.values()].flat().toSorted((a, b) => a - b)
  const quantile = (q: number) => delays[Math.ceil(q * delays.length) - 1] ?? Number.NaN
  t.diagnostic(
    `heard ${delays.length} of ${LEAVES * ANNOUNCEMENTS}; p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, max ${quantile(1)} ms`,
  )
  assert.equal(delays.length, LEAVES * ANNOUNCEMENTS)
  assert.ok(quantile(0.99) < 1000)
})

/** Starts a process with an order; resolves with what `hear` makes of its reports. */
async function command<T>(
  order: Order,
  hear: (report: Report, done: (value: T) => void) => void,
): Promise<T> {
  const child = fork(new URL('announcement-nodes.ts', import.meta.url))
  children.push(child)
  const finished = Promise.withResolvers<T>()
  child.on('message', (report: Report) => hear(report, finished.resolve))
  child.on('exit', (code) => finished.reject(new Error(`a process ended with ${code}`)))
  child.send(order)
  return finished.promise
}

async function eventually<T>(look: () => T, holds: (seen: T) => boolean): Promise<T> {
  const endMs = performance.now() + PATIENCE_MS
  for (;;) {
    const seen = look()
    if (holds(seen)) return seen
    if (performance.now() > endMs)
      assert.fail(`still ${JSON.stringify(seen)} after ${PATIENCE_MS} ms`)
    await systemClock.sleep(50)
  }
}
