import { createCipheriv, createHash } from 'node:crypto'
import { concat, type Random } from '@ioex/node/base'
import { craftAuxPow, type CraftOptions } from './craft.ts'
import { AUXPOW_ERRORS } from './rejections.ts'
import { auxPowVectors } from './vectors.ts'
import { sha256d } from './work.ts'

export interface Case {
  readonly what: string
  readonly proof: Uint8Array
  readonly auxHash: Uint8Array
  readonly chainId: number
  /** Absent: structure only. */
  readonly bits: number | undefined
}

const CHAIN_ID = 1_224
const EASY_BITS = 0x207f_ffff

/** An endless row of real and crafted proofs, whole or changed in one to three places; the same for one seed. */
export function createMutations(seed: string): () => Case {
  const random = seededRandom(seed)
  const sources = [...auxPowVectors.map(caseOfVector), ...craftedCases()]
  let made = 0
  return () => {
    const source = sources[made++ % sources.length]
    if (source === undefined) throw new Error('there are no proofs to change')
    // Each source is judged unchanged once.
    return made <= sources.length ? source : mutated(source, random)
  }
}

function caseOfVector(vector: (typeof auxPowVectors)[number]): Case {
  const { name, proof, auxHash, chainId, work } = vector
  return {
    ...{ what: name, proof, auxHash, chainId },
    bits: work?.algorithm === 'sha256d' ? work.bits : undefined,
  }
}

function craftedCases(): Case[] {
  const auxHash = sha256d(new TextEncoder().encode('a block'))
  const rules = Object.keys(AUXPOW_ERRORS).filter(
    (code) => code !== 'malformed' && code !== 'pow-above-target',
  ) as CraftOptions['broken'][]
  const crafted = [undefined, ...rules].map((broken) => ({
    what: `crafted, ${broken ?? 'valid'}`,
    proof: craftAuxPow({ auxHash, chainId: CHAIN_ID, bits: EASY_BITS, broken }),
    ...{ auxHash, chainId: CHAIN_ID, bits: EASY_BITS },
  }))
  const valid = crafted[0]
  if (valid === undefined) throw new Error('there is no crafted proof')
  return [...crafted, { ...valid, what: 'crafted, hard target', bits: 0x1b00_ffff }]
}

function mutated(source: Case, random: Random): Case {
  let changed = source
  for (let left = 1 + random.int(3); left > 0; left--) {
    const kind = KINDS[random.int(KINDS.length)]
    if (kind === undefined) continue
    const [name, change] = kind
    changed = { ...change(changed, random), what: `${changed.what}, ${name}` }
  }
  return changed
}

type Change = (source: Case, random: Random) => Case

const KINDS: readonly (readonly [string, Change])[] = [
  [
    'a bit',
    (source, random) => spliced(source, random, 1, ([byte = 0]) => [byte ^ (1 << random.int(8))]),
  ],
  ['a byte', (source, random) => spliced(source, random, 1, () => [random.int(256)])],
  ['a count', (source, random) => spliced(source, random, 1, () => [0xfd + random.int(3)])],
  ['cut out', (source, random) => spliced(source, random, 1 + random.int(40), () => [])],
  [
    'put in',
    (source, random) => spliced(source, random, 0, () => [...random.bytes(1 + random.int(40))]),
  ],
  [
    'magic put in',
    (source, random) => spliced(source, random, random.int(2) * 4, () => [0xfa, 0xbe, 0x6d, 0x6d]),
  ],
  [
    'cut off',
    (source, random) => ({
      ...source,
      proof: source.proof.subarray(0, random.int(source.proof.length + 1)),
    }),
  ],
  ['another chain', (source, random) => ({ ...source, chainId: random.int(0x1_0000) })],
  ['another block', (source, random) => ({ ...source, auxHash: random.bytes(32) })],
  [
    'another target',
    (source, random) => ({
      ...source,
      bits:
        source.bits === undefined
          ? undefined
          : // The reference does not know the sign bit.
            (0x0300_0000 + random.int(0x1e00_0000)) & ~0x80_0000,
    }),
  ],
]

function spliced(
  source: Case,
  random: Random,
  length: number,
  make: (old: Uint8Array) => readonly number[],
): Case {
  const { proof } = source
  const at = random.int(proof.length + 1)
  const end = Math.min(at + length, proof.length)
  const made = Uint8Array.from(make(proof.subarray(at, end)))
  return { ...source, proof: concat([proof.subarray(0, at), made, proof.subarray(end)]) }
}

/** The same sequence for the same name: a key stream of AES-128 in counter mode. */
function seededRandom(name: string): Random {
  const key = createHash('sha256').update(name).digest()
  const stream = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16))
  const bytes = (length: number) => new Uint8Array(stream.update(new Uint8Array(length)))
  return { bytes, int: (below) => new DataView(bytes(4).buffer).getUint32(0) % below }
}
