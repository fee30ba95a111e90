import { BaseBlockstore } from 'blockstore-core'
import type { Blockstore, InputPair } from 'interface-blockstore'
import { NotFoundError } from 'interface-store'
import type { CID } from 'multiformats/cid'
import { concat, IoexError } from '../base/index.ts'
import { blockTooLarge } from './failures.ts'
import { MAX_BLOCK_BYTES } from './limits.ts'
import type { Block, BlockStore } from './storage.ts'

/** What is taken from a source before the next barrier; the source waits meanwhile. */
const BATCH_BYTES = 4 * MAX_BLOCK_BYTES

/**
 * The store as Helia and bitswap want it (interface-blockstore 7). A missing block is a NotFoundError.
 * What is put here without a pin session is garbage for the next collection, so it is a cache. Deleting and
 * listing everything are refused: Helia's garbage collector must not run over this store, ours does.
 */
export function createHeliaBlockstore(blocks: BlockStore): Blockstore {
  return new HeliaBlockstore(blocks)
}

class HeliaBlockstore extends BaseBlockstore {
  readonly #blocks: BlockStore

  constructor(blocks: BlockStore) {
    super()
    this.#blocks = blocks
  }

  override async has(cid: CID): Promise<boolean> {
    return this.#blocks.has(cid)
  }

  override async put(cid: CID, bytes: InputPair['bytes']): Promise<CID> {
    await this.#blocks.put(cid, await collected(bytes))
    return cid
  }

  override async *putMany(
    source: Iterable<InputPair> | AsyncIterable<InputPair>,
  ): AsyncGenerator<CID> {
    let batch: Block[] = []
    let weight = 0
    for await (const { cid, bytes } of source) {
      const block = { cid, bytes: await collected(bytes) }
      batch.push(block)
      weight += block.bytes.byteLength
      if (weight < BATCH_BYTES) continue
      await this.#blocks.putMany(batch)
      yield* batch.map((each) => each.cid)
      batch = []
      weight = 0
    }
    await this.#blocks.putMany(batch)
    yield* batch.map((each) => each.cid)
  }

  override async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const bytes = await this.#blocks.get(cid)
    if (bytes === undefined) throw new NotFoundError(`${cid.toString()} is not here`)
    yield bytes
  }

  override async delete(cid: CID): Promise<void> {
    throw refusedHere(`deleting ${cid.toString()}`)
  }

  override getAll(): never {
    throw refusedHere('listing every block')
  }
}

function refusedHere(what: string): IoexError {
  return new IoexError('not-by-helia', `${what} is not done through Helia's blockstore`, {
    blame: 'caller',
    fix: 'Take pins away and call collectGarbage() of the storage.',
  })
}

async function collected(bytes: InputPair['bytes']): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of bytes) {
    length += part.byteLength
    if (length > MAX_BLOCK_BYTES) throw blockTooLarge(length, MAX_BLOCK_BYTES)
    parts.push(part)
  }
  return concat(parts)
}
