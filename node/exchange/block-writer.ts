import type { CID } from 'multiformats/cid'
import { asError } from '../base/index.ts'
import type { PinSession } from '../storage/index.ts'
import { createBell } from './bell.ts'
import { BATCHES_IN_FLIGHT, MAX_BATCH_BYTES, MAX_UNWRITTEN_BYTES } from './limits.ts'

/** Verified blocks on their way to the disk, in batches that share a barrier. */
export interface BlockWriter {
  /** The bytes are those of the CID. `durable` is called once the block is; never when writing failed. */
  add(cid: CID, bytes: Uint8Array, durable: () => void): void
  /** Resolves when there is room for more: whoever reads from a stream waits for it. */
  room(signal?: AbortSignal): Promise<void>
  /** Resolves when everything is written. */
  idle(): Promise<void>
}

interface Pending {
  readonly cid: CID
  readonly bytes: Uint8Array
  readonly isVerified: true
  readonly durable: () => void
}

export function createBlockWriter(pin: PinSession, failed: (error: Error) => void): BlockWriter {
  const waiting: Pending[] = []
  const bell = createBell()
  let unwrittenBytes = 0
  let inFlight = 0

  const nextBatch = (): Pending[] => {
    let bytes = 0
    let count = 0
    for (const { bytes: block } of waiting) {
      if (count > 0 && bytes + block.byteLength > MAX_BATCH_BYTES) break
      bytes += block.byteLength
      count++
    }
    return waiting.splice(0, count)
  }
  const write = async (batch: readonly Pending[]) => {
    try {
      await pin.add(batch)
      for (const { durable } of batch) durable()
    } catch (thrown) {
      failed(asError(thrown))
    } finally {
      inFlight--
      for (const { bytes } of batch) unwrittenBytes -= bytes.byteLength
      bell.ring()
      pump()
    }
  }
  const pump = () => {
    while (waiting.length > 0 && inFlight < BATCHES_IN_FLIGHT) {
      inFlight++
      void write(nextBatch())
    }
  }
  return {
    add(cid, bytes, durable) {
      waiting.push({ cid, bytes, isVerified: true, durable })
      unwrittenBytes += bytes.byteLength
      pump()
    },
    async room(signal) {
      while (unwrittenBytes >= MAX_UNWRITTEN_BYTES) await bell.next(signal)
    },
    async idle() {
      while (inFlight > 0 || waiting.length > 0) await bell.next()
    },
  }
}
