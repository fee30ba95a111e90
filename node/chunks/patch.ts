import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib'
import { type AbortOptions, free } from '../base/index.ts'
import { findSteps } from './find-steps.ts'
import {
  PATCH_WINDOW_BYTES,
  PATCH_WINDOW_LOG,
  TAG_BYTES,
  ZSTD_FRAME_MAX_OVERHEAD_BYTES,
} from './limits.ts'
import { cidOf, compress, decompress, decrypt, RAW_CODEC, seal } from './sealing.ts'
import { encodedMaxBytes, encodeSteps, readSteps, takeSteps } from './steps.ts'
import { type Bundle, chunkError, type Patch } from './types.ts'

/**
 * A patch is a zstd frame, in one of two forms. `dictionary`: the content itself, with a window of an earlier image
 * as raw dictionary (RFC 8878, 5: a dictionary without a magic number). `steps`: what changed within that window
 * (see steps.ts), for programs a half of the other form. Several make a bundle, which is sealed as a whole.
 */
type PatchForm = Patch['form']

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

export interface Frame {
  readonly form: PatchForm
  readonly bytes: Uint8Array
}

/** The smaller of both forms; undefined where neither can be. Compresses on the thread pool, and gives way to others while it searches. */
export async function makePatch(
  plain: Uint8Array,
  window: Uint8Array,
  { zstdLevel, ...abort }: { readonly zstdLevel: number } & AbortOptions,
): Promise<Frame | undefined> {
  const encoded = encodeSteps(await findSteps(window, plain, abort), window, plain)
  const steps = encoded === undefined ? undefined : await compress(encoded, zstdLevel)
  const dictionary = await compressWith(plain, window, zstdLevel)
  const isSteps = steps !== undefined && steps.byteLength <= (dictionary?.byteLength ?? Infinity)
  if (isSteps) return { form: 'steps', bytes: steps }
  return dictionary === undefined ? undefined : { form: 'dictionary', bytes: dictionary }
}

/** Undefined where the window cannot be taken as it is. */
async function compressWith(
  plain: Uint8Array,
  window: Uint8Array,
  zstdLevel: number,
): Promise<Uint8Array | undefined> {
  // The decoder would take it for a dictionary with tables of its own.
  if (DICTIONARY_MAGIC.every((byte, at) => window[at] === byte)) return undefined
  return compressAsync(plain, {
    dictionary: window,
    // The size is told: whoever knows it decompresses into one buffer, without a window of its own.
    pledgedSrcSize: plain.byteLength,
    chunkSize: plain.byteLength + ZSTD_FRAME_MAX_OVERHEAD_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: zstdLevel,
      [constants.ZSTD_c_windowLog]: PATCH_WINDOW_LOG,
      [constants.ZSTD_c_dictIDFlag]: 0,
    },
  })
}

/** Reads `bytes` of a window from its byte `from` on; undefined when the image ends before. */
export type ReadWindow = (from: number, bytes: number) => Promise<Uint8Array | undefined>

/** Never gives more than `plainBytes`. Throws delta-damaged; the caller compares the hashes. */
export async function applyPatch(
  frame: Frame,
  expected: { readonly plainBytes: number; readonly windowBytes: number },
  readWindow: ReadWindow,
): Promise<Uint8Array> {
  const { plainBytes, windowBytes } = expected
  if (frame.form === 'dictionary') {
    const window = await windowOf(readWindow, 0, windowBytes)
    const plain = unpacked(() => decompressWith(frame.bytes, window, plainBytes))
    free(window)
    return plain
  }
  const encoded = unpacked(() => decompress(frame.bytes, encodedMaxBytes(plainBytes)))
  const read = readSteps(encoded, plainBytes, windowBytes)
  if (read === undefined) throw deltaDamaged('one takes steps that lead nowhere')
  const window = await windowOf(readWindow, read.from, read.to - read.from)
  const plain = takeSteps(read, window)
  free(encoded)
  free(window)
  if (plain === undefined) throw deltaDamaged('one changes what it does not make')
  return plain
}

async function windowOf(readWindow: ReadWindow, from: number, bytes: number): Promise<Uint8Array> {
  const window = await readWindow(from, bytes)
  if (window === undefined) throw deltaDamaged('a window lies behind the image')
  return window
}

function unpacked(unpack: () => Uint8Array): Uint8Array {
  try {
    return unpack()
  } catch (cause) {
    throw deltaDamaged('one cannot be applied', cause)
  }
}

function decompressWith(frame: Uint8Array, window: Uint8Array, plainBytes: number): Uint8Array {
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
