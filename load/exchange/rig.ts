/** What every competitor is handed, and the steps that are the same for all. */
import { join } from 'node:path'
import type { Result } from '@ioex/node/base'
import type { Content } from './content.ts'
import type { Processes, Running } from './processes.ts'
import type { Competitor, RunFigures, SideUsage } from './types.ts'
import { usageOf, usedSince } from './usage.ts'

export interface Rig {
  /** Of this bench; everything in it goes with it. */
  readonly folder: string
  readonly content: Content
  readonly processes: Processes
  readonly say: (line: string) => void
  readonly mayBuild: boolean
  readonly cpuProfDir: string | undefined
}

/** A competitor, made ready outside the clock; or what is missing on this machine. */
export type Prepare = (rig: Rig) => Promise<Result<Competitor, string>>

let made = 0

/** An empty folder's name for one run; the bench removes it after the run. */
export function runFolder(rig: Rig): string {
  return join(rig.folder, `run-${made++}`)
}

/** A Node process of this folder, which speaks JSON lines. */
export function startNode(rig: Rig, file: string, task: unknown, isProfiled = false): Running {
  const profiling =
    isProfiled && rig.cpuProfDir !== undefined
      ? ['--cpu-prof', `--cpu-prof-dir=${rig.cpuProfDir}`, `--cpu-prof-name=${profileName(file)}`]
      : []
  const script = join(import.meta.dirname, file)
  return rig.processes.start(process.execPath, [...profiling, script, JSON.stringify(task)])
}

/** The profile of the last run stays. */
export function profileName(file: string): string {
  return `${file.replace(/[.]ts$/, '')}.cpuprofile`
}

/** Measures both sides around the transfer, which resolves to its seconds. */
export async function measured(
  sides: { readonly sender: Running; readonly receiver: Running },
  transfer: () => Promise<number>,
): Promise<RunFigures> {
  const look = () => Promise.all([usageOf(sides.sender.pid), usageOf(sides.receiver.pid)])
  const [senderBefore, receiverBefore] = await look()
  const seconds = await transfer()
  const [senderAfter, receiverAfter] = await look()
  return {
    seconds,
    sender: seen(usedSince(senderBefore, senderAfter)),
    receiver: seen(usedSince(receiverBefore, receiverAfter)),
  }
}

/** A side that has ended before it was looked at would count as free. */
function seen(usage: SideUsage): SideUsage {
  if (usage.peakRssBytes > 0) return usage
  throw new Error('a process ended before it was measured')
}

/** Tells a receiver of ours to begin; it answers with its own seconds and the bytes it has, verified. */
export async function go(receiver: Running, expectedBytes: number): Promise<number> {
  receiver.tell('go')
  const done = JSON.parse(await receiver.line()) as { seconds: number; bytes: number }
  if (done.bytes !== expectedBytes) {
    throw new Error(`the receiver has ${done.bytes} bytes of ${expectedBytes}`)
  }
  return done.seconds
}
