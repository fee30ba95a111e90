import { expiryTime, type JsonObject } from './tuf-file.ts'

/**
 * When root and timestamp were signed: TUF files say only when they end. A field of ours within what is signed;
 * clients that do not know it leave it alone, as the specification asks of them.
 */
const SIGNED_AT = 'ioex-signed-at'

/** A device that was in a drawer for longer knows nothing better than what was signed. */
const CLOCK_BELIEVED_MS = 366 * 24 * 60 * 60 * 1000

export function signedAt(nowMs: number): JsonObject {
  return { [SIGNED_AT]: expiryTime(nowMs) }
}

/** The newest of what these verified files say; undefined when none of them says it. */
export function newestSigningMs(
  files: readonly ({ readonly signed: { readonly unrecognizedFields?: object } } | undefined)[],
): number | undefined {
  let newest: number | undefined
  for (const file of files) {
    const fields = file?.signed.unrecognizedFields ?? {}
    const text: unknown = SIGNED_AT in fields ? fields[SIGNED_AT] : undefined
    const ms = typeof text === 'string' ? Date.parse(text) : Number.NaN
    if (Number.isSafeInteger(ms)) newest = Math.max(newest ?? ms, ms)
  }
  return newest
}

/**
 * The time to judge by where no clock can be asked: never before the newest signing that was verified, and the
 * device's own clock only where it stands within a year after it. 1970 and 2099 then change nothing.
 */
export function believedMs(clockMs: number, signedMs: number | undefined): number {
  if (signedMs === undefined) return clockMs
  const isPlausible = clockMs > signedMs && clockMs - signedMs <= CLOCK_BELIEVED_MS
  return isPlausible ? clockMs : signedMs
}
