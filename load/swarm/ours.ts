/** What the product takes from the announcement to the last device. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fluidLimitSeconds, median } from './fluid.ts'
import type { Host, Lab, Rates, Traffic } from './lab.ts'
import type { Cell } from './plan.ts'
import { type Product, startProduct } from './product.ts'
import { type Moment, recordTimeline } from './timeline.ts'

/** A release that takes so many times the limit, and this on top, is not coming any more. */
const PATIENCE_FACTOR = 20
const PATIENCE_S = 120
/** Counters are read this often, so that what was sent before the announcement can be left out. */
const COUNT_EVERY_MS = 50

export interface Times {
  readonly medianSeconds: number
  readonly lastSeconds: number
}

export interface OurTimes extends Times {
  /** The same to the last byte on disk, before it is read back and installed. */
  readonly stagedMedianSeconds: number
  readonly stagedLastSeconds: number
  /** Bytes that the seeds put on the wire, headers included, in images. */
  readonly seedEgressImages: number
}

export interface Hosts {
  readonly seeds: readonly Host[]
  readonly devices: readonly Host[]
}

/** Hosts of one cell; their addresses tell what they are. */
export async function addHosts(
  lab: Lab,
  cell: Pick<Cell, 'hosts' | 'seeds' | 'rateKbit' | 'seedRateKbit'>,
  seedRates: Rates = bothWays(cell.seedRateKbit),
): Promise<Hosts> {
  const seeds: Host[] = []
  const devices: Host[] = []
  for (let at = 1; at <= cell.seeds; at++) {
    seeds.push(await lab.addHost(`seed-${at}`, `198.18.1.${at}`, seedRates))
  }
  for (let at = 1; at <= cell.hosts; at++) {
    devices.push(await lab.addHost(`device-${at}`, `198.18.2.${at}`, bothWays(cell.rateKbit)))
  }
  return { seeds, devices }
}

export function bothWays(kbit: number): Rates {
  return { upKbit: kbit, downKbit: kbit }
}

interface Release {
  readonly announcedAtMs: number
  readonly sealedBytes: number
  readonly devices: readonly { readonly stagedAtMs: number; readonly installedAtMs: number }[]
  /** Between the announcement and the last device. */
  readonly traffic: ReadonlyMap<string, Traffic>
  /** Of the first device. */
  readonly timeline: readonly Moment[]
}

/** Publishes one image and waits until all devices run it. */
export async function measureRelease(
  lab: Lab,
  product: Product,
  cell: Cell,
  version: string,
): Promise<Release> {
  const [first] = product.devices
  if (first === undefined) throw new Error('a cell has at least one device')
  const meter = startMeter(lab)
  const timeline = recordTimeline(first, version, product.socketName)
  try {
    const all = Promise.all(product.devices.map(({ diary }) => diary.installed(version)))
    const published = await product.publish(version, cell.imageBytes)
    const patienceMs = (fluidLimitSeconds(cell) * PATIENCE_FACTOR + PATIENCE_S) * 1000
    const devices = await within(patienceMs, all)
    const traffic = await meter.since(published.announcedAtMs)
    // The log does not say whose call it was: of one device all are its own.
    const calls = cell.hosts > 1 ? [] : await product.gatewayLog(published.announcedAtMs)
    return {
      ...published,
      devices,
      traffic,
      timeline: timeline.moments(published.announcedAtMs, calls),
    }
  } finally {
    meter.stop()
    timeline.stop()
  }
}

async function within<T>(ms: number, done: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`not installed within ${ms} ms`)), ms)
  try {
    return await Promise.race([done, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function startMeter(lab: Lab) {
  const samples: { readonly atMs: number; readonly traffic: ReadonlyMap<string, Traffic> }[] = []
  const sample = async () => {
    samples.push({ atMs: Date.now(), traffic: await lab.traffic() })
  }
  const failed = Promise.withResolvers<never>()
  // Whoever asks for the counters hears of it; a sample that fails before is not unhandled.
  failed.promise.catch(() => undefined)
  const timer = setInterval(() => void sample().catch(failed.reject), COUNT_EVERY_MS)
  return {
    stop: () => clearInterval(timer),
    async since(atMs: number): Promise<ReadonlyMap<string, Traffic>> {
      await Promise.race([sample(), failed.promise])
      const before = samples.findLast((each) => each.atMs <= atMs) ?? samples[0]
      const after = samples.at(-1)
      return new Map(
        [...(after?.traffic ?? [])].map(([name, { sentBytes, receivedBytes }]) => {
          const then = before?.traffic.get(name)
          const moved = {
            sentBytes: sentBytes - (then?.sentBytes ?? 0),
            receivedBytes: receivedBytes - (then?.receivedBytes ?? 0),
          }
          return [name, moved]
        }),
      )
    },
  }
}

/** One network for all runs of a cell; each run is a release of its own. */
export async function measureOurs(
  lab: Lab,
  hosts: Hosts,
  cell: Cell,
  options: { readonly folder: string; readonly say: (line: string) => void },
): Promise<{ readonly times: OurTimes; readonly timeline: readonly Moment[] }> {
  const folder = join(options.folder, 'ours')
  await mkdir(folder, { recursive: true })
  options.say('ours: starting a network')
  const product = await startProduct({ ...options, ...hosts, folder })
  const runs: OurTimes[] = []
  let timeline: readonly Moment[] = []
  try {
    for (let run = 1; run <= cell.runs; run++) {
      const release = await measureRelease(lab, product, cell, `2.${run}.0`)
      const times = timesOf(release, cell)
      if (run === 1) ({ timeline } = release)
      runs.push(times)
      options.say(
        `ours: median ${times.medianSeconds.toFixed(2)} s, last ${times.lastSeconds.toFixed(2)} s`,
      )
    }
  } finally {
    await product.stop()
  }
  const over = (of: (times: OurTimes) => number) => median(runs.map(of))
  return {
    times: {
      medianSeconds: over((times) => times.medianSeconds),
      lastSeconds: over((times) => times.lastSeconds),
      stagedMedianSeconds: over((times) => times.stagedMedianSeconds),
      stagedLastSeconds: over((times) => times.stagedLastSeconds),
      seedEgressImages: over((times) => times.seedEgressImages),
    },
    timeline,
  }
}

function timesOf({ announcedAtMs, devices, traffic }: Release, cell: Cell): OurTimes {
  const since = (atMs: number) => (atMs - announcedAtMs) / 1000
  const installed = devices.map(({ installedAtMs }) => since(installedAtMs))
  const staged = devices.map(({ stagedAtMs }) => since(stagedAtMs))
  let egressBytes = 0
  for (const [name, { sentBytes }] of traffic)
    if (name.startsWith('seed-')) egressBytes += sentBytes
  return {
    medianSeconds: median(installed),
    lastSeconds: Math.max(...installed),
    stagedMedianSeconds: median(staged),
    stagedLastSeconds: Math.max(...staged),
    seedEgressImages: egressBytes / cell.imageBytes,
  }
}
