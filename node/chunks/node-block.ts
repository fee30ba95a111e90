import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { NODE_MAX_BYTES, NODE_MAX_PAYLOAD_BYTES, NODE_ZSTD_LEVEL } from './limits.ts'
import {
  checkSecret,
  cidOf,
  compress,
  DAG_CBOR_CODEC,
  decompress,
  decrypt,
  isOurCid,
  KEY_BYTES,
  RAW_CODEC,
  seal,
} from './sealing.ts'
import { chunkError, type NodeContent, type SealedNode } from './types.ts'

/**
 * Makes a node block `{links, sealed}` of any payload; the caller stores `bytes` and keeps `key`. The same
 * content under the same secret gives the same block. Throws node-too-large beyond NODE_MAX_BYTES.
 */
export async function sealNode(content: NodeContent, secret: Uint8Array): Promise<SealedNode> {
  checkSecret(secret, 'the secret')
  if (content.payload.byteLength > NODE_MAX_PAYLOAD_BYTES)
    throw tooLarge('payload', NODE_MAX_PAYLOAD_BYTES)
  const { sealed, key } = seal(await compress(content.payload, NODE_ZSTD_LEVEL), 'node', secret)
  const bytes = dagCbor.encode({ links: content.links, sealed })
  if (bytes.byteLength > NODE_MAX_BYTES) throw tooLarge('block', NODE_MAX_BYTES)
  return { cid: cidOf(DAG_CBOR_CODEC, bytes), key, bytes }
}

/** `bytes` have been checked against the CID, as every GetBlock does. Throws node-damaged. */
export function openNode(bytes: Uint8Array, key: Uint8Array): NodeContent {
  const { links, sealed } = parseNodeBlock(bytes)
  if (key.byteLength !== KEY_BYTES) throw nodeDamaged('is given with a key of the wrong length')
  try {
    return { links, payload: decompress(decrypt(sealed, key), NODE_MAX_PAYLOAD_BYTES) }
  } catch (cause) {
    throw nodeDamaged('cannot be opened', cause)
  }
}

/** What anybody sees of a node without its key: what it links to. Throws node-damaged. */
export function nodeLinks(bytes: Uint8Array): readonly CID[] {
  return parseNodeBlock(bytes).links
}

function parseNodeBlock(bytes: Uint8Array): { links: CID[]; sealed: Uint8Array } {
  if (bytes.byteLength > NODE_MAX_BYTES) throw nodeDamaged(`has more than ${NODE_MAX_BYTES} bytes`)
  const value = decodeNode(bytes)
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 2) {
    throw nodeDamaged('is not {links, sealed}')
  }
  if (!('links' in value) || !('sealed' in value)) throw nodeDamaged('is not {links, sealed}')
  const { links, sealed } = value
  if (!Array.isArray(links) || !(sealed instanceof Uint8Array)) {
    throw nodeDamaged('is not {links, sealed}')
  }
  return { links: links.map(linkOf), sealed }
}

function decodeNode(bytes: Uint8Array): unknown {
  try {
    return dagCbor.decode(bytes)
  } catch (cause) {
    throw nodeDamaged('is not dag-cbor', cause)
  }
}

function linkOf(value: unknown): CID {
  const cid = CID.asCID(value)
  if (cid === null) throw nodeDamaged('links to something that is not a CID')
  if (isOurCid(cid, RAW_CODEC) || isOurCid(cid, DAG_CBOR_CODEC)) return cid
  throw nodeDamaged('links to a CID that is not of this format')
}

export function nodeDamaged(what: string, cause?: unknown) {
  return chunkError('node-damaged', `a node ${what}`, {
    blame: 'peer',
    fix: 'Nothing of this tree can be trusted; take an earlier version, or ask the publisher.',
    ...(cause === undefined ? {} : { cause }),
  })
}

function tooLarge(part: string, maxBytes: number) {
  return chunkError('node-too-large', `the ${part} of a node has more than ${maxBytes} bytes`, {
    blame: 'caller',
    fix: 'Spread the payload over several nodes.',
  })
}
