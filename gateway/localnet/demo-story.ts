import { basename } from 'node:path'
import type { EnrollmentCreatedSchema, Release } from '@ioex/node/api'
import { type Cost, costFor5MillionDevices } from './cost.ts'
import { type BackupResult, backUpAndRestore } from './demo-backup.ts'
import { type DemoDevice, type DeviceResult, startDevice, watchDevice } from './demo-devices.ts'
import { type LocalNetwork, startLocalNetwork } from './network.ts'
import { publishFile } from './publish.ts'
import { requestJson } from './request.ts'
import { type ReceiptFact, type Settlement, settle } from './settlement.ts'
import { keepVendor, type LocalVendor } from './vendor.ts'

const MODEL = 'demo-box'
const VERSION = '1.0.0'
/** An update of a few hundred MiB takes a device half a minute here; ten minutes without an end are a fault. */
const INSTALLED_WITHIN_MS = 600_000

const HOUR_MS = 3_600_000

export interface DemoOptions {
  readonly folder: string
  readonly firmware: string
  readonly devices: number
  readonly seeds: number
  readonly say: (line: string) => void
}

/** The JSON of `npm run demo -- --json`. */
export interface DemoResult {
  readonly release: {
    readonly root: string
    readonly imageBytes: number
    readonly imageSha256: string
    readonly sealedBytes: number
    readonly chunks: number
    readonly addresses: readonly string[]
  }
  readonly announceMs: { readonly p50: number; readonly p99: number }
  readonly devices: readonly DeviceResult[]
  readonly receipts: {
    readonly count: number
    readonly bytes: number
    /** The highest receipt per grant and server, from which the bill follows. */
    readonly highest: readonly ReceiptFact[]
  }
  readonly settlement: Settlement
  readonly costFor5MillionDevices: Cost
  readonly backup: BackupResult
  readonly seconds: number
}

export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { folder, say } = options
  const beganMs = performance.now()
  const step = (text: string) =>
    say(`[${((performance.now() - beganMs) / 1000).toFixed(1)} s] ${text}`)
  const stoppable: { stop(): Promise<void> }[] = []
  try {
    step('Starting a network: chain, bootstraps, gateway, seeds, bridge')
    const network = await startLocalNetwork({
      folder,
      bootstraps: 2,
      seeds: options.seeds,
      // One settlement at the end: the bill then follows from the receipts by one rounding.
      epochEveryMs: HOUR_MS,
      onStep: (what) => step(`  ${what}`),
    })
    stoppable.unshift(network)
    const vendor = await keepVendor(folder, network)
    step('  a vendor with GAS in escrow')

    const devices = await startDevices(options, network, vendor)
    stoppable.unshift(...devices.map((device) => device.process))
    step(`${devices.length} devices are enrolled and listen`)

    const shown = createPercentLines(devices.length, (text) => step(`  ${text}`))
    const watches = devices.map((device) => watchDevice(device, VERSION, shown.of(device.name)))
    step(`The vendor publishes ${basename(options.firmware)}`)
    const release = await publishFile(network.gatewayUrl, vendor, {
      file: options.firmware,
      model: MODEL,
      version: VERSION,
    })
    step(
      `  ${mib(release.imageBytes ?? 0)} became ${mib(release.sealedBytes)} sealed, on ${release.copies} seeds`,
    )
    const results = await within(
      INSTALLED_WITHIN_MS,
      Promise.all(watches.map((watch) => watch.result)),
    )
    const announceMs = await announceTimes(release, watches)
    step(
      `${results.length} of ${devices.length} devices run ${MODEL} ${VERSION}, each byte verified`,
    )

    const fetchedBytes = sum(results.map((result) => result.fetchedBytes))
    const { settlement, receipts } = await settle(folder, network, fetchedBytes)
    step(
      `Receipts for ${mib(fetchedBytes)} are settled: ${amount(settlement.gasBilled, 18)} GAS billed,`,
    )
    step(
      `  ${amount(settlement.burnedIoex, 8)} ioeX burned, ${amount(settlement.ioexPaid, 8)} ioeX paid to seeds`,
    )

    const addresses = await addressesOf(release, network, vendor)
    step('A person backs up a folder with three friends, and gets it back on another machine')
    const backup = await backUpAndRestore({ folder, network })
    const outcome = backup.restoredEqual ? 'all of it came back equal' : 'what came back DIFFERS'
    step(`  ${backup.files} files, ${mib(backup.bytes)}: ${outcome}`)

    const cost = costFor5MillionDevices(settlement, {
      fetchedBytes,
      imageBytes: release.imageBytes ?? 0,
      devices: results.length,
    })
    printCost(cost, say)
    return {
      release: {
        root: release.id,
        imageBytes: release.imageBytes ?? 0,
        imageSha256: release.imageSha256 ?? '',
        sealedBytes: release.sealedBytes,
        chunks: release.chunks ?? 0,
        addresses,
      },
      announceMs,
      devices: results,
      receipts: {
        count: sum(results.map((result) => result.receipts)),
        bytes: sum(receipts.map((receipt) => receipt.serverBytes)),
        highest: receipts,
      },
      settlement,
      costFor5MillionDevices: cost,
      backup,
      seconds: (performance.now() - beganMs) / 1000,
    }
  } finally {
    await Promise.all(stoppable.slice(0, -1).map((part) => part.stop()))
    await stoppable.at(-1)?.stop()
  }
}

async function startDevices(
  options: DemoOptions,
  network: LocalNetwork,
  vendor: LocalVendor,
): Promise<DemoDevice[]> {
  const { code } = await requestJson<(typeof EnrollmentCreatedSchema)['_output']>(
    `${network.gatewayUrl}/v1/enrollments`,
    { method: 'POST', token: vendor.token, json: { model: MODEL, count: options.devices } },
  )
  const names = Array.from({ length: options.devices }, (_, at) => `device-${at + 1}`)
  const { folder } = options
  const { gatewayUrl } = network
  return Promise.all(names.map((name) => startDevice({ folder, name, gatewayUrl, code })))
}

async function addressesOf(
  release: Release,
  network: LocalNetwork,
  vendor: LocalVendor,
): Promise<string[]> {
  const list = await requestJson<{ entries: { peerId: string; multiaddrs: string[] }[] }>(
    `${network.gatewayUrl}/v1/releases/${release.id}/addresses`,
    { token: vendor.token },
  )
  return list.entries.flatMap((entry) => entry.multiaddrs)
}

/** From the gateway's announcement to the word of each device that it has heard. */
async function announceTimes(
  release: Release,
  watches: readonly { readonly heardAtMs: Promise<number> }[],
): Promise<{ p50: number; p99: number }> {
  const announcedMs = Date.parse(release.publishedAt ?? '')
  const heard = await Promise.all(watches.map((watch) => watch.heardAtMs))
  const sorted = heard.map((atMs) => atMs - announcedMs).sort((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0
  return { p50: at(0.5), p99: at(0.99) }
}

/** One line for each quarter that all devices have passed on average. */
function createPercentLines(devices: number, say: (text: string) => void) {
  const percents = new Map<string, number>()
  let told = 0
  return {
    of: (name: string) => (percent: number) => {
      percents.set(name, percent)
      const mean = sum([...percents.values()]) / devices
      const quarter = Math.floor(mean / 25)
      if (quarter <= told) return
      told = quarter
      say(`devices have ${quarter * 25} % on average`)
    },
  }
}

function printCost(cost: Cost, say: (line: string) => void): void {
  const egress = (cost.seedEgressBytes / 1024 ** 4).toFixed(1)
  say('')
  say(`${cost.imageMB} MB for ${cost.devices.toLocaleString('en')} devices:`)
  say(`  a cloud CDN at $0.1 per GB      $${cost.cloudUsd.toLocaleString('en')}`)
  say(`  ioeX, every byte from a seed    $${cost.oursUsd.toLocaleString('en')}`)
  say(`  (${egress} TiB from seeds at ${cost.gasPerGiB} GAS per GiB, 1 GAS = $${cost.usdPerGas};`)
  say(
    `  a device fetched ${(100 * cost.fetchedPerImageByte).toFixed(0)} % of the image's bytes in this run)`,
  )
  say('')
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function mib(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

function amount(units: string, decimals: number): string {
  const digits = units.padStart(decimals + 1, '0')
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`.replace(/\.?0+$/, '')
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the devices were not done in ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
