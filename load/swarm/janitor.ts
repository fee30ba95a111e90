/**
 * The bench runs in a namespace of its own, the hub, started by a process that does nothing but clean up: when
 * the bench ends, fails or is interrupted, whatever is left in its namespaces is ended by its number, and the
 * namespaces and the folder are removed. A janitor that was killed itself is made up for by the next one.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command, findProgram } from './commands.ts'
import { CONGESTION_CONTROL, removeNamespace } from './lab.ts'

const NAMESPACE = /^ioexswarm-(\d+)(?:-[\w-]+)?$/

const NSENTER = 'nsenter'

export interface LabSite {
  /** Every namespace of this lab begins so. */
  readonly prefix: string
  readonly folder: string
}

/** Where the bench works when it was started by the janitor. */
export function labSite(): LabSite | undefined {
  const { IOEX_SWARM_PREFIX: prefix, IOEX_SWARM_FOLDER: folder } = process.env
  return prefix === undefined || folder === undefined ? undefined : { prefix, folder }
}

/** What is missing for a laboratory, in words; undefined when nothing is. */
export async function whatIsMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
  const tools: string[] = []
  for (const name of ['ip', 'tc', NSENTER]) {
    if ((await findProgram(name)) === undefined) tools.push(name)
  }
  if (tools.length > 0) {
    return `${tools.join(', ')} not found (Debian: apt-get install iproute2 util-linux)`
  }
  if (process.getuid?.() !== 0)
    return 'network namespaces need root: run it as root or with sudo -E'
  return undefined
}

const ALLOWED_FILE = '/proc/sys/net/ipv4/tcp_allowed_congestion_control'

/**
 * A host may only have what the machine allows to everybody, and some machines leave it out of that list. Stays so:
 * other programs choose for themselves.
 */
async function allowCongestionControl(): Promise<void> {
  const allowed = (await readFile(ALLOWED_FILE, 'utf8')).trim().split(' ')
  if (allowed.includes(CONGESTION_CONTROL)) return
  await writeFile(ALLOWED_FILE, [...allowed, CONGESTION_CONTROL].join(' '))
}

/** Runs a script in a fresh hub; resolves to its exit code when everything is removed again. */
export async function runInLab(script: string, args: readonly string[]): Promise<number> {
  await removeLeftovers((pid) => !isAlive(pid))
  await allowCongestionControl()
  const prefix = `ioexswarm-${process.pid}`
  const folder = await mkdtemp(join(tmpdir(), 'ioex-swarm-'))
  try {
    await command('ip', 'netns', 'add', prefix)
    // Not `ip netns exec`: in a mount namespace of its own, what the bench adds would be hidden from here.
    const hub = [`--net=/run/netns/${prefix}`, process.execPath, script, ...args]
    const child = spawn(NSENTER, hub, {
      stdio: 'inherit',
      env: { ...process.env, IOEX_SWARM_PREFIX: prefix, IOEX_SWARM_FOLDER: folder },
    })
    let interrupted = false
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        interrupted = true
        child.kill('SIGKILL')
      })
    }
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (status) => resolve(status ?? 1))
    })
    return interrupted ? 130 : code
  } finally {
    await removeLeftovers((pid) => pid === process.pid)
    await rm(folder, { recursive: true, force: true })
  }
}

async function removeLeftovers(isMine: (pid: number) => boolean): Promise<void> {
  const names = (await command('ip', 'netns', 'list')).split('\n').map((line) => line.split(' ')[0])
  for (const name of names) {
    const pid = NAMESPACE.exec(name ?? '')?.[1]
    if (name !== undefined && pid !== undefined && isMine(Number(pid))) await removeNamespace(name)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // Nobody has that number, or it was given to somebody else's process: not a janitor of ours.
    return false
  }
}
