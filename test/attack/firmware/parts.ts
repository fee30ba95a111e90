import { createCipheriv } from 'node:crypto'

export { type Clock, MIB, systemClock, utf8 } from '@ioex/node/base'

/** Bytes that do not compress, the same for the same seed. */
export function seeded(bytes: number, seed: number): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(bytes))
}
