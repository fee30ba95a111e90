import { CommanderError } from 'commander'
import { asError, codeOf, type ErrorDetails, IoexError } from '../base/index.ts'
import { ExitCode } from './exit-codes.ts'

/** An error that knows how the process has to end. Throw it from a command to end with another code than 1. */
export class Failure extends IoexError {
  readonly exitCode: ExitCode

  constructor(
    code: string,
    message: string,
    details: Partial<ErrorDetails> & { readonly exitCode?: ExitCode } = {},
  ) {
    super(code, message, { ...details, blame: details.blame ?? 'caller' })
    this.name = 'Failure'
    this.exitCode = details.exitCode ?? ExitCode.failed
  }
}

/** The command line itself was wrong; nothing has been done. */
export function misuse(code: string, message: string, fix: string): Failure {
  return new Failure(code, message, { fix, exitCode: ExitCode.misuse })
}

/** Thrown into whatever runs when the person presses Ctrl-C. */
export class Interrupted extends Failure {
  constructor() {
    super('interrupted', 'stopped before it was done', {
      fix: 'Run the same command again to go on.',
      exitCode: ExitCode.interrupted,
    })
  }
}

/** What is printed of an error, in both forms. */
export interface FailureReport {
  readonly code: string
  readonly message: string
  readonly fix: string | undefined
  readonly exitCode: ExitCode
}

const UNREACHABLE_CODES = new Set([
  'unreachable',
  'gateway-unreachable',
  'no-source',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
])

/** Errors of the system that people meet, in their words. */
const SYSTEM_ERRORS: Readonly<Record<string, readonly [code: string, fix: string]>> = {
  EADDRINUSE: ['port-in-use', 'Stop the program that listens there, or choose another port.'],
  EACCES: ['no-permission', 'Run it as the owner of that file, or choose another folder.'],
  EPERM: ['no-permission', 'Run it as the owner of that file, or choose another folder.'],
  ENOSPC: ['disk-full', 'Free some space on that disk and run the same command again.'],
  ENOENT: ['not-found', 'Check the path: there is no such file or folder.'],
  EISDIR: ['is-a-folder', 'Give the path of a file.'],
  ENOTDIR: ['not-a-folder', 'Give the path of a folder.'],
  EROFS: ['read-only', 'Choose a folder on a disk that can be written.'],
}

export function reportOf(thrown: unknown): FailureReport {
  if (thrown instanceof Failure) return { ...visible(thrown), exitCode: thrown.exitCode }
  if (thrown instanceof CommanderError) return reportOfParser(thrown)
  if (isOurs(thrown)) return { ...visible(thrown), exitCode: exitCodeOf(thrown) }
  const error = asError(thrown)
  const code = codeOf(error)
  const known = code === undefined ? undefined : SYSTEM_ERRORS[code]
  if (known !== undefined) {
    return { code: known[0], message: error.message, fix: known[1], exitCode: ExitCode.failed }
  }
  if (code !== undefined && UNREACHABLE_CODES.has(code)) {
    const fix = 'Check the address and the connection, then run the same command again.'
    return { code: 'unreachable', message: error.message, fix, exitCode: ExitCode.unreachable }
  }
  return {
    code: 'internal',
    message: `something unforeseen happened: ${error.message}`,
    fix: 'Run it again with --debug and report what it prints.',
    exitCode: ExitCode.failed,
  }
}

/** `instanceof` alone would make the code's type "any". */
function isOurs(thrown: unknown): thrown is IoexError {
  return thrown instanceof IoexError
}

function visible({ code, message, fix }: IoexError) {
  return { code, message, fix }
}

function exitCodeOf(error: IoexError): ExitCode {
  const status: unknown = 'status' in error ? error.status : undefined
  if (status === 401) return ExitCode.signIn
  return UNREACHABLE_CODES.has(error.code) ? ExitCode.unreachable : ExitCode.failed
}

/** `commander.unknownOption` -> `unknown-option`; its hint becomes the fix. */
function reportOfParser(error: CommanderError): FailureReport {
  const [head = '', hint] = error.message.replace(/^error: /, '').split('\n(Did you mean ')
  const code = error.code
    .replace(/^commander\./, '')
    .replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  const nearest = hint?.replace(/\?\)$/, '').replace(/^one of /, '')
  return {
    code,
    message: head.trim(),
    fix:
      nearest === undefined
        ? 'Add --help to see how it is used.'
        : `The nearest is: ${nearest}. Add --help to see how it is used.`,
    exitCode: ExitCode.misuse,
  }
}
