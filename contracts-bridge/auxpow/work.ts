import { createHash, hash, scryptSync } from 'node:crypto'

/** How a chain hashes a parent header into work. Bitcoin and Namecoin: sha256d; Litecoin and Dogecoin: scrypt. */
export type WorkHash = 'sha256d' | 'scrypt'

export function sha256d(bytes: Uint8Array): Uint8Array {
  return hash('sha256', hash('sha256', bytes, 'buffer'), 'buffer')
}

export function sha256dOf(...parts: readonly Uint8Array[]): Uint8Array {
  const first = createHash('sha256')
  for (const part of parts) first.update(part)
  return hash('sha256', first.digest(), 'buffer')
}

/** The work of a header as the number that the target bounds. */
export function workOf(header: Uint8Array, algorithm: WorkHash): bigint {
  const bytes =
    algorithm === 'sha256d'
      ? sha256d(header)
      : scryptSync(header, header, 32, { N: 1_024, r: 1, p: 1 })
  return littleEndian(bytes)
}

/** Bitcoin's compact form of a target; undefined if it is negative, zero or beyond 256 bits. */
export function targetOf(bits: number): bigint | undefined {
  const exponent = bits >>> 24
  const mantissa = BigInt(bits & 0x7f_ffff)
  const target =
    exponent <= 3 ? mantissa >> BigInt(8 * (3 - exponent)) : mantissa << BigInt(8 * (exponent - 3))
  const negative = (bits & 0x80_0000) !== 0
  return negative || target === 0n || target >> 256n !== 0n ? undefined : target
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}
