import * as dagCbor from '@ipld/dag-cbor'
import type { PeerId } from '@libp2p/interface'
import { evmAddressOfPeerId, type Identity, recoverMessageSigner } from '../identity/index.ts'
import { HEAD_MAX_BYTES } from './limits.ts'

const PURPOSE = 'drive-head'

/** A sealed head with its number, signed by the owner: whoever keeps it can tell which of two is newer. */
export interface HeadRecord {
  readonly sequence: number
  /** The sealed head. */
  readonly value: Uint8Array
}

export function signHeadRecord(identity: Identity, record: HeadRecord): Uint8Array {
  const signature = identity.signMessage(PURPOSE, dagCbor.encode([record.sequence, record.value]))
  return dagCbor.encode([record.sequence, record.value, signature])
}

/** Undefined unless it has the form and the owner signed it. */
export function readHeadRecord(bytes: Uint8Array, owner: PeerId): HeadRecord | undefined {
  if (bytes.byteLength > HEAD_MAX_BYTES) return undefined
  const [sequence, value, signature] = listOf(bytes)
  const wellFormed =
    typeof sequence === 'number' &&
    Number.isSafeInteger(sequence) &&
    sequence > 0 &&
    value instanceof Uint8Array &&
    signature instanceof Uint8Array
  if (!wellFormed) return undefined
  const signer = recoverMessageSigner(PURPOSE, dagCbor.encode([sequence, value]), signature)
  return signer !== undefined && signer === evmAddressOfPeerId(owner)
    ? { sequence, value }
    : undefined
}

function listOf(bytes: Uint8Array): unknown[] {
  try {
    const value: unknown = dagCbor.decode(bytes)
    return Array.isArray(value) ? value : []
  } catch {
    // dag-cbor tells of malformed bytes by throwing: nobody's record.
    return []
  }
}
