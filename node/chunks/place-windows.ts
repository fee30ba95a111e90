/**
 * Where in the earlier image the content of a changed chunk should be looked for. Chunks that both images have
 * tell how far content has moved; between two of them the shift is interpolated.
 */
export interface PlacedChunk {
  readonly offset: number
  readonly plainBytes: number
  /** SHA-256 of the plaintext, hex. */
  readonly name: string
}

/** For each chunk of `next` where it should lie in the base, or undefined when the base has the very chunk. */
export function expectedOffsets(
  base: readonly PlacedChunk[],
  next: readonly PlacedChunk[],
): readonly (number | undefined)[] {
  const places = uniquePlaces(base)
  const nextPlaces = uniquePlaces(next)
  const known = new Set(base.map(({ name }) => name))
  const shifts = next.map(({ name, offset }) => {
    const place = places.get(name)
    // Chunks that come several times, such as blocks of zeros, say nothing about where things are.
    if (place === undefined || nextPlaces.get(name) === undefined) return undefined
    return place - offset
  })
  const after = nearestAfter(shifts)
  const expected: (number | undefined)[] = []
  let before: number | undefined
  for (const [index, chunk] of next.entries()) {
    if (shifts[index] !== undefined) before = index
    if (known.has(chunk.name)) expected.push(undefined)
    else expected.push(chunk.offset + shiftAt(chunk.offset, { before, after: after[index] }))
  }
  return expected

  function shiftAt(
    offset: number,
    near: { readonly before: number | undefined; readonly after: number | undefined },
  ): number {
    const left = anchor(near.before)
    const right = anchor(near.after)
    if (left === undefined || right === undefined) return (left ?? right)?.shift ?? 0
    const share = (offset - left.offset) / (right.offset - left.offset)
    return Math.round(left.shift + share * (right.shift - left.shift))
  }
  function anchor(index: number | undefined) {
    if (index === undefined) return undefined
    return { offset: next[index]?.offset ?? 0, shift: shifts[index] ?? 0 }
  }
}

/** Offsets of the chunks that come once. */
function uniquePlaces(chunks: readonly PlacedChunk[]): ReadonlyMap<string, number | undefined> {
  const places = new Map<string, number | undefined>()
  for (const { name, offset } of chunks) places.set(name, places.has(name) ? undefined : offset)
  return places
}

/** For each index the next one that has a shift. */
function nearestAfter(shifts: readonly (number | undefined)[]): readonly (number | undefined)[] {
  const after: (number | undefined)[] = Array.from({ length: shifts.length })
  let next: number | undefined
  for (let index = shifts.length - 1; index >= 0; index--) {
    after[index] = next
    if (shifts[index] !== undefined) next = index
  }
  return after
}
