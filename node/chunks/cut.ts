import { gearTable } from './gear.ts'
import { CHUNK_MAX_BYTES, CHUNK_MIN_BYTES } from './limits.ts'
import { type ChunkProfile, chunkError } from './types.ts'

/** A 32-bit gear hash has forgotten a byte after 32 others. */
const HASH_WINDOW_BYTES = 32
/** Normalised chunking of level 2 (Xia et al., FastCDC, IEEE TPDS 2020): harder to cut before the average, easier after. */
const NORMALISATION_BITS = 2
/** Larger than any chunk, so that bytes move to the front of the buffer once in several chunks only. */
const BUFFERED_CHUNKS = 4

/** Bytes of the first chunk of `data[start, end)`, which is at least one of the largest chunks or the file's end. */
export type FindCut = (data: Uint8Array, start: number, end: number) => number

function checkProfile(profile: ChunkProfile): void {
  const { minBytes, averageBytes, maxBytes } = profile
  const ordered = CHUNK_MIN_BYTES <= minBytes && minBytes < averageBytes && averageBytes < maxBytes
  const wellFormed = Number.isInteger(minBytes) && Number.isInteger(Math.log2(averageBytes))
  if (ordered && wellFormed && Number.isInteger(maxBytes) && maxBytes <= CHUNK_MAX_BYTES) return
  throw chunkError('seal-options-invalid', 'the chunk profile is out of bounds', {
    blame: 'caller',
    fix: `Use ${CHUNK_MIN_BYTES} <= min < average < max <= ${CHUNK_MAX_BYTES} bytes, the average a power of two.`,
  })
}

/** FastCDC (2020). The hash is warmed up before the first possible cut, so that a cut depends on 32 bytes only. */
export function createFindCut(profile: ChunkProfile, boundarySecret?: Uint8Array): FindCut {
  checkProfile(profile)
  const { minBytes, averageBytes, maxBytes } = profile
  const gear = gearTable(boundarySecret)
  const bits = Math.log2(averageBytes)
  // The highest bits of the hash have seen the most bytes.
  const strict = -1 << (32 - bits - NORMALISATION_BITS)
  const loose = -1 << (32 - bits + NORMALISATION_BITS)
  return (data, start, end) => {
    if (end - start <= minBytes) return end - start
    const middle = Math.min(start + averageBytes, end)
    const last = Math.min(start + maxBytes, end)
    let hash = 0
    let at = start + minBytes - HASH_WINDOW_BYTES
    for (; at < start + minBytes; at++) hash = ((hash << 1) + gearOf(gear, data, at)) | 0
    for (; at < middle; at++) {
      hash = ((hash << 1) + gearOf(gear, data, at)) | 0
      if ((hash & strict) === 0) return at + 1 - start
    }
    for (; at < last; at++) {
      hash = ((hash << 1) + gearOf(gear, data, at)) | 0
      if ((hash & loose) === 0) return at + 1 - start
    }
    return last - start
  }
}

/** Never out of bounds: `at` is below the end of data, and a byte is below 256. V8 inlines it. */
function gearOf(gear: Int32Array, data: Uint8Array, at: number): number {
  return gear[data[at] as number] as number
}

/** The chunks of a stream in order, none empty, each with memory of its own. Holds four chunks at most. */
export async function* cutStream(
  source: AsyncIterable<Uint8Array>,
  profile: ChunkProfile,
  findCut: FindCut,
): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(profile.maxBytes * BUFFERED_CHUNKS)
  let start = 0
  let end = 0
  for await (const piece of source) {
    let taken = 0
    while (taken < piece.byteLength) {
      if (end === buffer.byteLength) {
        buffer.copyWithin(0, start, end)
        end -= start
        start = 0
      }
      const part = piece.subarray(taken, taken + buffer.byteLength - end)
      buffer.set(part, end)
      end += part.byteLength
      taken += part.byteLength
      while (end - start >= profile.maxBytes) {
        const length = findCut(buffer, start, end)
        yield buffer.slice(start, start + length)
        start += length
      }
    }
  }
  while (start < end) {
    const length = findCut(buffer, start, end)
    yield buffer.slice(start, start + length)
    start += length
  }
}
