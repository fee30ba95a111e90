import { equalBytes, free } from '../base/index.ts'
import { CHUNK_MAX_BYTES, TAG_BYTES, ZSTD_FRAME_MAX_OVERHEAD_BYTES } from './limits.ts'
import { cidOf, compress, decompress, decrypt, RAW_CODEC, seal, sha256 } from './sealing.ts'
import { type ChunkRef, chunkError } from './types.ts'

export async function sealChunk(
  plain: Uint8Array,
  plainHash: Uint8Array,
  secret: Uint8Array,
  zstdLevel: number,
): Promise<{ readonly ref: ChunkRef; readonly bytes: Uint8Array }> {
  const { sealed, key } = seal(await compress(plain, zstdLevel), 'plain', secret)
  const ref = {
    cid: cidOf(RAW_CODEC, sealed),
    sealedBytes: sealed.byteLength,
    plainBytes: plain.byteLength,
    plainHash,
    key,
  }
  return { ref, bytes: sealed }
}

/** Sizes that a chunk can have: none is empty, none is too large, and none grows by sealing. */
export function plausibleSizes(plainBytes: number, sealedBytes: number): boolean {
  return (
    Number.isInteger(plainBytes) &&
    Number.isInteger(sealedBytes) &&
    plainBytes > 0 &&
    plainBytes <= CHUNK_MAX_BYTES &&
    sealedBytes > TAG_BYTES &&
    sealedBytes <= plainBytes + ZSTD_FRAME_MAX_OVERHEAD_BYTES + TAG_BYTES
  )
}

/** The plaintext of a chunk, checked to be what the recipe says, in a buffer of its own. Throws chunk-damaged. */
export async function openChunk(ref: ChunkRef, block: Uint8Array): Promise<Uint8Array> {
  if (!plausibleSizes(ref.plainBytes, ref.sealedBytes))
    throw damaged(ref, 'claims impossible sizes')
  if (block.byteLength !== ref.sealedBytes) throw damaged(ref, 'has another length')
  let plain: Uint8Array
  try {
    const compressed = decrypt(block, ref.key)
    plain = decompress(compressed, ref.plainBytes)
    free(compressed)
  } catch (cause) {
    throw damaged(ref, 'cannot be opened', cause)
  }
  if (plain.byteLength !== ref.plainBytes) throw damaged(ref, 'opens to another length')
  if (!equalBytes(sha256(plain), ref.plainHash)) throw damaged(ref, 'opens to other bytes')
  return plain
}

function damaged(ref: ChunkRef, what: string, cause?: unknown) {
  return chunkError('chunk-damaged', `chunk ${ref.cid} ${what}`, {
    blame: 'peer',
    fix: 'Fetch it from another peer; if all agree, whoever published it made a mistake.',
    ...(cause === undefined ? {} : { cause }),
  })
}
