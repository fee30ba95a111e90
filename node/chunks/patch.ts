import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib'
import {
  PATCH_WINDOW_BYTES,
  PATCH_WINDOW_LOG,
  TAG_BYTES,
  ZSTD_FRAME_MAX_OVERHEAD_BYTES,
} from './limits.ts'
import { cidOf, decrypt, RAW_CODEC, seal } from './sealing.ts'
import { type Bundle, chunkError } from './types.ts'

/**
 * A patch is a zstd frame of a chunk with a window of an earlier image as raw dictionary (RFC 8878, 5: a
 * dictionary without a magic number). Several make a bundle, which is sealed as a whole.
 */
const DICTIONARY_MAGIC = [0x37, 0xa4, 0x30, 0xec]

const compressAsync = promisify(zstdCompress)

/** Where the window of a chunk begins that should lie at `offset` of the earlier image. */
export function windowStart(offset: number, chunkBytes: number, baseBytes: number): number {
  const centred = offset + Math.floor(chunkBytes / 2) - PATCH_WINDOW_BYTES / 2
  return Math.max(0, Math.min(centred, baseBytes - PATCH_WINDOW_BYTES))
}

export function windowBytes(start: number, baseBytes: number): number {
  return Math.max(0, Math.min(PATCH_WINDOW_BYTES, baseBytes - start))
}

/** The frame, on the thread pool; undefined where the window cannot be taken as it is. */
export async function makePatch(
  plain: Uint8Array,
  window: Uint8Array,
  zstdLevel: number,
): Promise<Uint8Array | undefined> {
  // The decoder would take it for a dictionary with tables of its own.
  if (DICTIONARY_MAGIC.every((byte, at) => window[at] === byte)) return undefined
  return compressAsync(plain, {
    dictionary: window,
    pledgedSrcSize: plain.byteLength,
    chunkSize: plain.byteLength + ZSTD_FRAME_MAX_OVERHEAD_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: zstdLevel,
      [constants.ZSTD_c_windowLog]: PATCH_WINDOW_LOG,
      // The recipe tells the length.
      [constants.ZSTD_c_contentSizeFlag]: 0,
      [constants.ZSTD_c_dictIDFlag]: 0,
    },
  })
}

/** Never gives more than `plainBytes`. Throws what zstd throws; the caller compares the hash. */
export function applyPatch(frame: Uint8Array, window: Uint8Array, plainBytes: number): Uint8Array {
  return zstdDecompressSync(frame, {
    dictionary: window,
    maxOutputLength: plainBytes,
    chunkSize: plainBytes + ZSTD_FRAME_MAX_OVERHEAD_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: PATCH_WINDOW_LOG },
  })
}

export function sealBundle(
  frames: Uint8Array,
  secret: Uint8Array,
): { readonly bundle: Bundle; readonly bytes: Uint8Array } {
  const { sealed, key } = seal(frames, 'patch', secret)
  const bundle = { cid: cidOf(RAW_CODEC, sealed), key, frameBytes: frames.byteLength }
  return { bundle, bytes: sealed }
}

/** The frames of a bundle, one behind the other. Throws delta-damaged. */
export function openBundle(bundle: Bundle, block: Uint8Array): Uint8Array {
  if (block.byteLength !== bundle.frameBytes + TAG_BYTES) {
    throw deltaDamaged('a bundle has another length')
  }
  try {
    return decrypt(block, bundle.key)
  } catch (cause) {
    throw deltaDamaged('a bundle cannot be opened', cause)
  }
}

export function deltaDamaged(what: string, cause?: unknown) {
  return chunkError('delta-damaged', `of the patches ${what}`, {
    blame: 'peer',
    fix: 'Fetch the chunks themselves; if every device says so, the publisher made a mistake.',
    ...(cause === undefined ? {} : { cause }),
  })
}
