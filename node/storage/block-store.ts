import { equalBytes, type HeldBytes, type Log } from '../base/index.ts'
import { digestOf, sha256, textKey } from './digest.ts'
import { createDigestTable, type DigestTable } from './digest-table.ts'
import { blockMismatch, blockTooLarge, quotaExceeded } from './failures.ts'
import { createGroupCommit } from './group-commit.ts'
import { GROUP_MAX_BYTES, HASH_TURN_BYTES, MAX_BLOCK_BYTES } from './limits.ts'
import { recordBytes } from './segment-format.ts'
import type { Location, Segments } from './segments.ts'
import type { Block, BlockStore } from './storage.ts'

/** Called in the very tick in which the block is in the index, so that no collection can come in between. */
type Stored = (digest: Uint8Array, codec: number) => void

/** What the rest of the room needs beyond the door's `BlockStore`. */
export interface IndexedBlocks extends BlockStore {
  load(): Promise<void>
  store(blocks: readonly Block[], stored: Stored): Promise<void>
  /** False when the block is not here. Waits for one on its way. A running collection spares it. */
  hold(digest: Uint8Array, held: () => void): Promise<boolean>
  lengthOf(digest: Uint8Array): number | undefined
  /** Begins a new generation: what is not marked or stored from now on is garbage for `sweepShard`. */
  newGeneration(): void
  mark(digest: Uint8Array): boolean
  /** Drops the unmarked blocks of one shard from the index; `dropped` hears from which segments. */
  sweepShard(shard: number, dropped: (location: Location) => void): void
  isAt(digest: Uint8Array, location: Location): boolean
  /** Where the blocks of a shard are. */
  visitShard(shard: number, entry: (digest: Uint8Array, location: Location) => void): void
  /** Copies blocks to the open segment, durably; those that are gone or damaged are left out. */
  relocate(blocks: readonly { digest: Uint8Array; from: Location }[]): Promise<void>
  readonly count: number
  idle(): Promise<void>
}

interface Write {
  readonly digest: Uint8Array
  readonly bytes: Uint8Array
  /** The place it is copied from by garbage collection; undefined for a new block. */
  readonly from: Location | undefined
  readonly stored: (() => void)[]
}

interface Arriving {
  readonly write: Write
  durable: Promise<void>
}

const GENERATIONS = 256

interface Needs {
  readonly segments: Segments
  readonly log: Log
  /** Waited for when something does not fit. */
  readonly makeRoom: () => Promise<void>
}

export function createBlockStore(
  needs: Needs,
  options: { readonly quotaBytes: number },
): IndexedBlocks {
  const { segments, log } = needs
  const { quotaBytes } = options
  const index: DigestTable = createDigestTable(3)
  const arriving = new Map<string, Arriving>()
  let generation = 0
  let usedBytes = 0
  let arrivingBytes = 0

  const locationOf = (digest: Uint8Array): Location | undefined => {
    const words = index.words(digest)
    if (words === undefined) return undefined
    const [segment = 0, offset = 0, length = 0] = words
    return { segment, offset, length }
  }
  const isAt = (digest: Uint8Array, place: Location) => {
    const now = locationOf(digest)
    return now !== undefined && now.segment === place.segment && now.offset === place.offset
  }
  const enter = (digest: Uint8Array, { segment, offset, length }: Location) => {
    index.set(digest, [segment, offset, length], generation)
  }
  const drop = (digest: Uint8Array, length: number) => {
    if (index.delete(digest)) usedBytes -= recordBytes(length)
  }

  const commit = createGroupCommit<Write>({
    maxWeight: GROUP_MAX_BYTES,
    weigh: ({ bytes }) => recordBytes(bytes.byteLength),
    write: (items) =>
      segments.append(items, (at, location) => {
        const { digest, from, stored } = items[at] as Write
        if (from !== undefined) {
          if (isAt(digest, from)) enter(digest, location)
          return
        }
        if (!index.has(digest)) usedBytes += recordBytes(location.length)
        enter(digest, location)
        for (const tell of stored) tell()
      }),
  })

  const check = async (blocks: readonly Block[]): Promise<Uint8Array[]> => {
    let hashed = 0
    const digests: Uint8Array[] = []
    for (const { cid, bytes, isVerified } of blocks) {
      const digest = digestOf(cid)
      if (digest === undefined)
        throw blockMismatch(`${cid.toString()} is not a CID with a sha2-256 multihash`)
      if (bytes.byteLength > MAX_BLOCK_BYTES) throw blockTooLarge(bytes.byteLength, MAX_BLOCK_BYTES)
      digests.push(digest)
      if (isVerified === true) continue
      if (!equalBytes(sha256(bytes), digest))
        throw blockMismatch(`the ${bytes.byteLength} bytes are not those of ${cid.toString()}`)
      hashed += bytes.byteLength
      if (hashed >= HASH_TURN_BYTES) {
        hashed = 0
        await new Promise<void>((resume) => setImmediate(resume))
      }
    }
    return digests
  }

  const fits = (bytes: number) => usedBytes + arrivingBytes + bytes <= quotaBytes
  /** Whether making room would help: looks at each block only when all of them together do not fit. */
  const needsRoom = (blocks: readonly Block[], digests: readonly Uint8Array[]): boolean => {
    if (fits(blocks.reduce((sum, { bytes }) => sum + recordBytes(bytes.byteLength), 0)))
      return false
    const missing = new Map<string, number>()
    blocks.forEach(({ bytes }, at) => {
      const digest = digests[at] as Uint8Array
      const key = textKey(digest)
      if (!index.has(digest) && !arriving.has(key)) missing.set(key, recordBytes(bytes.byteLength))
    })
    const bytes = missing.values().reduce((sum, each) => sum + each, 0)
    return bytes > 0 && bytes <= quotaBytes && !fits(bytes)
  }

  const store = async (blocks: readonly Block[], stored: Stored): Promise<void> => {
    const digests = await check(blocks)
    if (needsRoom(blocks, digests)) await needs.makeRoom()
    const fresh = new Map<string, Write>()
    const waits: Promise<void>[] = []
    const known: (() => void)[] = []
    let wanted = 0
    blocks.forEach(({ cid, bytes }, at) => {
      const digest = digests[at] as Uint8Array
      const key = textKey(digest)
      const tell = () => stored(digest, cid.code)
      const other = arriving.get(key)
      if (index.mark(digest, generation)) known.push(tell)
      else if (other !== undefined) {
        other.write.stored.push(tell)
        waits.push(other.durable)
      } else {
        const twice = fresh.get(key)
        if (twice !== undefined) twice.stored.push(tell)
        else {
          fresh.set(key, { digest, bytes, from: undefined, stored: [tell] })
          wanted += recordBytes(bytes.byteLength)
        }
      }
    })
    if (fresh.size > 0 && !fits(wanted))
      throw quotaExceeded(wanted, usedBytes + arrivingBytes, quotaBytes)
    for (const tell of known) tell()
    arrivingBytes += wanted
    const durable = commit.submit([...fresh.values()])
    for (const [key, write] of fresh) arriving.set(key, { write, durable })
    try {
      await durable
    } finally {
      arrivingBytes -= wanted
      for (const key of fresh.keys()) arriving.delete(key)
    }
    await Promise.all(waits)
  }

  /** Reads and compares; a damaged block is dropped from the index, so that it counts as missing. */
  const readSound = async (digest: Uint8Array): Promise<HeldBytes | undefined> => {
    for (;;) {
      const place = locationOf(digest)
      if (place === undefined) return undefined
      const held = await segments.read(place)
      const bytes = held?.bytes
      if (bytes?.byteLength === place.length && equalBytes(sha256(bytes), digest)) return held
      held?.release()
      // Garbage collection may have moved it between the look-up and the read.
      if (!isAt(digest, place)) continue
      log.error(
        { digest: digest.toHex(), segment: place.segment, offset: place.offset },
        'a block is damaged on disk and counts as missing from now on',
      )
      drop(digest, place.length)
      return undefined
    }
  }

  return {
    get usedBytes() {
      return usedBytes
    },
    get quotaBytes() {
      return quotaBytes
    },
    get count() {
      return index.size
    },
    load: () =>
      segments.load((segment, { digest, offset, length }) => {
        if (index.has(digest)) return
        usedBytes += recordBytes(length)
        enter(digest, { segment, offset, length })
      }),
    async has(cid) {
      const digest = digestOf(cid)
      return digest !== undefined && index.has(digest)
    },
    async get(cid) {
      const digest = digestOf(cid)
      return digest === undefined ? undefined : (await readSound(digest))?.keep()
    },
    async getHeld(cid) {
      const digest = digestOf(cid)
      return digest === undefined ? undefined : readSound(digest)
    },
    put: (cid, bytes) => store([{ cid, bytes }], () => undefined),
    putMany: (blocks) => store(blocks, () => undefined),
    store,
    async hold(digest, held) {
      const other = arriving.get(textKey(digest))
      if (other !== undefined && !index.has(digest))
        await other.durable.catch((thrown: unknown) => {
          log.debug({ error: thrown }, 'a block that was waited for did not arrive')
        })
      if (!index.mark(digest, generation)) return false
      held()
      return true
    },
    lengthOf: (digest) => index.words(digest)?.[2],
    newGeneration() {
      generation = (generation + 1) % GENERATIONS
    },
    mark: (digest) => index.mark(digest, generation),
    sweepShard(shard, dropped) {
      const dead: { digest: Uint8Array; location: Location }[] = []
      index.visit(shard, (digest, [segment = 0, offset = 0, length = 0], mark) => {
        if (mark !== generation)
          dead.push({ digest: digest.slice(), location: { segment, offset, length } })
      })
      for (const { digest, location } of dead) {
        drop(digest, location.length)
        dropped(location)
      }
    },
    isAt,
    visitShard(shard, entry) {
      index.visit(shard, (digest, [segment = 0, offset = 0, length = 0]) =>
        entry(digest, { segment, offset, length }),
      )
    },
    async relocate(blocks) {
      const writes: Write[] = []
      for (const { digest, from } of blocks) {
        if (!isAt(digest, from)) continue
        const held = await readSound(digest)
        if (held !== undefined) writes.push({ digest, bytes: held.keep(), from, stored: [] })
      }
      await commit.submit(writes)
    },
    idle: () => commit.idle(),
  }
}
