import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../../node/cli/ioex.ts', import.meta.url))

export interface Ran {
  readonly code: number | null
  /** The one document of --json. */
  readonly json: Record<string, unknown>
  readonly err: string
}

export interface ReadyNode {
  readonly pid: number
  readonly peerId: string
  readonly multiaddrs: readonly string[]
  readonly knockUrl: string
  readonly contactAddress: string
  stop(): Promise<void>
}

/** Runs `ioex` commands as real processes and ends those that are still there, each by its id. */
export function createProcesses() {
  const running = new Set<ChildProcess>()

  const start = (args: readonly string[], env: Readonly<Record<string, string>>) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      env: { PATH: process.env.PATH ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    return child
  }
  return {
    /** Runs to the end. */
    async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
      const child = start([...args, '--json'], env)
      let out = ''
      let err = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        err += text
      })
      const [code] = (await once(child, 'close')) as [number | null]
      const parsed: unknown = out === '' ? {} : JSON.parse(out)
      return { code, json: Object(parsed) as Record<string, unknown>, err }
    },
    /** Resolves with its ready line. */
    async node(
      args: readonly string[],
      env: Readonly<Record<string, string>> = {},
    ): Promise<ReadyNode> {
      const child = start([...args, '--json'], env)
      let err = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        err = (err + text).slice(-4_000)
      })
      for await (const line of createInterface(child.stdout)) {
        const ready = JSON.parse(line) as Omit<ReadyNode, 'pid' | 'stop'>
        return { ...ready, pid: child.pid ?? 0, stop: () => end(child) }
      }
      throw new Error(`ioex ${args.join(' ')} ended before it was ready: ${err}`)
    },
    async stop(): Promise<void> {
      await Promise.all([...running].map(end))
    },
  }
}

const GRACE_MS = 15_000

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS)
  await gone
  clearTimeout(timer)
}
