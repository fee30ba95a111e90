import { createHash } from 'node:crypto'

/** Enough to know what kind of file it is. */
const HEAD_BYTES = 16

/** What stock clients want to know of an image; they check nothing better than sha-1. */
export interface ImageDigests {
  /** The image as it comes, looked at on its way. */
  readonly stream: AsyncIterable<Uint8Array>
  /** Lower-case hexadecimal, once the stream has ended. */
  result(): { readonly sha1: string; readonly md5: string; readonly head: Uint8Array }
}

export function digestImage(source: AsyncIterable<Uint8Array>): ImageDigests {
  const sha1 = createHash('sha1')
  const md5 = createHash('md5')
  let head = new Uint8Array()
  const stream = async function* () {
    for await (const part of source) {
      sha1.update(part)
      md5.update(part)
      if (head.byteLength < HEAD_BYTES) {
        head = new Uint8Array(Buffer.concat([head, part.subarray(0, HEAD_BYTES)]))
      }
      yield part
    }
  }
  return {
    stream: stream(),
    result: () => ({ sha1: sha1.digest('hex'), md5: md5.digest('hex'), head }),
  }
}
