/** Makes proofs as a pool would, and proofs that break one rule each, for tests and for tuning. */
import { concat } from '@ioex/node/base'
import type { AuxPowRejection } from './rejections.ts'
import { expectedSlot } from './verify.ts'
import { sha256d, sha256dOf, targetOf, workOf } from './work.ts'

export interface CraftOptions {
  /** Little-endian. */
  readonly auxHash: Uint8Array
  readonly chainId: number
  /** The parent's nonce is raised until its work meets this target; absent: it is not mined. */
  readonly bits?: number | undefined
  readonly chainHeight?: number
  readonly coinbaseHeight?: number
  /** Of the coinbase, each 34 bytes long; pools that pay their miners in it have many. */
  readonly outputs?: number
  /** Breaks this rule and no other. */
  readonly broken?: Exclude<AuxPowRejection, 'malformed' | 'pow-above-target'> | undefined
}

const MAGIC = Uint8Array.of(0xfa, 0xbe, 0x6d, 0x6d)
const NONCE = 7
const ARBITRARY_TIME = 1_700_000_000

export function craftAuxPow(options: CraftOptions): Uint8Array {
  const { auxHash, chainId, broken } = options
  const chainHeight = broken === 'chain-branch-long' ? 31 : (options.chainHeight ?? 4)
  const chainSiblings = siblings('chain', chainHeight)
  const slot = expectedSlot(NONCE, chainId, Math.min(chainHeight, 30))
  // Another slot that is in the tree as well; with the right root for it.
  const chainIndex = broken === 'wrong-slot' ? slot ^ 1 : slot
  const root = fold(auxHash, chainSiblings, chainIndex).toReversed()
  const script = scriptOf(root, 2 ** Math.min(chainHeight, 30), broken)
  const coinbase = coinbaseOf(script, broken === 'no-inputs', options.outputs ?? 1)
  const branch = siblings('coinbase', options.coinbaseHeight ?? 5)
  const merkleRoot = fold(sha256d(coinbase.stripped), branch, 0)
  if (broken === 'coinbase-not-in-parent') merkleRoot[0] = ~(merkleRoot[0] ?? 0)
  const version = broken === 'own-chain-id' ? chainId * 0x1_0000 + 2 : 2
  const parent = mined(version, merkleRoot, options.bits)
  return joined(
    coinbase.onWire,
    new Uint8Array(32),
    Uint8Array.of(branch.length),
    ...branch,
    u32(broken === 'coinbase-index' ? 1 : 0),
    Uint8Array.of(chainSiblings.length),
    ...chainSiblings,
    u32(chainIndex),
    parent,
  )
}

function scriptOf(root: Uint8Array, size: number, broken: CraftOptions['broken']): Uint8Array {
  const height = Uint8Array.of(3, 0x13, 0xee, 0x09)
  const counts = joined(u32(broken === 'size-mismatch' ? size * 2 : size), u32(NONCE))
  if (broken === 'root-missing') return joined(height, MAGIC, root.toReversed(), counts)
  if (broken === 'magic-twice') return joined(height, MAGIC, root, counts, MAGIC)
  if (broken === 'magic-not-adjacent') {
    return joined(height, MAGIC, Uint8Array.of(0), root, counts)
  }
  if (broken === 'root-late') return joined(new Uint8Array(21), root, counts)
  if (broken === 'size-nonce-missing') return joined(height, MAGIC, root, counts.subarray(0, 7))
  return joined(height, MAGIC, root, counts)
}

/** A coinbase of one input, or of none. */
function coinbaseOf(script: Uint8Array, empty: boolean, outputs: number) {
  const version = u32(2)
  const lockTime = u32(0)
  const output = joined(
    new Uint8Array(8).fill(0x11),
    Uint8Array.of(25),
    new Uint8Array(25).fill(0x51),
  )
  const paid = joined(Uint8Array.of(outputs), ...Array.from({ length: outputs }, () => output))
  if (empty) {
    const body = joined(Uint8Array.of(0), paid)
    return {
      stripped: joined(version, body, lockTime),
      // Only the form with witness can say that there are no inputs.
      onWire: joined(version, Uint8Array.of(0, 1), body, lockTime),
    }
  }
  const outpoint = joined(new Uint8Array(32), u32(0xffff_ffff))
  const input = joined(Uint8Array.of(1), outpoint, Uint8Array.of(script.length), script, u32(0))
  const stripped = joined(version, input, paid, lockTime)
  return { stripped, onWire: stripped }
}

function mined(version: number, merkleRoot: Uint8Array, bits: number | undefined): Uint8Array {
  const header = joined(
    u32(version),
    new Uint8Array(32),
    merkleRoot,
    u32(ARBITRARY_TIME),
    u32(0x207f_ffff),
    u32(0),
  )
  if (bits === undefined) return header
  const target = targetOf(bits) ?? 0n
  const view = new DataView(header.buffer)
  for (let nonce = 1; workOf(header, 'sha256d') > target; nonce++) view.setUint32(76, nonce, true)
  return header
}

function siblings(name: string, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) =>
    sha256d(new TextEncoder().encode(`${name} ${at}`)),
  )
}

function fold(leaf: Uint8Array, branch: readonly Uint8Array[], index: number): Uint8Array {
  return branch.reduce(
    (folded, sibling, at) =>
      ((index >>> at) & 1) === 1 ? sha256dOf(sibling, folded) : sha256dOf(folded, sibling),
    leaf,
  )
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return concat(parts)
}
