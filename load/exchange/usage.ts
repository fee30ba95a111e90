/** CPU and memory of processes as the kernel counts them, the same way for every competitor. */
import { readdir, readFile } from 'node:fs/promises'
import { KIB } from '@ioex/node/base'
import type { SideUsage } from './types.ts'

/** USER_HZ, which Linux fixes for programs whatever the kernel's own clock does. */
const TICKS_PER_SECOND = 100

/**
 * A process with all its threads and children; children that have ended are in the CPU of whoever waited for
 * them, and gone from the memory. A process that is not there (any more) counts nothing.
 */
export async function usageOf(pid: number): Promise<SideUsage> {
  const [stat, status] = await Promise.all([proc(pid, 'stat'), proc(pid, 'status')])
  // The name in parentheses may have blanks in it; utime is the 14th field of all, the 12th behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0)
  const peakKiB = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
  let cpuSeconds = ticks / TICKS_PER_SECOND
  let peakRssBytes = peakKiB * KIB
  for (const child of await childrenOf(pid)) {
    const used = await usageOf(child)
    cpuSeconds += used.cpuSeconds
    peakRssBytes += used.peakRssBytes
  }
  return { cpuSeconds, peakRssBytes }
}

/** What was used since `before`; memory is the peak since the start of the process. */
export function usedSince(before: SideUsage, now: SideUsage): SideUsage {
  return {
    cpuSeconds: now.cpuSeconds - before.cpuSeconds,
    peakRssBytes: Math.max(before.peakRssBytes, now.peakRssBytes),
  }
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const threads = await ifThere(() => readdir(`/proc/${pid}/task`), [])
  const lists = await Promise.all(threads.map((thread) => proc(pid, `task/${thread}/children`)))
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}

function proc(pid: number, file: string): Promise<string> {
  return ifThere(() => readFile(`/proc/${pid}/${file}`, 'utf8'), '')
}

async function ifThere<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await read()
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return otherwise
    throw thrown
  }
}
