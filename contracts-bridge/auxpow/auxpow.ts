import { type ByteReader, byteReader, BytesMalformed } from './byte-reader.ts'
import { sha256dOf } from './work.ts'

/** A proof of merged mining as it is on the wire; all byte arrays are views into the source. */
export interface AuxPow {
  /** Little-endian bytes, as hashes are everywhere here. Without witness. */
  readonly coinbaseTxId: Uint8Array
  /** Of the first input; undefined if the coinbase has no input. */
  readonly coinbaseScript: Uint8Array | undefined
  readonly coinbaseBranch: Uint8Array
  readonly coinbaseIndex: number
  readonly chainBranch: Uint8Array
  readonly chainIndex: number
  /** 80 bytes. */
  readonly parentHeader: Uint8Array
}

export const HASH_BYTES = 32
const PARENT_HEADER_BYTES = 80
/** Transaction id and index of the output that an input spends. */
const OUTPOINT_BYTES = 36
const AMOUNT_BYTES = 8

/**
 * Reads `coinbase | hashBlock (ignored) | branch, index | chain branch, index | parent header`
 * (namecoin-core `auxpow.h`). Throws BytesMalformed.
 */
export function readAuxPow(bytes: Uint8Array, from = 0): { auxPow: AuxPow; end: number } {
  const reader = byteReader(bytes, from)
  const { txId: coinbaseTxId, firstScript: coinbaseScript } = readTransaction(reader)
  // Nobody checks the hash of the parent block: it may be anything, so nothing may be keyed on a proof's bytes.
  reader.take(HASH_BYTES)
  const coinbaseBranch = reader.take(reader.compactSize() * HASH_BYTES)
  const coinbaseIndex = reader.u32()
  const chainBranch = reader.take(reader.compactSize() * HASH_BYTES)
  const chainIndex = reader.u32()
  const parentHeader = reader.take(PARENT_HEADER_BYTES)
  const auxPow = {
    coinbaseTxId,
    coinbaseScript,
    coinbaseBranch,
    coinbaseIndex,
    chainBranch,
    chainIndex,
    parentHeader,
  }
  return { auxPow, end: reader.position }
}

/** A transaction of Bitcoin's form, with or without witness; the id leaves the witness out (BIP 144). */
export function readTransaction(reader: ByteReader): {
  readonly txId: Uint8Array
  readonly firstScript: Uint8Array | undefined
} {
  const version = reader.take(4)
  let start = reader.position
  let inputs = reader.compactSize()
  const hasWitness = inputs === 0
  if (hasWitness) {
    // BIP 144: no inputs where their number is expected, then the flag 1, then the number.
    if (reader.take(1)[0] !== 1) throw new BytesMalformed()
    start = reader.position
    inputs = reader.compactSize()
  }
  let firstScript: Uint8Array | undefined
  for (let at = 0; at < inputs; at++) {
    reader.take(OUTPOINT_BYTES)
    const script = reader.take(reader.compactSize())
    firstScript ??= script
    reader.take(4)
  }
  for (let left = reader.compactSize(); left > 0; left--) {
    reader.take(AMOUNT_BYTES)
    reader.take(reader.compactSize())
  }
  const end = reader.position
  if (hasWitness) {
    for (let at = 0; at < inputs; at++) {
      for (let left = reader.compactSize(); left > 0; left--) reader.take(reader.compactSize())
    }
  }
  const lockTime = reader.take(4)
  return { txId: sha256dOf(version, reader.between(start, end), lockTime), firstScript }
}
