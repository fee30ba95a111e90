import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { IoexError } from '@ioex/node/base'
import { insideOf, type Place } from './network.ts'
import { type Running, startProcess } from './processes.ts'

const run = promisify(execFile)
const cli = join(import.meta.dirname, '../../node/cli/ioex.ts')

/** What a device process said of one update; bytes as numbers, digests as `0x` text. */
export interface DeviceResult {
  readonly id: string
  readonly sources: readonly { readonly peerId: string; readonly bytes: number }[]
  readonly fetchedBytes: number
  readonly sha256: string
  readonly installed: boolean
  readonly receipts: number
  readonly peakRssMiB: number | null
}

export interface DemoDevice {
  readonly name: string
  readonly id: string
  readonly process: Running
  readonly slotFolder: string
}

interface Line {
  readonly event?: string
  readonly version?: string
  readonly percent?: number
  readonly detail?: string
  readonly installed?: { readonly version: string; readonly sha256: string } | null
  readonly totals?: {
    readonly fetchedBytes: number
    readonly reusedBlocks: number
    readonly receipts: number
    readonly sources: Readonly<Record<string, number>>
  }
}

/** Enrols a device with a code and starts its agent as a process of its own, waiting for releases. */
export async function startDevice(options: {
  readonly folder: string
  readonly name: string
  readonly gatewayUrl: string
  readonly code: string
  /** Where its agent runs; on this machine as it is when left out. */
  readonly place?: Place
  /** Further options of `ioex device run`. */
  readonly runOptions?: readonly string[]
}): Promise<DemoDevice> {
  const home = join(options.folder, options.name)
  const slotFolder = join(options.folder, `${options.name}-slots`)
  const { stdout } = await run(process.execPath, [
    ...[cli, 'device', 'enroll', '--home', home, '--json'],
    ...['--gateway', options.gatewayUrl, '--code', options.code],
  ])
  const enrolled = JSON.parse(stdout) as { readonly device: string }
  const started = await startProcess({
    ...(options.place === undefined ? {} : insideOf(options.place)),
    name: options.name,
    logFolder: join(options.folder, 'logs'),
    script: [
      ...[cli, 'device', 'run', '--home', home, '--slot-dir', slotFolder, '--json'],
      ...(options.runOptions ?? []),
    ],
  })
  return { name: options.name, id: enrolled.device, process: started, slotFolder }
}

export interface Watch {
  readonly heardAtMs: Promise<number>
  readonly result: Promise<DeviceResult>
}

/** Follows a device until it runs that version; rejects when its process ends before. */
export function watchDevice(
  device: DemoDevice,
  version: string,
  onPercent: (percent: number) => void,
): Watch {
  const heard = Promise.withResolvers<number>()
  const result = Promise.withResolvers<DeviceResult>()
  device.process.onLine((raw) => {
    const line = raw as Line
    if (line.event === 'heard' && line.version === version) heard.resolve(Date.now())
    if (line.event === 'progress' && line.percent !== undefined) onPercent(line.percent)
    if (line.event !== 'confirmed' || line.installed?.version !== version) return
    const { installed, totals } = line
    void device.process.peakRssMiB().then((peakRssMiB) => {
      result.resolve({
        id: device.id,
        sources: Object.entries(totals?.sources ?? {}).map(([peerId, bytes]) => ({
          peerId,
          bytes,
        })),
        fetchedBytes: totals?.fetchedBytes ?? 0,
        sha256: installed.sha256,
        installed: true,
        receipts: totals?.receipts ?? 0,
        peakRssMiB: peakRssMiB ?? null,
      })
    })
  })
  void device.process.ended.then(({ code, signal }) => {
    const error = new IoexError(
      'device-ended',
      `${device.name} ended (${code ?? signal}) before it was updated`,
      { blame: 'local', fix: `read logs/${device.name}.log` },
    )
    heard.reject(error)
    result.reject(error)
  })
  // Whoever waits for the result hears of the end; nobody need wait for both.
  heard.promise.catch(() => undefined)
  result.promise.catch(() => undefined)
  return { heardAtMs: heard.promise, result: result.promise }
}
