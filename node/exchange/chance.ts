import type { Random } from '../base/index.ts'

/** Numbers from 0 up to 1 for choices among equals, far cheaper than the system's random source (xorshift32). */
export function createChance(random: Random): () => number {
  let state = 1 + random.int(2 ** 31 - 1)
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
