import type { AbortOptions } from '../base/index.ts'
import { openChunk } from './chunk.ts'
import { PATCH_READ_CACHE_BYTES } from './limits.ts'
import type { ChunkRef, GetBlock } from './types.ts'

export interface PlacedRef {
  readonly offset: number
  readonly ref: ChunkRef
}

/** Reads an image that is there as sealed chunks at any place, as if it were a file. */
export interface BaseReader {
  read(offset: number, bytes: number, options: AbortOptions): Promise<Uint8Array>
}

export function createBaseReader(chunks: readonly PlacedRef[], get: GetBlock): BaseReader {
  const opened = new Map<number, Promise<Uint8Array>>()
  let cachedBytes = 0

  const open = (index: number, { ref }: PlacedRef, options: AbortOptions): Promise<Uint8Array> => {
    const known = opened.get(index)
    if (known !== undefined) {
      // The one used last goes last: maps keep the order of insertion.
      opened.delete(index)
      opened.set(index, known)
      return known
    }
    const plain = get(ref.cid, options).then((block) => openChunk(ref, block))
    opened.set(index, plain)
    cachedBytes += ref.plainBytes
    plain.catch(() => forget(index))
    for (const oldest of opened.keys()) {
      if (cachedBytes <= PATCH_READ_CACHE_BYTES || oldest === index) break
      forget(oldest)
    }
    return plain
  }
  const forget = (index: number) => {
    if (opened.delete(index)) cachedBytes -= chunks[index]?.ref.plainBytes ?? 0
  }

  return {
    async read(offset, bytes, options) {
      const into = new Uint8Array(bytes)
      const parts: { readonly at: number; readonly plain: Promise<Uint8Array> }[] = []
      for (let index = lastAtOrBefore(chunks, offset); index < chunks.length; index++) {
        const chunk = chunks[index]
        if (chunk === undefined || chunk.offset >= offset + bytes) break
        parts.push({ at: chunk.offset - offset, plain: open(index, chunk, options) })
      }
      for (const { at, plain } of parts) {
        const whole = await plain
        const from = Math.max(0, -at)
        into.set(whole.subarray(from, Math.min(whole.byteLength, bytes - at)), Math.max(0, at))
      }
      return into
    },
  }
}

/** Index of the chunk that holds the byte at `offset`. */
function lastAtOrBefore(chunks: readonly PlacedRef[], offset: number): number {
  let low = 0
  let high = chunks.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((chunks[middle]?.offset ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}
