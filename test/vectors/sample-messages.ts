import type { EvmAddress } from '../../node/identity/index.ts'
import type { Hex } from '../../node/base/index.ts'
import type { Grant, PinOrder, Receipt } from '../../node/receipts/index.ts'

/** A small seeded generator (Mulberry32): the same messages on every machine. */
export function createSamples(seed: number) {
  let state = seed >>> 0
  const uint32 = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const hex = (bytes: number): Hex => {
    const digits = Array.from({ length: bytes }, () => (uint32() & 0xff).toString(16).padStart(2, '0'))
    return `0x${digits.join('')}`
  }
  /** Every length from 0 to 64 bits, so that small values and the edges come up too. */
  const uint64 = () => {
    const bits = BigInt(uint32() % 65)
    const value = (BigInt(uint32()) << 32n) | BigInt(uint32())
    return value & ((1n << bits) - 1n)
  }
  const seconds = () => Number(uint64() & ((1n << 53n) - 1n))
  const address = (): EvmAddress => hex(20)
  return {
    grant: (): Grant => ({
      vendor: address(),
      device: address(),
      root: hex(32),
      deltaRoot: hex(32),
      maxBytes: uint64(),
      service: hex(32),
      priceVersion: uint32(),
      notBefore: seconds(),
      notAfter: seconds(),
      serial: uint64(),
    }),
    receipt: (): Receipt => ({
      grantId: hex(32),
      server: address(),
      serverBytes: uint64(),
      grantBytes: uint64(),
    }),
    pinOrder: (): PinOrder => ({
      payer: address(),
      roots: Array.from({ length: uint32() % 6 }, () => hex(32)),
      bytes: uint64(),
      from: seconds(),
      until: seconds(),
      copies: uint32(),
      service: hex(32),
      priceVersion: uint32(),
      signers: Array.from({ length: uint32() % 4 }, () => address()),
    }),
  }
}
