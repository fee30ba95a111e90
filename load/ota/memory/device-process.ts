/** `ioex device …` as a process of its own, and what memory it took. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { codeOf, KIB, systemClock } from '@ioex/node/base'

const IOEX = join(dirname(fileURLToPath(import.meta.resolve('@ioex/node/cli'))), 'ioex.ts')
/** The kernel keeps the maximum: this only has to see the process before it ends. */
const LOOK_EVERY_MS = 20
/** The end of what it said is why it failed. */
const SAID_MAX_CHARACTERS = 2_000

export interface DeviceRun {
  readonly name: string
  readonly outcome: string
  /** VmHWM, MiB. */
  readonly peakMib: number
  readonly seconds: number
}

/** Runs `ioex` to its end; the last line that it prints is one JSON object. */
export async function ioex(name: string, args: readonly string[]): Promise<DeviceRun> {
  const startedMs = systemClock.monotonicMs()
  const child = spawn(process.execPath, [IOEX, ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  child.stdout.on('data', (part: Buffer) => {
    out += part.toString()
  })
  let said = ''
  child.stderr.on('data', (part: Buffer) => {
    said = (said + part.toString()).slice(-SAID_MAX_CHARACTERS)
  })
  let isOver = false
  const ended = new Promise<number | null>((done, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      isOver = true
      done(code)
    })
  })
  let peakKib = 0
  while (!isOver) {
    peakKib = Math.max(peakKib, await peakOf(child.pid))
    await Promise.race([ended, systemClock.sleep(LOOK_EVERY_MS)])
  }
  const code = await ended
  const line = out.trimEnd().split('\n').at(-1) ?? ''
  if (code !== 0) throw new Error(`ioex ${args.join(' ')} ended with ${code}: ${line}\n${said}`)
  const { outcome = 'done' } = JSON.parse(line) as { readonly outcome?: string }
  const seconds = (systemClock.monotonicMs() - startedMs) / 1_000
  return { name, outcome, peakMib: peakKib / KIB, seconds }
}

async function peakOf(pid: number | undefined): Promise<number> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0)
  } catch (thrown) {
    // It has just ended.
    if (codeOf(thrown) === 'ENOENT' || codeOf(thrown) === 'ESRCH') return 0
    throw thrown
  }
}
