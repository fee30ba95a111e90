import type { CID } from 'multiformats/cid'
import { digestOf } from './digest.ts'
import { blockMismatch, recordMalformed } from './failures.ts'
import type { PinOwner } from './storage.ts'

/** CIDv1, so that the two spellings of one dag-pb root are one pin. */
export function rootOf(root: CID): CID {
  if (digestOf(root) === undefined)
    throw blockMismatch(`${root.toString()} is not a CID with a sha2-256 multihash`)
  return root.toV1()
}

export function checkOwner({ owner, untilMs }: PinOwner): void {
  if (owner.length === 0 || !owner.isWellFormed() || owner.includes('\0'))
    throw recordMalformed(`${JSON.stringify(owner)} cannot name the owner of a pin`)
  if (untilMs !== undefined && !Number.isSafeInteger(untilMs))
    throw recordMalformed(`${untilMs} is not a time in whole milliseconds`)
}
