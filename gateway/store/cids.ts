import { type Hex, toHex } from '@ioex/node/base'
import { CID } from 'multiformats/cid'
import { ProblemError } from '../problems.ts'

/** What a CID means by its multicodec (multiformats/multicodec). */
export const RAW_CODEC = 0x55
export const DAG_CBOR_CODEC = 0x71
const SHA2_256 = 0x12

/** Throws `request-invalid` when it is no CIDv1 over sha2-256. */
export function parseCid(text: string): CID {
  try {
    const cid = CID.parse(text)
    if (cid.version === 1 && cid.multihash.code === SHA2_256) return cid
  } catch (cause) {
    throw invalidCid(text, cause)
  }
  throw invalidCid(text)
}

function invalidCid(text: string, cause?: unknown): ProblemError {
  return new ProblemError('request-invalid', `"${text.slice(0, 80)}" is no CID of ours`, {
    fix: 'Use a CIDv1 over sha2-256 in base32, such as bafyrei… or bafkrei….',
    cause,
  })
}

/** The sha-256 digest inside the CID: what grants and pin orders name. */
export function digestOf(cid: CID): Hex {
  return toHex(cid.multihash.digest)
}

/** Every CID in a dag-cbor value, in order. */
export function* linksIn(value: unknown): Generator<CID> {
  const link = CID.asCID(value)
  if (link !== null) yield link
  else if (Array.isArray(value)) for (const part of value) yield* linksIn(part)
  else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    for (const part of Object.values(value)) yield* linksIn(part)
  }
}
