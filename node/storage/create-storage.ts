import { join } from 'node:path'
import { accepted, type Clock, type Log, refused, stopAll } from '../base/index.ts'
import { createBlockStore, type IndexedBlocks } from './block-store.ts'
import { createClosures } from './closures.ts'
import { type Collector, createCollector } from './collector.ts'
import { openDatabase } from './database.ts'
import { storageStopped } from './failures.ts'
import { type FileLayer, systemFiles, withStorageErrors } from './file-layer.ts'
import { createHints, type WrittenBehind } from './hints.ts'
import {
  DISK_HEADROOM_BYTES,
  MAX_QUOTA_BYTES,
  SEGMENT_MAX_BYTES,
  SEGMENT_MIN_BYTES,
  SEGMENTS_PER_QUOTA,
} from './limits.ts'
import { createPinSet, type LivePins } from './pin-set.ts'
import { createPinTable } from './pin-table.ts'
import { createRecords, createTransaction } from './records.ts'
import { createSegments, type Segments } from './segments.ts'
import type { Records, Storage, StorageOptions } from './storage.ts'

export interface StorageNeeds {
  readonly clock: Clock
  readonly log: Log
  /** The disk; the system's when left out. */
  readonly files?: FileLayer
}

interface Running {
  readonly segments: Segments
  readonly blocks: IndexedBlocks
  readonly pins: LivePins
  readonly collector: Collector
  readonly records: Records
  readonly hints: WrittenBehind
  readonly closeDatabase: () => void
}

export function createStorage(needs: StorageNeeds, options: StorageOptions): Storage {
  checkOptions(options)
  const { clock, log } = needs
  const files = withStorageErrors(needs.files ?? systemFiles)
  const { folder, quotaBytes } = options
  const segmentBytes =
    options.segmentBytes ??
    Math.min(SEGMENT_MAX_BYTES, Math.max(SEGMENT_MIN_BYTES, quotaBytes / SEGMENTS_PER_QUOTA))
  let running: Running | undefined

  const now = (): Running => {
    if (running === undefined) throw storageStopped()
    return running
  }

  let lastChange: Promise<unknown> = Promise.resolve()

  /** Starting and stopping wait for one another. */
  const inTurn = async (run: () => Promise<void>): Promise<void> => {
    const before = lastChange
    const turn = (async () => {
      await Promise.allSettled([before])
      await run()
    })()
    lastChange = turn
    await turn
  }

  const start = async () => {
    if (running !== undefined) return
    await files.makeFolder(folder)
    const { db, close: closeDatabase } = openDatabase(folder)
    const segments = createSegments(
      { files, log },
      { folder: join(folder, 'blocks'), segmentBytes },
    )
    const closures = createClosures(files, join(folder, 'closures'))
    const makeRoom = () => collector.makeRoom()
    const blocks = createBlockStore({ segments, log, makeRoom }, { quotaBytes })
    const transaction = createTransaction(db)
    const table = createPinTable(db, transaction)
    const pins = createPinSet(
      { blocks, closures, table, files, clock, log },
      { folder: join(folder, 'sessions') },
    )
    const collector = createCollector({ blocks, pins, segments, clock, log }, { segmentBytes })
    try {
      await blocks.load()
      await pins.load()
      await files.syncFolder(folder)
    } catch (thrown) {
      await stopAll([
        { stop: pins.close },
        { stop: segments.close },
        { stop: async () => closeDatabase() },
      ])
      throw thrown
    }
    const records = createRecords(db, transaction)
    const hints = createHints({ records, clock, log })
    running = { segments, blocks, pins, collector, records, hints, closeDatabase }
    collector.start()
  }

  const stop = async () => {
    if (running === undefined) return
    const { blocks, pins, segments, collector, hints, closeDatabase } = running
    running = undefined
    await stopAll([
      collector,
      { stop: () => blocks.idle() },
      { stop: () => pins.close() },
      { stop: () => segments.close() },
      { stop: async () => hints.close() },
      { stop: async () => closeDatabase() },
    ])
  }

  return {
    start: () => inTurn(start),
    stop: () => inTurn(stop),
    blocks: {
      has: async (cid) => now().blocks.has(cid),
      get: async (cid) => now().blocks.get(cid),
      getHeld: async (cid) => now().blocks.getHeld(cid),
      put: async (cid, bytes) => {
        const { blocks, collector } = now()
        await blocks.put(cid, bytes)
        collector.looseWrite()
      },
      putMany: async (many) => {
        const { blocks, collector } = now()
        await blocks.putMany(many)
        collector.looseWrite()
      },
      get usedBytes() {
        return now().blocks.usedBytes
      },
      quotaBytes,
    },
    pins: {
      open: async (root) => now().pins.open(root),
      share: async (root, owner) => now().pins.share(root, owner),
      remove: async (root, owner) => now().pins.remove(root, owner),
      get: async (root) => now().pins.get(root),
      list: () => now().pins.list(),
      contains: async (root, cid) => now().pins.contains(root, cid),
      blocks: (root) => now().pins.blocks(root),
    },
    records: {
      get: (table, key) => now().records.get(table, key),
      put: (table, key, value) => now().records.put(table, key, value),
      delete: (table, key) => now().records.delete(table, key),
      list: (table, prefix) => now().records.list(table, prefix),
      transaction: (run) => now().records.transaction(run),
    },
    hints: {
      get: (table, key) => now().hints.get(table, key),
      put: (table, key, value) => now().hints.put(table, key, value),
      delete: (table, key) => now().hints.delete(table, key),
      list: (table, prefix) => now().hints.list(table, prefix),
    },
    collectGarbage: async (collectOptions) => now().collector.collect(collectOptions?.signal),
    async reserve(bytes) {
      if (!Number.isSafeInteger(bytes) || bytes < 0)
        throw new RangeError(`${bytes} is not a number of bytes to reserve`)
      const fits = () => now().blocks.usedBytes + bytes <= quotaBytes
      const onDisk = async () =>
        (await files.freeBytes(folder)) >= bytes + segmentBytes + DISK_HEADROOM_BYTES
      if (bytes > quotaBytes) return refused('quota-exceeded')
      if (fits() && (await onDisk())) return accepted(undefined)
      await now().collector.collectIfUseful()
      if (!fits()) return refused('quota-exceeded')
      return (await onDisk()) ? accepted(undefined) : refused('disk-full')
    },
  }
}

function checkOptions({ folder, quotaBytes, segmentBytes }: StorageOptions): void {
  if (folder === '') throw new RangeError('the storage needs a folder')
  if (!Number.isSafeInteger(quotaBytes) || quotaBytes < 1 || quotaBytes > MAX_QUOTA_BYTES)
    throw new RangeError(
      `quotaBytes is ${quotaBytes}; give whole bytes from 1 to ${MAX_QUOTA_BYTES}`,
    )
  if (segmentBytes !== undefined && !(segmentBytes >= 1 && segmentBytes <= SEGMENT_MAX_BYTES))
    throw new RangeError(`segmentBytes is ${segmentBytes}; at most ${SEGMENT_MAX_BYTES}`)
}
