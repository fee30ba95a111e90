import { RANGE_HEADER_MAX_CHARS, RANGES_MAX } from './limits.ts'

/** `to` is the first byte that is not meant. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

/** What RFC 7233 makes of a `Range` header: everything, some parts, or none that there is. */
export type RangePlan =
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly parts: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' }

const WHOLE: RangePlan = { kind: 'whole' }

/**
 * Ranges in the order in which they were asked for, never merged: SWUpdate's delta handler hands them on as they
 * come. A header that is not understood is ignored (section 3.1). Refused are more ranges than RANGES_MAX, and
 * ranges that overlap so much that they come to more than the file (section 6.1).
 */
export function planRanges(header: string | null, bytes: number): RangePlan {
  if (header === null || header.length > RANGE_HEADER_MAX_CHARS) return WHOLE
  const [, list] = /^bytes\s*=\s*(.+)$/i.exec(header.trim()) ?? []
  if (list === undefined) return WHOLE
  const specs = list
    .split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
  if (specs.length === 0) return WHOLE
  const parts: ByteRange[] = []
  let sum = 0
  for (const spec of specs) {
    const range = rangeOf(spec, bytes)
    if (range === 'malformed') return WHOLE
    if (range === 'beyond') continue
    parts.push(range)
    sum += range.to - range.from
  }
  if (parts.length === 0 || specs.length > RANGES_MAX) return { kind: 'unsatisfiable' }
  if (parts.length > 1 && sum > bytes) return { kind: 'unsatisfiable' }
  return { kind: 'parts', parts }
}

function rangeOf(spec: string, bytes: number): ByteRange | 'malformed' | 'beyond' {
  const [, first, last] = /^(\d*)\s*-\s*(\d*)$/.exec(spec) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'malformed'
  if (first === '') {
    const suffix = Math.min(Number(last), bytes)
    return suffix === 0 ? 'beyond' : { from: bytes - suffix, to: bytes }
  }
  const from = Number(first)
  if (last !== '' && Number(last) < from) return 'malformed'
  if (from >= bytes) return 'beyond'
  return { from, to: last === '' ? bytes : Math.min(Number(last) + 1, bytes) }
}
