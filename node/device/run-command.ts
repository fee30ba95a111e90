import { spawn } from 'node:child_process'
import type { AbortOptions, Clock } from '../base/index.ts'

export interface CommandResult {
  /** Undefined when it was ended by a signal, ours or another. */
  readonly exitCode: number | undefined
  readonly timedOut: boolean
}

interface RunOptions extends AbortOptions {
  readonly env: Readonly<Record<string, string>>
  readonly timeoutMs: number
}

/** Runs a line of the device's owner with `sh -c`; else as `runProgram`. */
export function runShell(
  needs: { readonly clock: Clock },
  line: string,
  options: RunOptions,
): Promise<CommandResult> {
  return run(needs, ['/bin/sh', '-c', line], options)
}

/**
 * Runs a program of the device's owner. What it prints goes to standard error, since standard output holds results
 * only. It runs in a process group of its own, so that a time-out ends all of it.
 */
export function runProgram(
  needs: { readonly clock: Clock },
  path: string,
  options: RunOptions,
  args: readonly string[] = [],
): Promise<CommandResult> {
  return run(needs, [path, ...args], options)
}

async function run(
  needs: { readonly clock: Clock },
  [program, ...args]: readonly [string, ...string[]],
  options: RunOptions,
): Promise<CommandResult> {
  options.signal?.throwIfAborted()
  // The secrets of this process are none of that command's business.
  const { IOEX_PASSPHRASE: _passphrase, IOEX_PAIRING_CODE: _code, ...inherited } = process.env
  const child = spawn(program, args, {
    stdio: ['ignore', 2, 2],
    env: { ...inherited, ...options.env },
    detached: true,
  })
  let timedOut = false
  const end = () => {
    if (child.pid === undefined || child.exitCode !== null) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It ended by itself between the look and the kill; the exit event says how.
      child.kill('SIGKILL')
    }
  }
  const cancel = needs.clock.after(options.timeoutMs, () => {
    timedOut = true
    end()
  })
  options.signal?.addEventListener('abort', end)
  try {
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => resolve(code ?? undefined))
    })
    options.signal?.throwIfAborted()
    return { exitCode, timedOut }
  } finally {
    cancel()
    options.signal?.removeEventListener('abort', end)
  }
}
