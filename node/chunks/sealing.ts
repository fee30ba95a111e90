import { createCipheriv, createDecipheriv, hash, hkdfSync } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { concat, utf8 } from '../base/index.ts'
import { TAG_BYTES, ZSTD_FRAME_MAX_OVERHEAD_BYTES, ZSTD_WINDOW_LOG_MAX } from './limits.ts'
import { chunkError } from './types.ts'

export const KEY_BYTES = 32
export const HASH_BYTES = 32
export const RAW_CODEC = 0x55
export const DAG_CBOR_CODEC = 0x71
const SHA2_256 = 0x12

/** What a key is for: one key never seals two byte strings, whatever form the same plaintext takes. */
export type Form = 'plain' | 'node' | 'patch'

const KEY_PURPOSE = utf8('ioex/chunk/1')
const FORM: Readonly<Record<Form, Uint8Array>> = {
  plain: utf8('plain'),
  node: utf8('node'),
  patch: utf8('patch'),
}
/** Safe because a key is derived from the bytes that it seals: it never sees others. */
const NONCE = new Uint8Array(12)

const compressAsync = promisify(zstdCompress)

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}

export function cidOf(codec: number, block: Uint8Array): CID {
  return CID.createV1(codec, Digest.create(SHA2_256, sha256(block)))
}

/** CIDv1 with SHA-256: the only one that this room writes and follows. */
export function isOurCid(cid: CID, codec: number): boolean {
  return cid.version === 1 && cid.code === codec && cid.multihash.code === SHA2_256
}

export function checkSecret(secret: Uint8Array, name: string): void {
  if (secret.byteLength === KEY_BYTES) return
  throw chunkError('seal-options-invalid', `${name} has ${secret.byteLength} bytes, not 32`, {
    blame: 'caller',
    fix: 'Make it with 32 random bytes, or derive it with HKDF.',
  })
}

/**
 * A complete zstd frame; on the thread pool. What does not shrink becomes raw blocks within the frame, 3 bytes
 * more per 128 KiB, so that there is one form only. The size is told, so that tables fit to it.
 */
export function compress(plain: Uint8Array, level: number): Promise<Uint8Array> {
  return compressAsync(plain, {
    pledgedSrcSize: plain.byteLength,
    // One step on the pool for the whole chunk, not one per 16 KiB of output.
    chunkSize: plain.byteLength + ZSTD_FRAME_MAX_OVERHEAD_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG_MAX,
    },
  })
}

/**
 * Never gives more than `maxBytes`, whatever the frame claims; then it throws. In one turn of the event loop: a
 * chunk takes less than a millisecond, and the thread pool is both slower (220 MiB/s here against 95) and takes
 * a context of a megabyte per chunk in flight.
 */
export function decompress(compressed: Uint8Array, maxBytes: number): Uint8Array {
  return zstdDecompressSync(compressed, {
    maxOutputLength: Math.max(maxBytes, 1),
    // Larger than what comes out: a full buffer would make zlib ask for a second one.
    chunkSize: maxBytes + ZSTD_FRAME_MAX_OVERHEAD_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
  })
}

/** Ciphertext and tag, and the key, which depends on the secret and on every bit of `compressed`. */
export function seal(
  compressed: Uint8Array,
  form: Form,
  secret: Uint8Array,
): { readonly sealed: Uint8Array; readonly key: Uint8Array } {
  const info = concat([KEY_PURPOSE, FORM[form], sha256(compressed)])
  const key = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(), info, KEY_BYTES))
  return { sealed: encrypt(compressed, key), key }
}

/** AES-256-GCM under a key that seals nothing else: nonce zero, tag appended. */
function encrypt(plain: Uint8Array, key: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, NONCE, { authTagLength: TAG_BYTES })
  return concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** Throws when the tag does not match, or the bytes are fewer than a tag. */
export function decrypt(sealed: Uint8Array, key: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-256-gcm', key, NONCE, { authTagLength: TAG_BYTES })
  const split = Math.max(sealed.byteLength - TAG_BYTES, 0)
  decipher.setAuthTag(sealed.subarray(split))
  const plain = decipher.update(sealed.subarray(0, split))
  // GCM gives all of it at once; what is left to do is to compare the tag.
  decipher.final()
  return plain
}
