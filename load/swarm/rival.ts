import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from './lab.ts'

const READY_WITHIN_MS = 20_000
const LOOK_EVERY_MS = 20

export interface RivalOptions {
  readonly folder: string
  readonly say: (line: string) => void
}

/** A program of others, in a host's namespace or, without one, in the hub. Ended by `SIGKILL`: it keeps nothing. */
export interface Started {
  /** The end of what it has said, once it has ended by itself. */
  lastWords(): string | undefined
  stop(): Promise<void>
}

/** The end of what a program says tells why it ended. */
const KEPT_CHARACTERS = 1_000

export function startProgram(host: Host | undefined, argv: readonly string[]): Started {
  const [program = '', ...args] = [...(host?.inside ?? []), ...argv]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  let hasEnded = false
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-KEPT_CHARACTERS)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      hasEnded = true
      resolve()
    }
    child.once('exit', end)
    child.once('error', (error) => {
      said += error.message
      end()
    })
  })
  return {
    lastWords: () => (hasEnded ? said : undefined),
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Asks until it is so; throws when that takes too long, or when the program has ended. */
export async function until(
  what: string,
  program: Started,
  isSo: () => Promise<boolean>,
  withinMs = READY_WITHIN_MS,
): Promise<void> {
  const endMs = Date.now() + withinMs
  for (;;) {
    if (await isSo()) return
    const lastWords = program.lastWords()
    if (lastWords !== undefined) throw new Error(`${what}: it has ended: ${lastWords.trim()}`)
    if (Date.now() > endMs) throw new Error(`${what}: not within ${withinMs} ms`)
    await sleep(LOOK_EVERY_MS)
  }
}

export async function writeImage(path: string, bytes: number): Promise<void> {
  await writeFile(path, randomBytes(bytes))
}
