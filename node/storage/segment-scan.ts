import { equalBytes } from '../base/index.ts'
import { sha256 } from './digest.ts'
import type { StoredFile } from './file-layer.ts'
import { MAX_BLOCK_BYTES } from './limits.ts'
import {
  findRecordMagic,
  RECORD_HEADER_BYTES,
  readRecordHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentEntry,
} from './segment-format.ts'

/** Read at once while scanning; holds at least one whole record. */
const WINDOW_BYTES = 2 * (MAX_BLOCK_BYTES + RECORD_HEADER_BYTES)

export interface Scan {
  readonly entries: readonly SegmentEntry[]
  /** Behind the last sound record: what follows is a torn tail. */
  readonly end: number
  /** Records in between that are damaged; what follows them was found again by their magic number. */
  readonly damaged: number
}

/**
 * Reads a segment that has no index: every record is compared with its digest. A crash leaves a torn tail,
 * which is not part of `end`; a damaged record in the middle costs that record only.
 */
export async function scanSegment(file: StoredFile): Promise<Scan> {
  const size = await file.size()
  const entries: SegmentEntry[] = []
  let end = SEGMENT_HEADER_BYTES
  let damaged = 0
  let at = SEGMENT_HEADER_BYTES
  while (at < size) {
    const window = new Uint8Array(Math.min(WINDOW_BYTES, size - at))
    const length = await file.read(window, at)
    if (length === 0) break
    const bytes = window.subarray(0, length)
    const last = at + length >= size
    let here = 0
    while (here < length) {
      const header = readRecordHeader(bytes.subarray(here))
      if (header === undefined) {
        if (!last && length - here < RECORD_HEADER_BYTES) break
        const next = findRecordMagic(bytes, here + 1)
        damaged++
        here = next < 0 ? Math.max(here + 1, length - (last ? 0 : 3)) : next
        continue
      }
      const from = here + RECORD_HEADER_BYTES
      const to = from + header.length
      if (to > length && !last) break
      if (to <= length && equalBytes(sha256(bytes.subarray(from, to)), header.digest)) {
        entries.push({ digest: header.digest, offset: at + from, length: header.length })
        here = to
        end = at + to
        continue
      }
      damaged++
      const next = findRecordMagic(bytes, here + 1)
      here = next < 0 ? length : next
    }
    if (here === 0) break
    at += here
  }
  return { entries, end, damaged }
}
