import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { RAW_CODEC } from '../store/cids.ts'

const OWNER_PREFIX = 'release:'
const SHA2_256 = 0x12

/** Who keeps the blocks of a release, and the deltas that lead to it. */
export function pinOwnerOf(release: string): string {
  return OWNER_PREFIX + release
}

/** Undefined when the owner of a pin is no release. */
export function releaseOfOwner(owner: string): string | undefined {
  return owner.startsWith(OWNER_PREFIX) ? owner.slice(OWNER_PREFIX.length) : undefined
}

/** A name for blocks that wait, from which no block can come: the hash of a text that says what it is. */
export function sessionCid(name: string): CID {
  const digest = createHash('sha256').update(`ioex/gateway/session ${name}`).digest()
  return CID.createV1(RAW_CODEC, Digest.create(SHA2_256, new Uint8Array(digest)))
}
