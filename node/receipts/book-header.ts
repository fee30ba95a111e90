import { join } from 'node:path'
import { encode } from '@ipld/dag-cbor'
import type { EvmAddress } from '../identity/index.ts'
import type { LedgerDomain } from './types.ts'

/**
 * One file per settlement contract: when the contract moves, a node goes on in a new book, and the old one
 * keeps what it is still owed.
 */
export function bookPath(folder: string, kind: 'server' | 'device', domain: LedgerDomain): string {
  const contract = domain.verifyingContract.slice(2, 14)
  return join(folder, `${kind}-${domain.chainId}-${contract}.book`)
}

/** The first record of the file: whose it is. */
export function bookHeader(
  kind: 'server' | 'device',
  owner: EvmAddress,
  domain: LedgerDomain,
): Uint8Array {
  return encode(['ioex-book', 1, kind, owner, domain.chainId, domain.verifyingContract])
}
