import { hash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { utf8 } from '../base/index.ts'
import type { GetBlock } from '../chunks/index.ts'
import type { Exchange, FetchSession, Source } from '../exchange/index.ts'
import type { PinSession, Storage } from '../storage/index.ts'
import { RESTORE_HELD_MAX_BYTES, RESTORE_HELD_QUOTA_PART } from './limits.ts'

const SHA2_256 = 0x12
const RAW = 0x55

export interface BlockSource {
  readonly get: GetBlock
  fetchedBytes(): number
  /** Forgets the blocks, when all is written. */
  letGo(): Promise<void>
  /** Ends the fetching; blocks that came are still there when the restore is taken up again. */
  close(): Promise<void>
}

interface Part {
  readonly slot: number
  readonly pin: PinSession
  readonly session: FetchSession
  bytes: number
  inFlight: number
}

/**
 * The blocks of a snapshot from its peers. They are held in parts: when one is full the next is begun, and the
 * full one let go of, so that a backup larger than this node's disk for blocks can be restored. What was
 * written is never fetched again, so an interruption costs one part at most.
 */
export async function openBlockSource(
  root: CID,
  sources: readonly Source[],
  needs: { readonly storage: Storage; readonly exchange: Pick<Exchange, 'openSession'> },
): Promise<BlockSource> {
  const { storage, exchange } = needs
  const partBytes = Math.min(
    RESTORE_HELD_MAX_BYTES,
    Math.floor(storage.blocks.quotaBytes / RESTORE_HELD_QUOTA_PART),
  )
  let fetchedBefore = 0
  let retiring: Part | undefined
  let turning: Promise<void> | undefined
  const ending = new Set<Promise<void>>()

  const open = async (slot: number): Promise<Part> => {
    const pin = await storage.pins.open(nameOf(root, slot))
    const session = exchange.openSession({ root, sources, pin })
    return { slot, pin, session, bytes: 0, inFlight: 0 }
  }
  let current = await open(0)

  const turn = async () => {
    const next = await open(1 - current.slot)
    retiring = current
    current = next
    if (retiring.inFlight === 0) retire(retiring)
  }
  const retire = (part: Part) => {
    const work = end(part).finally(() => ending.delete(work))
    ending.add(work)
    // Whoever closes hears of it.
    work.catch(() => undefined)
  }
  const end = async (part: Part) => {
    await part.session.close()
    fetchedBefore += part.session.report().fetchedBytes
    await part.pin.drop()
    await storage.reserve(partBytes)
    retiring = undefined
  }
  return {
    async get(cid, options) {
      if (current.bytes >= partBytes && retiring === undefined) {
        turning ??= turn().finally(() => {
          turning = undefined
        })
        await turning
      }
      const mine = current
      mine.inFlight++
      try {
        const bytes = await mine.session.get(cid, options)
        mine.bytes += bytes.byteLength
        return bytes
      } finally {
        mine.inFlight--
        if (mine === retiring && mine.inFlight === 0) retire(mine)
      }
    },
    fetchedBytes: () => fetchedBefore + current.session.report().fetchedBytes,
    async letGo() {
      await current.session.close()
      await current.pin.drop()
    },
    async close() {
      await Promise.all(ending)
      await retiring?.session.close()
      await current.session.close()
    },
  }
}

/** A name for what is held, of which there can be two for one root. */
function nameOf(root: CID, slot: number): CID {
  const name = utf8(`ioex/drive/restore/${root.toString()}/${slot}`)
  return CID.createV1(RAW, createDigest(SHA2_256, new Uint8Array(hash('sha256', name, 'buffer'))))
}
