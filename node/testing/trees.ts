import { encode } from '@ipld/dag-cbor'
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { KIB, type Random, systemRandom } from '../base/index.ts'
import type { Block } from '../storage/index.ts'

export interface Tree {
  readonly root: CID
  readonly blocks: readonly Block[]
  readonly leaves: readonly CID[]
  readonly bytes: number
}

/** A root over nodes over random chunks; with a seeded random the same tree in every process. */
export function makeTree(
  chunks: number,
  chunkBytes: number = 64 * KIB,
  random: Pick<Random, 'bytes'> = systemRandom,
): Tree {
  const leaves = Array.from({ length: chunks }, () => blockOf(random.bytes(chunkBytes), 0x55))
  const nodes: Block[] = []
  for (let from = 0; from < leaves.length; from += 64) {
    const links = leaves.slice(from, from + 64).map(({ cid }) => cid)
    nodes.push(blockOf(encode({ links, sealed: new Uint8Array(8) }), 0x71))
  }
  const root = blockOf(encode({ v: 1, tree: nodes.map(({ cid }) => cid) }), 0x71)
  const blocks = [...leaves, ...nodes, root]
  return {
    root: root.cid,
    blocks,
    leaves: leaves.map(({ cid }) => cid),
    bytes: blocks.reduce((sum, { bytes }) => sum + bytes.byteLength, 0),
  }
}

export function blockOf(bytes: Uint8Array, codec: number): Block {
  const digest = createHash('sha256').update(bytes).digest()
  return { cid: CID.createV1(codec, createDigest(0x12, digest)), bytes: new Uint8Array(bytes) }
}
