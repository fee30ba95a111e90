/** Options and arguments of a command as data: what the parser, the help and the tests walk. */
import { readFile } from 'node:fs/promises'
import { GIB, KIB, MIB } from '../base/index.ts'
import { misuse } from './failure.ts'

export interface OptionSpec<T> {
  /** As commander has it: `--space SIZE`, `-q, --quiet`. */
  readonly flags: string
  readonly description: string
  /** Turns the text of the command line into the value; throws `RangeError` with what is wrong with it. */
  parse?(text: string, previous: T | undefined): T
  readonly initial: T
  readonly required: boolean
  /** Environment variable that is used when the flag is absent. */
  readonly env?: string
}

export interface ArgumentSpec<T> {
  /** As shown in the usage line: `FILE`. */
  readonly name: string
  readonly description: string
  parse?(text: string, previous: T | undefined): T
  readonly required: boolean
  readonly variadic: boolean
}

type Parse<T> = (text: string) => T

const asText: Parse<string> = (text) => {
  if (text === '') throw new RangeError('it is empty')
  return text
}

export function flag(flags: string, description: string): OptionSpec<boolean> {
  return { flags, description, initial: false, required: false }
}

export function text(flags: string, description: string): OptionSpec<string | undefined> {
  return value(flags, description, asText)
}

export function value<T>(
  flags: string,
  description: string,
  parse: (text: string) => T,
): OptionSpec<T | undefined> {
  return {
    flags,
    description,
    parse: (given) => parse(given),
    initial: undefined,
    required: false,
  }
}

/** May be given several times. */
export function many(flags: string, description: string): OptionSpec<readonly string[]> {
  return {
    flags,
    description: `${description} (may be given several times)`,
    parse: (given, previous) => [...(previous ?? []), asText(given)],
    initial: [],
    required: false,
  }
}

export function required<T>(option: OptionSpec<T | undefined>): OptionSpec<T> {
  // The frame refuses the call before a required option can be read unset.
  return { ...option, required: true } as unknown as OptionSpec<T>
}

export function withDefault<T>(option: OptionSpec<T | undefined>, initial: T): OptionSpec<T> {
  return { ...option, initial } as unknown as OptionSpec<T>
}

export function fromEnv<T>(option: OptionSpec<T>, env: `IOEX_${string}`): OptionSpec<T> {
  return { ...option, env }
}

export function argument(name: string, description: string): ArgumentSpec<string> {
  return { name, description, parse: asText, required: true, variadic: false }
}

export function optionalArgument(
  name: string,
  description: string,
): ArgumentSpec<string | undefined> {
  return { name, description, parse: asText, required: false, variadic: false }
}

export function restArguments(name: string, description: string): ArgumentSpec<readonly string[]> {
  return {
    name,
    description,
    parse: (given, previous) => [...(previous ?? []), asText(given)],
    required: false,
    variadic: true,
  }
}

export function wholeNumber(lowest: number, highest: number): Parse<number> {
  return (given) => {
    const number = Number(given)
    if (!/^\d+$/.test(given) || number < lowest || number > highest) {
      throw new RangeError(`it must be a whole number from ${lowest} to ${highest}`)
    }
    return number
  }
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  K: KIB,
  M: MIB,
  G: GIB,
  T: 1024 * GIB,
  KIB: KIB,
  MIB: MIB,
  GIB: GIB,
  TIB: 1024 * GIB,
}

/** Bytes from `20GB`, `512MiB` or `1048576`. */
export const size: Parse<number> = (given) => {
  const parts = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(given)
  const unit = SIZE_UNITS[(parts?.[2] ?? '?').toUpperCase()]
  const bytes = Math.floor(Number(parts?.[1]) * (unit ?? Number.NaN))
  if (!Number.isSafeInteger(bytes)) throw new RangeError('write it as 20GB, 512MiB or 1048576')
  return bytes
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
  d: 8.64e7,
}

/** Milliseconds from `90s`, `15m`, `2h` or `7d`. */
export const duration: Parse<number> = (given) => {
  const parts = /^(\d+)(ms|s|m|h|d)$/.exec(given)
  const unit = DURATION_UNITS[parts?.[2] ?? '']
  const ms = Number(parts?.[1]) * (unit ?? Number.NaN)
  if (!Number.isSafeInteger(ms)) throw new RangeError('write it as 90s, 15m, 2h or 7d')
  return ms
}

/** Absolute http or https address without a trailing slash. */
export const httpUrl: Parse<string> = (given) => {
  const url = URL.parse(given)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new RangeError('write it as http://host:port or https://host')
  }
  return url.href.replace(/\/$/, '')
}

/** `host:port`; the host may be an IPv6 address in brackets. */
export const hostAndPort: Parse<{ readonly host: string; readonly port: number }> = (given) => {
  const parts = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(given)
  const port = Number(parts?.[2])
  if (parts === null || port > 65_535) throw new RangeError('write it as 127.0.0.1:4180')
  return { host: (parts[1] ?? '').replace(/^\[|\]$/g, ''), port }
}

/** A secret has to fit on a line or in a small key file; a larger file was named by mistake. */
const SECRET_MAX_BYTES = 64 * KIB

/**
 * Secrets come from files, standard input (`-`) or the environment, never as a flag: flags end up in the
 * shell's history and in the process list. One trailing newline is taken off.
 */
export async function readSecret(
  source: { readonly file: string | undefined; readonly env: string | undefined },
  stdin: AsyncIterable<Uint8Array | string>,
): Promise<string | undefined> {
  if (source.file === undefined) return source.env === '' ? undefined : source.env
  const bytes = source.file === '-' ? await readBounded(stdin) : await readFile(source.file)
  if (bytes.byteLength > SECRET_MAX_BYTES) throw tooLarge(source.file)
  const secret = Buffer.from(bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '')
  if (secret === '') {
    throw misuse('secret-empty', `${source.file} is empty`, 'Put the secret into it, on one line.')
  }
  return secret
}

async function readBounded(stdin: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of stdin) {
    const piece = typeof part === 'string' ? Buffer.from(part) : part
    bytes += piece.byteLength
    if (bytes > SECRET_MAX_BYTES) throw tooLarge('standard input')
    parts.push(piece)
  }
  return Buffer.concat(parts)
}

function tooLarge(name: string) {
  return misuse(
    'secret-too-large',
    `${name} is larger than ${SECRET_MAX_BYTES} bytes`,
    'Name the file that holds the secret and nothing else.',
  )
}
