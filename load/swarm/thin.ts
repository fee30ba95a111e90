/** One seed and one device over lines as thin as people have them, with loss, and with a black-out. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CellOptions } from './cell.ts'
import { findProgram } from './commands.ts'
import { fluidLimitSeconds } from './fluid.ts'
import { CONGESTION_CONTROL, type Host, type Lab } from './lab.ts'
import { addHosts, bothWays, type Hosts, measureRelease } from './ours.ts'
import type { Cell } from './plan.ts'
import { countSockets } from './sockets.ts'
import { type Product, type ProductDevice, startProduct } from './product.ts'

type Trouble = 'none' | 'loss' | 'black-out'

const CELLS: readonly { readonly kbit: number; readonly trouble: Trouble }[] = [
  { kbit: 64, trouble: 'none' },
  { kbit: 128, trouble: 'none' },
  { kbit: 512, trouble: 'none' },
  { kbit: 512, trouble: 'loss' },
  { kbit: 512, trouble: 'black-out' },
]
const LOSS_PERCENT = 3
const BLACK_OUT_MS = 5_000
/** Left out beside the black-out itself: senders wait for their retransmission timer, which has doubled. */
const AFTER_BLACK_OUT_MS = 5_000
/** The seed takes its copy of the release over this; the other direction is the thin one. */
const SEED_DOWN_KBIT = 100_000
/** For enrolling and the first release, before the line becomes thin. */
const WIDE_KBIT = 10_000
const LOOK_EVERY_MS = 20

interface ThinRow {
  readonly kbit: number
  readonly trouble: Trouble
  /** From the first to the last chunk of the image. */
  readonly seconds: number
  /** Image bits per second of that time over the line rate, percent; no header counts. */
  readonly percentOfLine: number
  /** The same from the announcement on. */
  readonly sinceAnnouncedPercent: number
  /** Received by the device's sockets per byte of the image. */
  readonly socketShare: number
}

export interface ThinResult {
  readonly congestionControl: string
  readonly rows: readonly ThinRow[]
}

export async function runThin(
  lab: Lab,
  { imageBytes, seeds }: Cell,
  options: CellOptions & { readonly onlyKbit: number | undefined },
): Promise<ThinResult> {
  const cell = { hosts: 1, seeds, rateKbit: WIDE_KBIT, seedRateKbit: WIDE_KBIT }
  const folder = join(options.folder, 'thin')
  await mkdir(folder, { recursive: true })
  const hosts = await addHosts(lab, cell, bothWays(SEED_DOWN_KBIT))
  const nft = await findProgram('nft')
  const rows: ThinRow[] = []
  try {
    const product = await startProduct({ ...hosts, folder, say: options.say })
    try {
      for (const [at, { kbit, trouble }] of CELLS.entries()) {
        if (kbit !== (options.onlyKbit ?? kbit)) continue
        if (trouble !== 'none' && nft === undefined) {
          options.say(`${trouble}: not measured, as nft is missing (Debian: nftables)`)
          continue
        }
        const thin = { ...cell, rateKbit: kbit, seedRateKbit: kbit, imageBytes, runs: 1 }
        for (const { name } of hosts.seeds) {
          await lab.reshape(name, { upKbit: kbit, downKbit: SEED_DOWN_KBIT })
        }
        for (const { name } of hosts.devices) await lab.reshape(name, bothWays(kbit))
        // Blocks come over a new connection, and what the kernel remembers of the wider line is forgotten.
        for (const { name } of [...hosts.seeds, ...hosts.devices]) {
          await lab.exec(name, 'ip', 'tcp_metrics', 'flush')
        }
        const row = await measure(lab, { hosts, product, cell: thin, trouble }, `2.${at}.0`)
        options.say(`${kbit} kbit/s, ${trouble}: ${row.percentOfLine.toFixed(1)} % of the line`)
        rows.push(row)
      }
    } finally {
      await product.stop()
    }
  } finally {
    await lab.clear()
  }
  return { congestionControl: CONGESTION_CONTROL, rows }
}

interface Line {
  readonly hosts: Hosts
  readonly product: Product
  readonly cell: Cell
  readonly trouble: Trouble
}

async function measure(
  lab: Lab,
  { hosts, product, cell, trouble }: Line,
  version: string,
): Promise<ThinRow> {
  const [device] = product.devices
  if (device === undefined) throw new Error('there is no device')
  const both = [...hosts.seeds, ...hosts.devices]
  if (trouble === 'loss') await dropArriving(lab, both, `numgen random mod 100 < ${LOSS_PERCENT}`)
  const sockets = await countSockets(lab, device.host)
  const inTheMiddle = (fluidLimitSeconds(cell) * 1000) / 2
  const [release] = await Promise.all([
    measureRelease(lab, product, cell, version),
    ...(trouble === 'black-out'
      ? [blackOut(lab, both, { device, version, afterMs: inTheMiddle })]
      : []),
  ])
  const socketBytes = await sockets.receivedBytes()
  if (trouble === 'loss') await dropNothing(lab, both)
  const progress = device.diary.of(version).filter((entry) => entry.event === 'progress')
  const first = progress[0]
  const whole = progress.find((entry) => entry.percent === 100)
  if (first === undefined || whole === undefined) throw new Error('no progress was told')
  const leftOutMs = trouble === 'black-out' ? BLACK_OUT_MS + AFTER_BLACK_OUT_MS : 0
  const percent = (share: number, sinceMs: number) =>
    (100 * (share * cell.imageBytes * 8)) / (whole.atMs - sinceMs - leftOutMs) / cell.rateKbit
  return {
    kbit: cell.rateKbit,
    trouble,
    seconds: (whole.atMs - first.atMs) / 1000,
    percentOfLine: percent(1 - (first.percent ?? 0) / 100, first.atMs),
    sinceAnnouncedPercent: percent(1, release.announcedAtMs),
    socketShare: socketBytes / cell.imageBytes,
  }
}

/** In the middle of the transfer nothing reaches either host for a while. */
async function blackOut(
  lab: Lab,
  hosts: readonly Host[],
  when: { readonly device: ProductDevice; readonly version: string; readonly afterMs: number },
): Promise<void> {
  const { device, version, afterMs } = when
  while (!device.diary.of(version).some((entry) => entry.event === 'progress')) {
    await sleep(LOOK_EVERY_MS)
  }
  await sleep(afterMs)
  await dropArriving(lab, hosts, undefined)
  await sleep(BLACK_OUT_MS)
  await dropNothing(lab, hosts)
}

/** On arrival, where the sender cannot notice: dropping on the way out would be told to TCP at once. */
async function dropArriving(lab: Lab, hosts: readonly Host[], match: string | undefined) {
  const rule = `${match ?? ''} drop`.trim()
  const rules = `table inet trouble { chain arriving { type filter hook input priority 0; iifname "eth0" ${rule}; }; }`
  await Promise.all(hosts.map((host) => lab.exec(host.name, 'nft', rules)))
}

async function dropNothing(lab: Lab, hosts: readonly Host[]) {
  await Promise.all(hosts.map((host) => lab.exec(host.name, 'nft', 'delete table inet trouble')))
}
