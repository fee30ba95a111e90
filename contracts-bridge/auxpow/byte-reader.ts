/** The bytes end before what was to be read, or say a length in more bytes than it needs. */
export class BytesMalformed extends Error {
  constructor() {
    super('the bytes do not have the shape that they should have')
    this.name = 'BytesMalformed'
  }
}

/** Goes over bytes from left to right and copies none; every read is checked against the end. */
export interface ByteReader {
  readonly position: number
  /** A view into the source. */
  take(length: number): Uint8Array
  /** A view of what was read before, from a position up to another. */
  between(start: number, end: number): Uint8Array
  u32(): number
  /** Bitcoin's CompactSize; only the shortest form of a number is taken, as by Bitcoin Core. */
  compactSize(): number
}

export function byteReader(bytes: Uint8Array, from = 0): ByteReader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let position = from
  const advance = (length: number) => {
    const start = position
    if (length > bytes.length - start) throw new BytesMalformed()
    position = start + length
    return start
  }
  const shortest = (value: number, least: number) => {
    if (value < least) throw new BytesMalformed()
    return value
  }
  const reader: ByteReader = {
    get position() {
      return position
    },
    take(length) {
      const start = advance(length)
      return bytes.subarray(start, start + length)
    },
    between: (start, end) => bytes.subarray(start, end),
    u32: () => view.getUint32(advance(4), true),
    compactSize() {
      const first = view.getUint8(advance(1))
      if (first < 0xfd) return first
      if (first === 0xfd) return shortest(view.getUint16(advance(2), true), 0xfd)
      if (first === 0xfe) return shortest(view.getUint32(advance(4), true), 0x1_0000)
      // A number of eight bytes counts more than any input holds.
      throw new BytesMalformed()
    },
  }
  return reader
}
