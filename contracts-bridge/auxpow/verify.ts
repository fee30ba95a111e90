import { equalBytes, type Result, accepted, refused } from '@ioex/node/base'
import { type AuxPow, HASH_BYTES, readAuxPow } from './auxpow.ts'
import { BytesMalformed } from './byte-reader.ts'
import type { AuxPowRejection } from './rejections.ts'
import { sha256d, sha256dOf, targetOf, type WorkHash, workOf } from './work.ts'

export interface AuxPowTerms {
  /** Of the block that the proof is for, 32 bytes little-endian: the leaf of the tree of merge-mined chains. */
  readonly auxHash: Uint8Array
  /** Of the block's own chain: Namecoin 1, Dogecoin 98, ioeX 1224. */
  readonly chainId: number
  /** Absent: the rules of structure only, the parent's work is not looked at. */
  readonly work?: { readonly bits: number; readonly algorithm: WorkHash } | undefined
}

export interface AuxPowVerdict {
  /** sha256d of the parent header, little-endian. */
  readonly parentHash: Uint8Array
  /** Slots of the tree of merge-mined chains: one miner can serve so many chains with this parent. */
  readonly treeSize: number
  readonly slot: number
}

/** More levels would not fit the 32 bits of an index (namecoin-core `auxpow.cpp`). */
const MAX_CHAIN_BRANCH = 30
/** Without the magic the root has to start within so many bytes of the script. */
const MAX_UNMARKED_ROOT_OFFSET = 20
const MAGIC = Uint8Array.of(0xfa, 0xbe, 0x6d, 0x6d)

/** Whether all of `proof` is a valid proof for the block `auxHash`: chain.md's eleven rules, in order. */
export function verifyAuxPow(
  proof: Uint8Array,
  terms: AuxPowTerms,
): Result<AuxPowVerdict, AuxPowRejection> {
  try {
    const { auxPow, end } = readAuxPow(proof)
    return end === proof.length ? checkAuxPow(auxPow, terms) : refused('malformed')
  } catch (thrown) {
    if (thrown instanceof BytesMalformed) return refused('malformed')
    throw thrown
  }
}

/** The rules over a proof that was read before. */
export function checkAuxPow(
  auxPow: AuxPow,
  terms: AuxPowTerms,
): Result<AuxPowVerdict, AuxPowRejection> {
  const { parentHeader, chainBranch, coinbaseScript: script } = auxPow
  if (auxPow.coinbaseIndex !== 0) return refused('coinbase-index')
  if (wordAt(parentHeader, 0) >>> 16 === terms.chainId) return refused('own-chain-id')
  const height = chainBranch.length / HASH_BYTES
  if (height > MAX_CHAIN_BRANCH) return refused('chain-branch-long')
  const coinbaseRoot = fold(auxPow.coinbaseTxId, auxPow.coinbaseBranch, 0)
  if (!equalBytes(coinbaseRoot, parentHeader.subarray(36, 68))) {
    return refused('coinbase-not-in-parent')
  }
  if (script === undefined) return refused('no-inputs')

  const root = fold(terms.auxHash, chainBranch, auxPow.chainIndex).toReversed()
  const rootAt = indexOf(script, root)
  if (rootAt < 0) return refused('root-missing')
  const magicAt = indexOf(script, MAGIC)
  if (magicAt >= 0) {
    if (indexOf(script, MAGIC, magicAt + 1) >= 0) return refused('magic-twice')
    if (magicAt + MAGIC.length !== rootAt) return refused('magic-not-adjacent')
  } else if (rootAt > MAX_UNMARKED_ROOT_OFFSET) {
    return refused('root-late')
  }
  const after = rootAt + HASH_BYTES
  if (script.length - after < 8) return refused('size-nonce-missing')
  const treeSize = 2 ** height
  if (wordAt(script, after) !== treeSize) return refused('size-mismatch')
  const slot = expectedSlot(wordAt(script, after + 4), terms.chainId, height)
  if (auxPow.chainIndex !== slot) return refused('wrong-slot')

  if (terms.work !== undefined) {
    const target = targetOf(terms.work.bits)
    if (target === undefined || workOf(parentHeader, terms.work.algorithm) > target) {
      return refused('pow-above-target')
    }
  }
  return accepted({ parentHash: sha256d(parentHeader), treeSize, slot })
}

/** Where a chain has to be in a tree of 2^height slots, so that no miner works for it twice in one tree. */
export function expectedSlot(nonce: number, chainId: number, height: number): number {
  const step = (value: number) => (Math.imul(value, 1_103_515_245) + 12_345) >>> 0
  return (step(step(nonce) + chainId) & (2 ** height - 1)) >>> 0
}

function fold(leaf: Uint8Array, branch: Uint8Array, index: number): Uint8Array {
  let folded = leaf
  for (let at = 0; at < branch.length; at += HASH_BYTES) {
    const sibling = branch.subarray(at, at + HASH_BYTES)
    const isRight = ((index >>> (at / HASH_BYTES)) & 1) === 1
    folded = isRight ? sha256dOf(sibling, folded) : sha256dOf(folded, sibling)
  }
  return folded
}

function wordAt(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true)
}

function indexOf(bytes: Uint8Array, wanted: Uint8Array, from = 0): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(wanted, from)
}
