import { createCipheriv, createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { concat } from '../base/index.ts'
import { type GetBlock, nodeLinks, type PutBlock } from '../chunks/index.ts'

const DAG_CBOR_CODEC = 0x71

/** A store that holds whoever puts to the contract of PutBlock: right CIDs, and children before their parents. */
export interface MemoryBlocks {
  readonly blocks: Map<string, Uint8Array>
  readonly put: PutBlock
  readonly get: GetBlock
}

export function createMemoryBlocks(): MemoryBlocks {
  const blocks = new Map<string, Uint8Array>()
  return {
    blocks,
    put({ cid, bytes }) {
      const digest = createHash('sha256').update(bytes).digest()
      if (!digest.equals(cid.multihash.digest))
        return Promise.reject(new Error(`${cid} is of other bytes`))
      const missing = linksOf(cid, bytes).find((link) => !blocks.has(link.toString()))
      if (missing !== undefined)
        return Promise.reject(new Error(`${cid} came before its child ${missing}`))
      blocks.set(cid.toString(), bytes)
      return Promise.resolve()
    },
    get(cid, options) {
      options?.signal?.throwIfAborted()
      const bytes = blocks.get(cid.toString())
      return bytes === undefined ? Promise.reject(new Error(`no ${cid}`)) : Promise.resolve(bytes)
    },
  }
}

/** Of nodes; a release root has no links of that form, and a chunk has none. */
function linksOf(cid: CID, bytes: Uint8Array): readonly CID[] {
  if (cid.code !== DAG_CBOR_CODEC) return []
  try {
    return nodeLinks(bytes)
  } catch (thrown) {
    if (thrown instanceof Error) return []
    throw thrown
  }
}

/** Bytes that nothing can compress, the same for the same seed (0 to 255). */
export function noise(length: number, seed: number): Uint8Array {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return concat([cipher.update(Buffer.alloc(length))])
}

/** As a file or a socket gives its bytes: piece by piece. */
export async function* inPieces(data: Uint8Array, pieceBytes = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.byteLength; at += pieceBytes) {
    yield data.subarray(at, at + pieceBytes)
    await Promise.resolve()
  }
}
