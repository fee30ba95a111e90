/**
 * What a node keeps on disk: sealed blocks under their CIDs, the pin set that says which of them must stay,
 * and small records. Blocks live in append-only segment files with an index; writes are made durable in
 * groups (fdatasync), so that `put` means "survives a power cut" and yet costs little. Every block is
 * checked against its CID when it is written and when it is read; a damaged one is reported as missing.
 * Whoever stores must say how much: there is no unbounded store. Garbage collection never runs beside the
 * truth: live is what the closure of a pin or an open session names, and closures are durable before the
 * pin is (`helia.pins` and its gc lose data, see test/interop). What is put without a session is a cache:
 * it goes with the next collection. Nobody has to ask for one: a store that is running collects once pins or
 * sessions have gone, at a distance (limits.ts); when it is nearly full; and before it refuses a block for want of room.
 *
 * | in the folder | what it is | after a crash |
 * | --- | --- | --- |
 * | `blocks/*.seg` | records `{length, digest, bytes}`, appended | the last one is scanned, a torn tail is cut |
 * | `blocks/*.idx` | where the live blocks of a full segment are | made again from the segment if it is missing |
 * | `closures/*` | the blocks of one pin, ascending by digest | one that no pin names is deleted |
 * | `sessions/*` | the blocks of a root on its way in, appended | the session goes on |
 * | `records.sqlite` | pins, their owners, records; also the lock of the folder | SQLite's log; the newest hints are gone |
 *
 * Blocks are found by digest alone, under any codec. In memory the index takes 58 to 86 bytes per block and an
 * open session 48 to 71 bytes per block. The quota counts blocks and 44 bytes for each. Deleted blocks give
 * their space back segment by segment: the disk holds at most 8/7 of what is used, the segment that is being
 * written and the one that is being rewritten (a sixteenth of the quota, at most 64 MiB, each).
 */
export { createStorage, type StorageNeeds } from './create-storage.ts'
export { createDatastore } from './datastore.ts'
export { type FileLayer, type StoredFile, systemFiles } from './file-layer.ts'
export { createHeliaBlockstore } from './helia-blockstore.ts'
export { MAX_BLOCK_BYTES, MAX_RECORD_BYTES } from './limits.ts'
export type {
  Block,
  BlockStore,
  GarbageReport,
  Hints,
  Pin,
  PinOwner,
  PinSession,
  PinSet,
  Records,
  Storage,
  StorageErrorCode,
  StorageOptions,
} from './storage.ts'
