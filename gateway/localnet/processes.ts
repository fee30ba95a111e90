import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { IoexError } from '@ioex/node/base'

/** A process that has said it is ready; the first JSON line on its standard output is what it says. */
export interface Running {
  readonly name: string
  readonly pid: number
  /** The ready line. */
  readonly ready: Readonly<Record<string, unknown>>
  /** Every further JSON line on standard output. */
  onLine(heard: (line: Readonly<Record<string, unknown>>) => void): void
  /** Resolves when it has ended, however. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  /** Asks it to end (SIGTERM), and makes it end after a while. May be called twice. */
  stop(): Promise<void>
  /** SIGKILL, for tests of what survives that. */
  kill(): Promise<void>
  /** Highest resident set so far, MiB; undefined where /proc does not tell. */
  peakRssMiB(): Promise<number | undefined>
}

export interface ProcessPlan {
  readonly name: string
  /** Script and arguments for this Node, or a program of its own. */
  readonly script: readonly string[]
  /** Put before the program, such as `ip netns exec NAME`; it has to become the program, not to start it. */
  readonly inside?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Standard error goes to a file here, one per name. */
  readonly logFolder: string
  readonly readyWithinMs?: number
}

/** A process that has not said it is ready by then says why in its log; a cold start takes about two seconds. */
const READY_WITHIN_MS = 60_000
/** After SIGTERM a process closes its files and streams; one that does not come to an end is killed. */
const STOP_WITHIN_MS = 15_000

export async function startProcess(plan: ProcessPlan): Promise<Running> {
  await mkdir(plan.logFolder, { recursive: true })
  const logFile = join(plan.logFolder, `${plan.name}.log`)
  const log = createWriteStream(logFile, { flags: 'a' })
  const [program = process.execPath, ...args] = [
    ...(plan.inside ?? []),
    process.execPath,
    ...plan.script,
  ]
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...plan.environment },
  })
  child.stderr.pipe(log)
  const listeners: ((line: Readonly<Record<string, unknown>>) => void)[] = []
  const ended = new Promise<Awaited<Running['ended']>>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  const ready = new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    const late = setTimeout(() => {
      child.kill('SIGKILL')
      reject(notReady(plan.name, logFile, 'was not ready in time'))
    }, plan.readyWithinMs ?? READY_WITHIN_MS)
    child.once('error', reject)
    void ended.then(() => {
      clearTimeout(late)
      // Too late for a process that was ready: a promise settles once.
      reject(notReady(plan.name, logFile, 'ended before it was ready'))
    })
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = parseLine(text)
      if (line === undefined) {
        log.write(`${text}\n`)
        return
      }
      clearTimeout(late)
      resolve(line)
      for (const heard of listeners) heard(line)
    })
  })
  const firstLine = await ready
  return {
    name: plan.name,
    pid: child.pid ?? 0,
    ready: firstLine,
    onLine: (heard) => listeners.push(heard),
    ended,
    stop: () => stopChild(child, ended),
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
    peakRssMiB: () => peakRssMiB(child.pid),
  }
}

async function stopChild(child: ChildProcess, ended: Running['ended']): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  await ended
  clearTimeout(late)
}

/** VmHWM of /proc/pid/status, in MiB. */
async function peakRssMiB(pid: number | undefined): Promise<number | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const kib = /VmHWM:\s+(\d+) kB/.exec(status)?.[1]
    return kib === undefined ? undefined : Math.round(Number(kib) / 1024)
  } catch {
    // Not Linux, or the process has just ended: there is nothing to say.
    return undefined
  }
}

function parseLine(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    // A line of the log that begins with a brace.
    return undefined
  }
}

function notReady(name: string, logFile: string, what: string): IoexError {
  return new IoexError('process-not-ready', `${name} ${what}`, {
    blame: 'local',
    fix: `read ${logFile}`,
  })
}
