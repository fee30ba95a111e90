import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { measureAria2 } from './aria2.ts'
import { measureCurl } from './curl.ts'
import { fluidLimitSeconds } from './fluid.ts'
import type { Lab } from './lab.ts'
import { addHosts, measureOurs, type OurTimes, type Times } from './ours.ts'
import type { Cell, Rival } from './plan.ts'
import type { Moment } from './timeline.ts'

export interface CellResult {
  readonly cell: Cell
  readonly limitSeconds: number
  readonly ours: OurTimes
  readonly aria2: (Times & { readonly seedEgressImages: number }) | undefined
  readonly curl: Times | undefined
  readonly timeline: readonly Moment[]
}

export interface CellOptions {
  readonly folder: string
  readonly rivals: readonly Rival[]
  readonly say: (line: string) => void
}

/** The product, then its rivals, on the same links, one after the other. */
export async function runCell(lab: Lab, cell: Cell, options: CellOptions): Promise<CellResult> {
  const { rivals, say } = options
  say(
    `${cell.hosts} hosts at ${cell.rateKbit} kbit/s, ${cell.seeds} seeds at ${cell.seedRateKbit} kbit/s`,
  )
  const folder = join(options.folder, `cell-${Date.now()}`)
  await mkdir(folder, { recursive: true })
  const hosts = await addHosts(lab, cell)
  try {
    const { times, timeline } = await measureOurs(lab, hosts, cell, { folder, say })
    const rival = { folder, say }
    const aria2 = rivals.includes('aria2') ? await measureAria2(lab, hosts, cell, rival) : undefined
    // One server and one client; more of them would be a swarm.
    const isPair = cell.hosts === 1 && cell.seeds === 1
    const curl =
      isPair && rivals.includes('curl') ? await measureCurl(hosts, cell, rival) : undefined
    return { cell, limitSeconds: fluidLimitSeconds(cell), ours: times, aria2, curl, timeline }
  } finally {
    await lab.clear()
  }
}
