import type { Readable, Writable } from 'node:stream'
import { type Clock, systemClock } from '../base/index.ts'

export type TextOutput = Writable & { readonly isTTY?: boolean; readonly columns?: number }
type TextInput = Readable & { readonly isTTY?: boolean }

/** What a command line stands on; tests hand in their own. */
export interface System {
  readonly stdin: TextInput
  readonly stdout: TextOutput
  readonly stderr: TextOutput
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** Ctrl-C and SIGTERM. Returns the function that stops listening. */
  onInterrupt(interrupted: () => void): () => void
  /** Ends the process now. */
  kill(exitCode: number): void
}

export function createProcessSystem(): System {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    clock: systemClock,
    onInterrupt(interrupted) {
      process.on('SIGINT', interrupted)
      process.on('SIGTERM', interrupted)
      return () => {
        process.off('SIGINT', interrupted)
        process.off('SIGTERM', interrupted)
      }
    },
    kill: (exitCode) => process.exit(exitCode),
  }
}
