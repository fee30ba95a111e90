/** Who has to act on an error: the one who called, the peer at the other end, or this machine. */
export type Blame = 'caller' | 'peer' | 'local'

export interface ErrorDetails {
  readonly blame: Blame
  /** One sentence that says what to do next. Shown to people as it is. */
  readonly fix?: string
  readonly cause?: unknown
}

/**
 * The base of every error that this product throws. Callers switch on `code` (closed per room, kebab-case,
 * stable), never on the text. Messages hold no secrets: no keys, tokens, phrases or passphrases.
 */
export class IoexError<Code extends string = string> extends Error {
  readonly code: Code
  readonly blame: Blame
  readonly fix: string | undefined

  constructor(code: Code, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'IoexError'
    this.code = code
    this.blame = details.blame
    this.fix = details.fix
  }
}

/** A refusal that callers expect is a value; only what they could not foresee is thrown. */
export type Result<T, Reason extends string = string> =
  | { readonly ok: true; readonly value: T }
  | Refusal<Reason>

export interface Refusal<Reason extends string = string> {
  readonly ok: false
  readonly reason: Reason
}

export function accepted<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value }
}

export function refused<Reason extends string>(reason: Reason): Refusal<Reason> {
  return { ok: false, reason }
}

/** Anything that was thrown, as an Error: streams of some libraries reject with DOM events. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
}

/** The error's `code` if it has one (ours, Node's, or a library's), else undefined. */
export function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' ? thrown.code : undefined
}
