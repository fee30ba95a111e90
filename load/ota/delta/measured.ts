/** Programs with what they cost, as the kernel counts it when they end. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KIB } from '@ioex/node/base'
import type { Cost } from './types.ts'

const exec = promisify(execFile)

/** GNU time: Node does not tell what its children have used. */
export const TIME_PROGRAM = 'time'
/** What a program says on standard error is kept to this length, for the message when it fails. */
const KEPT_CHARACTERS = 2_000

export interface RunOptions {
  readonly cwd: string
  readonly timeoutMs: number
  /** Absolute path of GNU time. */
  readonly time: string
}

/** Throws with the program's last words when it fails, and when it takes too long. */
export async function measured(
  program: string,
  args: readonly string[],
  { cwd, timeoutMs, time }: RunOptions,
): Promise<Cost> {
  const report = join(cwd, 'time.txt')
  const child = spawn(time, ['-q', '-f', '%U %S %M', '-o', report, program, ...args], {
    cwd,
    // A group of its own, so that the program ends with the one that times it.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-KEPT_CHARACTERS)
  })
  let isLate = false
  const end = () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
  }
  const timer = setTimeout(() => {
    isLate = true
    end()
  }, timeoutMs)
  process.once('exit', end)
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    if (isLate) throw new Error(`not done within ${timeoutMs / 1_000} s`)
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${said.trim()}`)
  } finally {
    clearTimeout(timer)
    process.removeListener('exit', end)
  }
  const [user = Number.NaN, system = Number.NaN, peakKiB = Number.NaN] = (
    await readFile(report, 'utf8')
  )
    .trim()
    .split(' ')
    .map(Number)
  return { cpuSeconds: user + system, peakRssBytes: peakKiB * KIB }
}

/** Several programs one after the other: their time adds up, their memory does not. */
export function together(...costs: readonly Cost[]): Cost {
  return {
    cpuSeconds: costs.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    peakRssBytes: Math.max(...costs.map(({ peakRssBytes }) => peakRssBytes)),
  }
}

/** Runs a program whose cost is of no interest; its output. Throws with what it said on standard error. */
export async function command(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  try {
    const { stdout } = await exec(program, [...args], {
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC', ...options.env },
      maxBuffer: MAX_OUTPUT_BYTES,
    })
    return stdout
  } catch (thrown) {
    const said = thrown instanceof Error && 'stderr' in thrown ? String(thrown.stderr).trim() : ''
    const shown = [program, ...args.slice(0, SHOWN_ARGUMENTS)].join(' ')
    throw new Error(`${shown}: ${said === '' ? String(thrown) : said}`, { cause: thrown })
  }
}

/** Lists of packages and the words of debugfs. */
const MAX_OUTPUT_BYTES = 64 * KIB * KIB
const SHOWN_ARGUMENTS = 4
