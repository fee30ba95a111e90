/**
 * Memory that is given back by whoever knows that it is dead, not when the collector finds out. Buffers live
 * outside V8's heap, and V8 answers every 16 MiB or so of new ones with a collection of the whole heap: measured
 * on a device that fetches, two fifths of its processor time and 40 MiB. To give nothing back is always correct:
 * then the collector does it.
 */

/** Below this a call costs more than it saves. */
const FREED_FROM_BYTES = 4_096
/** Node's pool is longer than `Buffer.poolSize` says, for alignment. To detach it would throw a TypeError. */
const POOL_PADDING_BYTES = 64

/**
 * Frees the whole buffer behind these bytes at once; every view of it is empty from then on. Only for whoever
 * made the buffer or was handed it for good: never for a slice of a span that others read. Node makes small
 * buffers as slices of a pool, also within zlib and crypto; what looks like that is left to the collector.
 */
export function free({ buffer }: Uint8Array): void {
  if (!(buffer instanceof ArrayBuffer)) return
  const { byteLength } = buffer
  const beyondPool = byteLength - Buffer.poolSize
  const isPool = beyondPool >= 0 && beyondPool <= POOL_PADDING_BYTES
  if (byteLength >= FREED_FROM_BYTES && !isPool) buffer.transfer(0)
}

/** One user's part in bytes that several use; the last to release frees them. */
export interface HeldBytes {
  /** Throws once this part was released. */
  readonly bytes: Uint8Array
  /** A part for another user, who releases it himself; with `from` and `to` he sees these bytes of it only. */
  share(from?: number, to?: number): HeldBytes
  /** Of use once; a second call does nothing. */
  release(): void
  /** For users who cannot tell when they are done: nobody frees the bytes any more. */
  keep(): Uint8Array
}

/** `bytes` is a view of a buffer that has no other user. */
export function holdBytes(bytes: Uint8Array): HeldBytes {
  return part(bytes, { users: 0 })
}

function part(bytes: Uint8Array, count: { users: number }): HeldBytes {
  let isHeld = true
  count.users++
  const held = () => {
    if (!isHeld) throw new Error('these bytes were released before')
    return bytes
  }
  return {
    get bytes() {
      return held()
    },
    share: (from, to) => part(held().subarray(from, to), count),
    release() {
      if (!isHeld) return
      isHeld = false
      count.users--
      if (count.users === 0) free(bytes)
    },
    keep() {
      count.users = Number.POSITIVE_INFINITY
      return held()
    },
  }
}
