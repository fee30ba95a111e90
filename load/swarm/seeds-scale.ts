/** Does a device draw from several seeds at once, and does each byte come once? */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CellOptions } from './cell.ts'
import type { Lab } from './lab.ts'
import { addHosts, measureRelease } from './ours.ts'
import type { Cell } from './plan.ts'
import { startProduct } from './product.ts'
import { countSockets } from './sockets.ts'

const SEEDS = [1, 2, 4, 8]
const SEED_KBIT = 20_000
const DEVICE_KBIT = 200_000

export interface ScaleRow {
  readonly seeds: number
  /** Image bits over the time from the first chunk in place to all of them. */
  readonly payloadMbit: number
  /** The same with the way from the announcement to the first chunk. */
  readonly sinceAnnouncedMbit: number
  /** Received by the device's sockets per byte of the image. */
  readonly socketShare: number
  /** Received by its interface, headers and all. */
  readonly interfaceShare: number
}

export async function runSeedsScale(
  lab: Lab,
  { imageBytes }: Cell,
  options: CellOptions & { readonly onlySeeds: number | undefined },
): Promise<readonly ScaleRow[]> {
  const rows: ScaleRow[] = []
  for (const seeds of options.onlySeeds === undefined ? SEEDS : [options.onlySeeds]) {
    const cell = { hosts: 1, seeds, rateKbit: DEVICE_KBIT, seedRateKbit: SEED_KBIT }
    rows.push(await measure(lab, { ...cell, imageBytes, runs: 1 }, options))
  }
  return rows
}

async function measure(lab: Lab, cell: Cell, options: CellOptions): Promise<ScaleRow> {
  const { seeds, imageBytes } = cell
  options.say(`${seeds} seeds at ${SEED_KBIT} kbit/s, one device at ${DEVICE_KBIT} kbit/s`)
  const folder = join(options.folder, `scale-${seeds}`)
  await mkdir(folder, { recursive: true })
  const hosts = await addHosts(lab, cell)
  try {
    const product = await startProduct({ ...hosts, folder, say: options.say })
    try {
      const [device] = product.devices
      if (device === undefined) throw new Error('there is no device')
      const sockets = await countSockets(lab, device.host)
      const version = '2.0.0'
      const release = await measureRelease(lab, product, cell, version)
      const socketBytes = await sockets.receivedBytes()
      const wire = release.traffic.get(device.host.name)?.receivedBytes ?? Number.NaN
      const progress = device.diary.of(version).filter((entry) => entry.event === 'progress')
      const [first] = progress
      const whole = progress.find((entry) => entry.percent === 100)
      if (first === undefined || whole === undefined) throw new Error('no progress was told')
      const mbit = (bytes: number, ms: number) => (bytes * 8) / 1000 / ms
      const missingShare = 1 - (first.percent ?? 0) / 100
      return {
        seeds,
        payloadMbit: mbit(imageBytes * missingShare, whole.atMs - first.atMs),
        sinceAnnouncedMbit: mbit(imageBytes, whole.atMs - release.announcedAtMs),
        socketShare: socketBytes / imageBytes,
        interfaceShare: wire / imageBytes,
      }
    } finally {
      await product.stop()
    }
  } finally {
    await lab.clear()
  }
}
