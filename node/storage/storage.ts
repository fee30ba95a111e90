/** The interfaces of the room; its story stands at the door. */
import type { CID } from 'multiformats/cid'
import type { AbortOptions, HeldBytes, Result, Startable } from '../base/index.ts'

export interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
  /** Whoever has just compared the bytes with the CID says so, and they are not hashed again. */
  readonly isVerified?: boolean
}

export interface BlockStore {
  has(cid: CID): Promise<boolean>
  /** Undefined when it is not here (or was damaged on disk and has been dropped). */
  get(cid: CID): Promise<Uint8Array | undefined>
  /** As `get`, for whoever can tell when he is done with the bytes, and releases them. */
  getHeld(cid: CID): Promise<HeldBytes | undefined>
  /**
   * Resolves once the block is durable. Throws `block-mismatch` when the bytes are not those of the CID
   * (sha2-256 only), `quota-exceeded` (when collecting garbage did not help), `disk-full`. Storing what is there already costs nothing.
   */
  put(cid: CID, bytes: Uint8Array): Promise<void>
  /** As `put`, one durability barrier for all. */
  putMany(blocks: readonly Block[]): Promise<void>
  readonly usedBytes: number
  readonly quotaBytes: number
}

/** Who wants a root kept: the reason is part of the pin, and each owner pins and unpins for himself. */
export interface PinOwner {
  /** Such as `order:0x…`, `friend:16Uiu2…`, `drive`, `install`. */
  readonly owner: string
  /** Unix milliseconds; undefined: until removed. Expired pins are dropped by garbage collection. */
  readonly untilMs?: number
}

export interface Pin {
  readonly root: CID
  readonly owners: readonly PinOwner[]
  readonly blocks: number
  readonly bytes: number
}

/**
 * Blocks of one root on their way in. They are safe from garbage collection from `add` on, across restarts,
 * until the session is committed to a pin or dropped. Opening a session again for the same root goes on with it.
 * One that a crash left behind and that nobody opens for a week is dropped by garbage collection.
 */
export interface PinSession {
  readonly root: CID
  /** Stores (durably, as `BlockStore.putMany`) and counts the blocks to the root's closure. Idempotent. */
  add(blocks: readonly Block[]): Promise<void>
  /** Counts a block that is in the store already; false when it is not. */
  adopt(cid: CID): Promise<boolean>
  /**
   * Makes the closure durable, then the pin. The session ends. `root` names the pin when it was not known
   * at the start (a release that is being packed opens its session under any CID of its own).
   */
  commit(owner: PinOwner, root?: CID): Promise<Pin>
  /** Forgets the session; its blocks become garbage unless something else names them. */
  drop(): Promise<void>
}

export interface PinSet {
  open(root: CID): Promise<PinSession>
  /** Adds an owner to a root that is pinned already; false when it is not. */
  share(root: CID, owner: PinOwner): Promise<boolean>
  /** Takes one owner away; the pin goes with its last one. False when there was none. */
  remove(root: CID, owner: string): Promise<boolean>
  get(root: CID): Promise<Pin | undefined>
  list(): AsyncIterable<Pin>
  /** Is this block part of that pinned root? Costs a binary search in the root's closure file. */
  contains(root: CID, cid: CID): Promise<boolean>
  /** Every block of a pinned root, in no particular order. */
  blocks(root: CID): AsyncIterable<CID>
}

/** Small durable values (friends, pin orders, cursors). SQLite in WAL mode, synchronous=FULL; at most 64 KiB each. */
export interface Records {
  get(table: string, key: string): Uint8Array | undefined
  put(table: string, key: string, value: Uint8Array): void
  delete(table: string, key: string): void
  /** In key order; those whose key begins with `prefix`. */
  list(
    table: string,
    prefix?: string,
  ): Iterable<{ readonly key: string; readonly value: Uint8Array }>
  /** All or nothing. */
  transaction<T>(run: () => T): T
}

/**
 * Records that nobody was promised: they are written some seconds later, many in one transaction, and a crash
 * loses those that were not. Reading sees them at once. A key belongs here or to the durable records, never to both.
 */
export type Hints = Pick<Records, 'get' | 'put' | 'delete' | 'list'>

export interface GarbageReport {
  readonly deletedBlocks: number
  readonly freedBytes: number
  readonly liveBlocks: number
}

export interface Storage extends Startable {
  readonly blocks: BlockStore
  readonly pins: PinSet
  readonly records: Records
  readonly hints: Hints
  /**
   * Deletes what no pin and no open session names. Others may read and write meanwhile. Crash-safe at any point.
   * It happens by itself; this is for whoever wants the room at once, or to know how much it is.
   */
  collectGarbage(options?: AbortOptions): Promise<GarbageReport>
  /** Room for this many more bytes, or why not. Collects garbage first when that may help. */
  reserve(bytes: number): Promise<Result<void, 'quota-exceeded' | 'disk-full'>>
}

export interface StorageOptions {
  /** The folder; made when missing. One process at a time: a second one gets `storage-in-use`. */
  readonly folder: string
  /** Counts blocks with 44 bytes each; the disk needs a seventh and two segments more. */
  readonly quotaBytes: number
  /** Size at which a file of blocks is ended; a sixteenth of the quota within 4 and 64 MiB when left out. */
  readonly segmentBytes?: number
}

export type StorageErrorCode =
  | 'block-mismatch'
  | 'block-too-large'
  | 'quota-exceeded'
  | 'disk-full'
  | 'storage-in-use'
  | 'storage-damaged'
  | 'storage-stopped'
  | 'session-ended'
  | 'record-too-large'
  | 'record-malformed'
