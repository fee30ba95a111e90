/**
 * The processes of the bench. Each is the head of a process group of its own, so that it ends with everything
 * it started; they talk in lines over their standard input and output.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock } from '@ioex/node/base'

export interface Running {
  readonly pid: number
  /** The next line. Throws with the end of what the process said on standard error when there is none. */
  line(): Promise<string>
  /** The next line, or undefined once its standard output has ended. */
  lineOrEnd(): Promise<string | undefined>
  tell(text: string): void
  /** Closes its input and waits until it has ended by itself; throws when it ends otherwise. */
  finish(): Promise<void>
  /** SIGTERM, and SIGKILL when it does not listen. */
  stop(): Promise<void>
}

export interface Processes {
  start(
    command: string,
    args: readonly string[],
    options?: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string },
  ): Running
  stopAll(): Promise<void>
  /** At once, for the end of the bench by a signal. */
  killAll(): void
}

/** A node with a large store takes a while to close its books; longer means that it hangs. */
const GRACE_MS = 10_000
/** Of standard error, for the message when a process ends too early. */
const KEPT_CHARACTERS = 2_000

export function createProcesses(): Processes {
  const running = new Set<ChildProcess>()

  const signal = (child: ChildProcess, name: NodeJS.Signals) => {
    if (child.pid === undefined || hasEnded(child)) return
    try {
      process.kill(-child.pid, name)
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
    }
  }
  const stop = async (child: ChildProcess) => {
    if (hasEnded(child)) return
    const gone = once(child, 'exit')
    signal(child, 'SIGTERM')
    const cancel = systemClock.after(GRACE_MS, () => signal(child, 'SIGKILL'))
    await gone
    cancel()
  }
  return {
    start(command, args, options = {}) {
      const child = spawn(command, args, {
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { ...process.env, ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      })
      running.add(child)
      const failed = new Promise<never>((_, reject) => child.once('error', reject))
      // Whoever waits for a line hears of it there.
      failed.catch(() => running.delete(child))
      child.once('exit', () => running.delete(child))
      // A process that has ended reads no more; its exit is what counts.
      child.stdin.on('error', () => undefined)
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-KEPT_CHARACTERS)
      })
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
      const early = () => new Error(`${basename(command)} ended too early: ${gist(said)}`)
      const lineOrEnd = async () => {
        const next = await Promise.race([lines.next(), failed])
        return next.done === true ? undefined : next.value
      }
      return {
        pid: child.pid ?? 0,
        lineOrEnd,
        async line() {
          const line = await lineOrEnd()
          if (line === undefined) throw early()
          return line
        },
        tell(text) {
          child.stdin.write(`${text}\n`)
        },
        async finish() {
          child.stdin.end()
          if (!hasEnded(child)) await Promise.race([once(child, 'exit'), failed])
          if (child.exitCode !== 0) throw early()
        },
        stop: () => stop(child),
      }
    },
    async stopAll() {
      await Promise.all([...running].map(stop))
    },
    killAll() {
      for (const child of running) signal(child, 'SIGKILL')
    },
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** The line of an error that tells what it was, without its stack; else the last line. */
function gist(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '')
  return (
    lines.find((line) => /^\w*Error\b/.test(line)) ??
    lines.at(-1) ??
    'it said nothing'
  ).trim()
}
