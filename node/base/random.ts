import { randomBytes, randomInt } from 'node:crypto'

/** Randomness as a collaborator: the system's in production, a seeded one in simulations. */
export interface Random {
  bytes(length: number): Uint8Array
  /** A whole number with 0 <= n < `below`; `below` at most 2^48 - 1. */
  int(below: number): number
}

export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  int: (below) => randomInt(below),
}

/** A random order of the items; the input is left as it is (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items]
  for (let last = result.length - 1; last > 0; last--) {
    const other = random.int(last + 1)
    const moved = result[last] as T
    result[last] = result[other] as T
    result[other] = moved
  }
  return result
}
