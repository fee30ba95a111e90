import { createCipheriv, hkdfSync } from 'node:crypto'
import { utf8 } from '../base/index.ts'

/** Without a secret everybody cuts alike, as releases do. */
const PUBLIC_SECRET = utf8('ioex/boundary/public')
const INFO = utf8('ioex/boundary/1')
const ENTRIES = 256

/**
 * The random word that each byte value adds to the rolling hash: 256 words of 32 bits, the AES-256-CTR stream
 * under HKDF-SHA256 of the boundary secret, read little-endian.
 */
export function gearTable(boundarySecret?: Uint8Array): Int32Array {
  const key = hkdfSync('sha256', boundarySecret ?? PUBLIC_SECRET, new Uint8Array(), INFO, 32)
  const cipher = createCipheriv('aes-256-ctr', new Uint8Array(key), new Uint8Array(16))
  const stream = cipher.update(new Uint8Array(ENTRIES * 4))
  return Int32Array.from({ length: ENTRIES }, (_, value) => stream.readInt32LE(value * 4))
}
