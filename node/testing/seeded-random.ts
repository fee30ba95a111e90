import { createCipheriv, createHash } from 'node:crypto'
import type { Random } from '../base/index.ts'

/** The same sequence for the same name, in every process: a key stream of AES-128 in counter mode. */
export function seededRandom(name: string): Random {
  const key = createHash('sha256').update(name).digest()
  const stream = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  const bytes = (length: number) => new Uint8Array(stream.update(new Uint8Array(length)))
  return {
    bytes,
    int: (below) => Number(new DataView(bytes(8).buffer).getBigUint64(0) % BigInt(below)),
  }
}
