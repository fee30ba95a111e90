/** RFC 3339 of Unix milliseconds; null stays null. */
export function timeOf(ms: number): string
export function timeOf(ms: number | null): string | null
export function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

/** The cursor of a page: the key of its last row, opaque to callers. */
export function cursorOf(...key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** Undefined when it is none of ours. */
export function keyOfCursor(cursor: string): readonly (string | number)[] | undefined {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    const isKey = (part: unknown) => typeof part === 'string' || typeof part === 'number'
    return Array.isArray(key) && key.every(isKey) ? (key as (string | number)[]) : undefined
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
