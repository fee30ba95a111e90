import { createInterface } from 'node:readline/promises'
import { ExitCode } from './exit-codes.ts'
import { Failure, Interrupted, misuse } from './failure.ts'
import type { System } from './system.ts'

interface Question {
  readonly question: string
  /** The flag that answers it without asking, as to be typed: `--yes` or `--passphrase-file FILE`. */
  readonly flag: string
  readonly signal?: AbortSignal
}

export interface Asking {
  /** Is there a person who can be asked? Standard input and standard error must both be terminals. */
  readonly interactive: boolean
  /** Asks on standard error. Where nobody can be asked it ends with misuse and names the flag. */
  ask(question: Question): Promise<string>
  /** A declined question ends with failed. */
  confirm(question: Question): Promise<void>
}

export function createAsking(
  { stdin, stderr }: Pick<System, 'stdin' | 'stderr'>,
  options: { readonly refuse: boolean },
): Asking {
  const interactive = !options.refuse && stdin.isTTY === true && stderr.isTTY === true

  const ask = async ({ question, flag, signal }: Question): Promise<string> => {
    if (!interactive) {
      throw misuse('cannot-ask', `nobody can be asked here: ${question}`, `Add ${flag}.`)
    }
    signal?.throwIfAborted()
    const reader = createInterface({ input: stdin, output: stderr, terminal: true })
    // The reader takes Ctrl-C in raw mode, so it has to be turned back into an interruption.
    const stop = new AbortController()
    reader.on('SIGINT', () => stop.abort(new Interrupted()))
    reader.on('close', () => stop.abort(new Interrupted()))
    const either = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
    try {
      return await reader.question(`${question} `, { signal: either })
    } catch (thrown) {
      either.throwIfAborted()
      throw thrown
    } finally {
      reader.close()
    }
  }

  return {
    interactive,
    ask,
    async confirm(question) {
      const answer = await ask({ ...question, question: `${question.question} [y/N]` })
      if (/^y(es)?$/i.test(answer.trim())) return
      throw new Failure('declined', 'nothing was done, as you did not agree', {
        fix: `Answer y, or add ${question.flag}.`,
        exitCode: ExitCode.failed,
      })
    },
  }
}
