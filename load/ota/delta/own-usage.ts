import { readFile, writeFile } from 'node:fs/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { KIB } from '@ioex/node/base'
import type { Cost } from './types.ts'

export interface OwnUsage {
  /** Since `startOwnUsage`. */
  end(): Promise<Cost & { readonly growthBytes: number }>
}

const MICROS_PER_SECOND = 1_000_000
/** proc_pid_clear_refs(5): the peak begins anew at what is resident now. */
const RESET_PEAK = '5'

/** CPU and memory of this process from now on, its start left out, and what its start has left to be collected. */
export async function startOwnUsage(): Promise<OwnUsage> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  await writeFile('/proc/self/clear_refs', RESET_PEAK)
  const before = await resident('VmRSS')
  const started = cpuSeconds()
  return {
    async end() {
      const used = cpuSeconds() - started
      const peakRssBytes = await resident('VmHWM')
      return { cpuSeconds: used, peakRssBytes, growthBytes: peakRssBytes - before }
    },
  }
}

function cpuSeconds(): number {
  const { userCPUTime, systemCPUTime } = process.resourceUsage()
  return (userCPUTime + systemCPUTime) / MICROS_PER_SECOND
}

async function resident(field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8')
  const [, kib = 'NaN'] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? []
  return Number(kib) * KIB
}
