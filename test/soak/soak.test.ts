/**
 * One seed under the same load for long: devices that come, fetch, go and come again, and a hostile client of
 * each kind beside them. What it holds after a full collection must not grow over the second half.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { IoexNode } from '@ioex/node'
import { GIB, MIB, systemClock } from '@ioex/node/base'
import { type HostileTask, hostileIdentity } from '../attack/hostile-process.ts'
import { createLab, isSmall, nextMessage, type SeedProcess, treeOf } from '../attack/lab.ts'
import { slopeOf } from './slope.ts'

/** Longer soaks: the two hours of a release take IOEX_SOAK_SECONDS=7200. */
const SECONDS = Number(process.env['IOEX_SOAK_SECONDS'] ?? (isSmall ? 60 : 600))
const DEVICES = 3
/**
 * Fails when growth is certain (95 %) and steeper than this. A minute still warms up (50 ± 20 MiB an hour were
 * measured), so the small shape finds gross leaks only; the full one looks at the last five minutes.
 */
const MAX_HEAP_MIB_PER_HOUR = isSmall ? 120 : 4
/** RSS moves by the allocator's pages, a few MiB at a time. */
const MAX_RSS_MIB_PER_HOUR = isSmall ? 2_400 : 24

const lab = await createLab()
const attackers: ChildProcess[] = []
after(async () => {
  for (const child of attackers) child.kill('SIGKILL')
  await lab.stop()
})

const task = { name: 'soak', chunks: 64, chunkBytes: 64 * 1024 }
const tree = treeOf(task)

test(`in ${SECONDS} s of the same load the memory of a seed does not grow`, {
  timeout: SECONDS * 1_000 + 90_000,
}, async (t) => {
  const clients = 8
  const admitted = Array.from({ length: clients }, (_, number) =>
    hostileIdentity(number).peerId.toString(),
  )
  const seed = await lab.seed(task, { admitted, execArgv: ['--expose-gc'] })
  const hostile: HostileTask = {
    from: 0,
    to: clients,
    vendorSeedHex: lab.vendorSeedHex,
    tree: task,
    server: seed.source.multiaddrs.map(String),
    serverId: seed.peerId,
    http: seed.source.http ?? '',
    passes: seed.passes,
    streamsPerClient: 4,
  }
  const program = join(import.meta.dirname, '../attack/hostile-process.ts')
  attackers.push(fork(program, [JSON.stringify(hostile)]))
  await Promise.all(attackers.map((child) => nextMessage(child, 'attacking')))

  const ending = new AbortController()
  const devices = await Promise.all(Array.from({ length: DEVICES }, () => lab.device()))
  const working = devices.map((device) => fetchOverAndOver(device, seed, ending.signal))
  const startedMs = performance.now()
  const heap: [number, number][] = []
  const buffers: [number, number][] = []
  const rss: [number, number][] = []
  for (;;) {
    const seconds = (performance.now() - startedMs) / 1_000
    if (seconds > SECONDS) break
    const { heapBytes, bufferBytes, rssBytes } = await seed.figures({ collect: true })
    heap.push([seconds, heapBytes / MIB])
    buffers.push([seconds, bufferBytes / MIB])
    rss.push([seconds, rssBytes / MIB])
    await systemClock.sleep(1_000)
  }
  ending.abort()
  const rounds = (await Promise.all(working)).reduce((sum, count) => sum + count, 0)
  const second = (samples: typeof heap) => samples.slice(samples.length >> 1)
  const heapSlope = slopeOf(second(heap))
  const bufferSlope = slopeOf(second(buffers))
  const rssSlope = slopeOf(second(rss))
  const say = (name: string, { perHour, halfWidth }: typeof heapSlope, last: number | undefined) =>
    t.diagnostic(
      `${name} ${last?.toFixed(1)} MiB, ${perHour.toFixed(1)} ± ${halfWidth.toFixed(1)} MiB an hour (95 %)`,
    )
  t.diagnostic(`${rounds} downloads of ${tree.bytes / MIB} MiB`)
  say('heap', heapSlope, heap.at(-1)?.[1])
  say('buffers', bufferSlope, buffers.at(-1)?.[1])
  say('RSS', rssSlope, rss.at(-1)?.[1])
  const everyMinute = rss.filter(
    ([at], index) => at / 60 >= Math.ceil((rss[index - 1]?.[0] ?? 0) / 60),
  )
  t.diagnostic(`RSS by the minute: ${everyMinute.map(([, mib]) => mib.toFixed(0)).join(', ')} MiB`)
  assert.ok(rounds > 0)
  assert.ok(heapSlope.perHour - heapSlope.halfWidth <= MAX_HEAP_MIB_PER_HOUR, 'the heap grows')
  assert.ok(rssSlope.perHour - rssSlope.halfWidth <= MAX_RSS_MIB_PER_HOUR, 'the RSS grows')
})

/** Fetches, lets go of everything, comes back over a new connection. Returns how often. */
async function fetchOverAndOver(
  device: IoexNode,
  seed: SeedProcess,
  signal: AbortSignal,
): Promise<number> {
  const grant = lab.grant(device.identity.evmAddress, tree, 1_024 * GIB)
  let rounds = 0
  for (; !signal.aborted; rounds++) {
    await device.exchange.fetchAndPin({
      root: tree.root,
      sources: [seed.source],
      grant,
      owner: { owner: 'install' },
      giveUpAfterMs: 20_000,
    })
    await device.storage.pins.remove(tree.root, 'install')
    await device.storage.collectGarbage()
    await device.network.disconnect(seed.source.peerId)
    await systemClock.sleep(200)
  }
  return rounds
}
