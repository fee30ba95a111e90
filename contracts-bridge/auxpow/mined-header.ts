import { accepted, equalBytes, type Refusal, refused, type Result } from '@ioex/node/base'
import { HASH_BYTES, readAuxPow, readTransaction } from './auxpow.ts'
import { byteReader, BytesMalformed } from './byte-reader.ts'
import type { AuxPowRejection } from './rejections.ts'
import { checkAuxPow, type AuxPowVerdict } from './verify.ts'
import { sha256d, sha256dOf, type WorkHash } from './work.ts'

/** The ioeX chain's own, from its code of 2018. */
export const IOEX_CHAIN_ID = 1_224
const ELASTOS_CHAIN_ID = 6
const DOGECOIN_CHAIN_ID = 98

/** Bitcoin's header; the ID of the chain is in its version. */
const HEADER_BYTES = 80
/** The header of Elastos and ioeX has the height behind it, and says nothing about the chain. */
const HEADER_WITH_HEIGHT_BYTES = 84
const VERSION_HAS_AUXPOW = 0x100

export type MinedHeaderRejection =
  | AuxPowRejection
  /** The version of the header says that it was mined directly. */
  | 'no-auxpow'
  /** The version of the header names another chain. */
  | 'other-chain'
  /** The block's transactions are not those that its header commits to. */
  | 'transactions-not-in-header'

export interface MinedHeader extends AuxPowVerdict {
  /** The block's hash, little-endian. */
  readonly hash: Uint8Array
  readonly bits: number
  /** Of a whole block; undefined for a header alone. */
  readonly transactions: number | undefined
}

/** How the chain's parents hash their headers; Dogecoin is mined with Litecoin, the others with Bitcoin. */
export function workHashOf(chainId: number): WorkHash {
  return chainId === DOGECOIN_CHAIN_ID ? 'scrypt' : 'sha256d'
}

/**
 * Checks a header with its proof of merged mining, or a whole block. Chains 6 and 1224 have headers of 84 bytes
 * (and one byte behind the proof), all others of 80.
 */
export function verifyMinedHeader(
  bytes: Uint8Array,
  chainId: number,
  algorithm: WorkHash = workHashOf(chainId),
): Result<MinedHeader, MinedHeaderRejection> {
  try {
    return checkMinedHeader(bytes, chainId, algorithm)
  } catch (thrown) {
    if (thrown instanceof BytesMalformed) return refused('malformed')
    throw thrown
  }
}

function checkMinedHeader(
  bytes: Uint8Array,
  chainId: number,
  algorithm: WorkHash,
): Result<MinedHeader, MinedHeaderRejection> {
  const hasHeight = chainId === IOEX_CHAIN_ID || chainId === ELASTOS_CHAIN_ID
  const reader = byteReader(bytes)
  const header = reader.take(hasHeight ? HEADER_WITH_HEIGHT_BYTES : HEADER_BYTES)
  const fields = byteReader(header)
  const version = fields.u32()
  fields.take(2 * HASH_BYTES + 4)
  const bits = fields.u32()
  if (!hasHeight) {
    if ((version & VERSION_HAS_AUXPOW) === 0) return refused('no-auxpow')
    if (version >>> 16 !== chainId) return refused('other-chain')
  }
  const hash = sha256d(header)
  const { auxPow, end } = readAuxPow(bytes, header.length)
  const verdict = checkAuxPow(auxPow, {
    // These chains put the reversed hash into the tree.
    auxHash: hasHeight ? hash.toReversed() : hash,
    chainId,
    work: { bits, algorithm },
  })
  if (!verdict.ok) return verdict
  const transactions = hasHeight ? headerEnds(bytes, end) : blockEnds(bytes, end, header)
  if (!transactions.ok) return transactions
  return accepted({ ...verdict.value, hash, bits, transactions: transactions.value })
}

/** What follows the proof of an 84-byte header is at most the one byte by which it says that it has a proof. */
function headerEnds(bytes: Uint8Array, end: number): Result<undefined, 'malformed'> {
  return bytes.length - end <= 1 ? accepted(undefined) : refused('malformed')
}

function blockEnds(
  bytes: Uint8Array,
  from: number,
  header: Uint8Array,
): Result<number | undefined, 'malformed' | 'transactions-not-in-header'> {
  if (from === bytes.length) return accepted(undefined)
  const reader = byteReader(bytes, from)
  const count = reader.compactSize()
  const ids: Uint8Array[] = []
  for (let left = count; left > 0; left--) ids.push(readTransaction(reader).txId)
  if (reader.position !== bytes.length || count === 0) return MALFORMED
  return equalBytes(merkleRoot(ids), header.subarray(36, 68))
    ? accepted(count)
    : refused('transactions-not-in-header')
}

const MALFORMED: Refusal<'malformed'> = refused('malformed')

/** Bitcoin's tree: the last of an odd row is paired with itself. */
function merkleRoot(ids: readonly Uint8Array[]): Uint8Array {
  let row = ids
  while (row.length > 1) {
    row = Array.from({ length: Math.ceil(row.length / 2) }, (_, at) => {
      const left = row[2 * at] ?? new Uint8Array()
      return sha256dOf(left, row[2 * at + 1] ?? left)
    })
  }
  return row[0] ?? new Uint8Array()
}
