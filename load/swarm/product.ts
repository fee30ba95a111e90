/** The product in the laboratory: real processes, seeds and devices behind shaped links, the rest in the hub. */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DemoDevice,
  keepVendor,
  type LocalNetwork,
  type LocalVendor,
  publishFile,
  requestJson,
  startDevice,
  startLocalNetwork,
} from '@ioex/gateway/localnet'
import type { EnrollmentCreatedSchema } from '@ioex/node/api'
import { createDiary, type Diary } from './diary.ts'
import { type Host, HUB_ADDRESS } from './lab.ts'

const MODEL = 'swarm-box'
const FIRST_VERSION = '1.0.0'
const FIRST_IMAGE_BYTES = 16 * 1024
const HOUR_MS = 3_600_000
/** A leaf may miss an announcement in the second after it has connected; this is that and the last receipts. */
const SETTLE_MS = 4_000
/** Devices that start at once compete for the processor; more at a time are not ready sooner. */
const STARTED_AT_ONCE = 4
const P2P_PORT = 4001

export interface Product {
  readonly devices: readonly ProductDevice[]
  /** Publishes random bytes; resolves when the gateway has announced them, to the moment it did. */
  publish(version: string, imageBytes: number): Promise<Published>
  /** What a connection with this `address:port` is for. */
  socketName(address: string): string
  /** The announcement and the calls of devices in the gateway's log since a moment. */
  gatewayLog(sinceMs: number): Promise<readonly GatewayLine[]>
  stop(): Promise<void>
}

export interface ProductDevice {
  readonly host: Host
  readonly pid: number
  readonly diary: Diary
}

interface Published {
  /** As the announcement itself says. */
  readonly announcedAtMs: number
  readonly sealedBytes: number
}

export interface GatewayLine {
  readonly atMs: number
  readonly what: string
}

/** Resolves when every device runs a first small release and listens for the next. */
export async function startProduct(options: {
  readonly folder: string
  readonly seeds: readonly Host[]
  readonly devices: readonly Host[]
  readonly say: (line: string) => void
}): Promise<Product> {
  const { folder, say } = options
  const places = new Map(options.seeds.map((host) => [host.name, host]))
  // Each call of a device is a line of the gateway's log: the calls of the time line.
  process.env.IOEX_LOG_LEVEL = 'debug'
  const network = await startLocalNetwork({
    folder,
    bootstraps: 1,
    seeds: options.seeds.length,
    epochEveryMs: HOUR_MS,
    placeOf: (name) => places.get(name) ?? { host: HUB_ADDRESS },
    onStep: (what) => say(`  ${what}`),
  })
  const running: DemoDevice[] = []
  const stop = async () => {
    // All data is thrown away, so nothing needs to end well.
    const processes = [...running.map((device) => device.process), ...network.seeds]
    await Promise.all(processes.map((each) => each.kill()))
    await Promise.all([network.bridge.kill(), network.gateway.kill()])
    await Promise.all(network.bootstraps.map((each) => each.kill()))
    await network.stop()
  }
  try {
    const vendor = await keepVendor(folder, network)
    const publish = publisher(folder, network, vendor)
    say('  a first small release')
    await publish(FIRST_VERSION, FIRST_IMAGE_BYTES)
    const devices: ProductDevice[] = []
    const waiting = [...options.devices]
    const code = await enrolmentCode(network, vendor, waiting.length)
    const start = async () => {
      for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) {
        const device = await startDevice({
          folder,
          name: host.name,
          gatewayUrl: network.gatewayUrl,
          code,
          place: host,
          // Each host stands for a home of its own, though the hub is one network.
          runOptions: [
            ...['--listen', `/ip4/${host.host}/tcp/${P2P_PORT}`],
            ...['--keep-blocks', '--no-lan'],
          ],
        })
        running.push(device)
        const diary = createDiary(device)
        devices.push({ host, pid: device.process.pid, diary })
        await diary.installed(FIRST_VERSION)
      }
    }
    say(`  ${waiting.length} devices are enrolled and install it`)
    await Promise.all(Array.from({ length: STARTED_AT_ONCE }, start))
    await sleep(SETTLE_MS)
    devices.sort((a, b) => options.devices.indexOf(a.host) - options.devices.indexOf(b.host))
    const socketName = namesOf(network)
    const gatewayLog = (sinceMs: number) => readLog(folder, sinceMs)
    return { devices, publish, socketName, gatewayLog, stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

function publisher(folder: string, network: LocalNetwork, vendor: LocalVendor): Product['publish'] {
  return async (version, imageBytes) => {
    const file = join(folder, `image-${version}`)
    await writeFile(file, randomBytes(imageBytes))
    const { gatewayUrl } = network
    const release = await publishFile(gatewayUrl, vendor, { file, model: MODEL, version })
    const { publishedAt, copies, sealedBytes } = release
    if (publishedAt === null || copies < network.seeds.length) {
      throw new Error(`${version} is on ${copies} of ${network.seeds.length} seeds`)
    }
    return { announcedAtMs: Date.parse(publishedAt), sealedBytes }
  }
}

/** By what the seeds said when they were ready. */
function namesOf({ seeds }: LocalNetwork): Product['socketName'] {
  const knocks = new Map(seeds.map(({ name, ready }) => [hostOf(String(ready.knockUrl)), name]))
  return (address) => {
    const seed = knocks.get(address)
    return seed === undefined ? `${address}, libp2p` : `${address}, knock at ${seed}`
  }
}

function hostOf(url: string): string {
  return new URL(url).host
}

async function enrolmentCode(network: LocalNetwork, vendor: LocalVendor, count: number) {
  const made = await requestJson<(typeof EnrollmentCreatedSchema)['_output']>(
    `${network.gatewayUrl}/v1/enrollments`,
    { method: 'POST', token: vendor.token, json: { model: MODEL, count } },
  )
  return made.code
}

interface LogLine {
  readonly time: string
  readonly msg: string
  readonly path?: string
  readonly method?: string
  readonly ms?: number
}

const DEVICE_CALL = /^\/(?:tuf\/|v1\/(?:devices\/me|releases)\/)/
const LONG_NAME = /(?:0x|bafy)\w{30,}/g

async function readLog(folder: string, sinceMs: number): Promise<readonly GatewayLine[]> {
  const text = await readFile(join(folder, 'logs', 'gateway.log'), 'utf8')
  const lines: GatewayLine[] = []
  for (const each of text.split('\n')) {
    if (!each.startsWith('{')) continue
    const { time, msg, path, method, ms } = JSON.parse(each) as LogLine
    const atMs = Date.parse(time)
    if (atMs < sinceMs) continue
    if (msg === 'announced') lines.push({ atMs, what: 'gateway: announced' })
    if (msg !== 'answered' || path === undefined || !DEVICE_CALL.test(path)) continue
    lines.push({ atMs, what: `gateway: ${method} ${path.replace(LONG_NAME, '…')} (${ms} ms)` })
  }
  return lines
}
