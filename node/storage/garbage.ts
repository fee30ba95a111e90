import { codeOf, type Log } from '../base/index.ts'
import type { IndexedBlocks } from './block-store.ts'
import { TABLE_SHARDS } from './digest-table.ts'
import {
  COPY_BATCH_BYTES,
  DEAD_PART_ALLOWED,
  DEAD_PART_OF_SEGMENT,
  MAX_SMALL_SEGMENTS,
  SMALL_SEGMENT_PART,
} from './limits.ts'
import type { LivePins } from './pin-set.ts'
import { recordBytes, SEGMENT_HEADER_BYTES } from './segment-format.ts'
import type { Location, Segments } from './segments.ts'
import type { GarbageReport } from './storage.ts'

interface Needs {
  readonly blocks: IndexedBlocks
  readonly pins: LivePins
  readonly segments: Segments
  readonly log: Log
}

interface Weighed {
  readonly id: number
  readonly open: boolean
  readonly bytes: number
  readonly dead: number
}

/**
 * Mark, sweep, compact, beside readers and writers. A new generation begins first: every block that is stored
 * or held from then on is marked in the same tick, so the marks can only err on the side of keeping. Sweeping
 * takes blocks out of the index; only then are files rewritten, and a file goes only after its live blocks
 * are durable elsewhere. A crash at any point leaves at worst garbage, or a block twice.
 */
export async function collectGarbage(
  needs: Needs,
  options: { readonly segmentBytes: number; readonly signal: AbortSignal },
): Promise<GarbageReport> {
  const { blocks, pins } = needs
  const { signal } = options
  signal.throwIfAborted()
  blocks.newGeneration()
  await pins.dropExpired()
  await pins.eachLive((digest) => blocks.mark(digest), signal)

  let deletedBlocks = 0
  let freedBytes = 0
  const stale = new Set<number>()
  for (let shard = 0; shard < TABLE_SHARDS; shard++) {
    blocks.sweepShard(shard, ({ segment, length }) => {
      deletedBlocks++
      freedBytes += recordBytes(length)
      stale.add(segment)
    })
    await breathe(signal)
  }
  await compact(needs, stale, options)
  return { deletedBlocks, freedBytes, liveBlocks: blocks.count }
}

async function compact(
  needs: Needs,
  stale: Set<number>,
  options: { readonly segmentBytes: number; readonly signal: AbortSignal },
): Promise<void> {
  const { segments, log } = needs
  const { signal } = options
  const weighed = await weigh(needs, signal)
  const victims = chooseVictims(weighed, options.segmentBytes)
  try {
    if (victims.some(({ open }) => open)) await segments.seal()
    for (const { id } of victims) {
      signal.throwIfAborted()
      await rewrite(needs, id, signal)
      stale.delete(id)
    }
    const sealed = new Set(segments.list().flatMap(({ id, open }) => (open ? [] : [id])))
    for (const id of stale) {
      signal.throwIfAborted()
      if (sealed.has(id)) await refreshIndex(needs, id)
    }
  } catch (thrown) {
    if (codeOf(thrown) !== 'disk-full') throw thrown
    log.warn(
      { error: thrown },
      'the disk is too full to rewrite segments; whole dead ones were deleted, the rest waits',
    )
  }
}

async function weigh({ blocks, segments }: Needs, signal: AbortSignal): Promise<Weighed[]> {
  // Listed first: what is appended meanwhile then counts as alive, never as dead.
  const listed = segments.list()
  const live = new Map<number, number>()
  for (let shard = 0; shard < TABLE_SHARDS; shard++) {
    blocks.visitShard(shard, (_, { segment, length }) => {
      live.set(segment, (live.get(segment) ?? 0) + recordBytes(length))
    })
    await breathe(signal)
  }
  return listed.map(({ id, length, open }) => {
    const bytes = length - SEGMENT_HEADER_BYTES
    return { id, open, bytes, dead: Math.max(0, bytes - (live.get(id) ?? 0)) }
  })
}

/** Dead ones first: they free space before anything has to be copied. */
function chooseVictims(weighed: readonly Weighed[], segmentBytes: number): Weighed[] {
  const partDead = ({ bytes, dead }: Weighed) => (bytes === 0 ? 1 : dead / bytes)
  const total = weighed.reduce((sum, { bytes }) => sum + bytes, 0)
  let dead = weighed.reduce((sum, segment) => sum + segment.dead, 0)
  const allowed = (total - dead) * (DEAD_PART_ALLOWED / (1 - DEAD_PART_ALLOWED))
  const victims: Weighed[] = []
  const others: Weighed[] = []
  for (const segment of weighed.toSorted((a, b) => partDead(b) - partDead(a))) {
    const isVictim =
      partDead(segment) >= DEAD_PART_OF_SEGMENT || (segment.dead > 0 && dead > allowed)
    if (!isVictim) others.push(segment)
    else {
      victims.push(segment)
      dead -= segment.dead
    }
  }
  const small = others.filter(
    ({ open, bytes }) => !open && bytes < segmentBytes * SMALL_SEGMENT_PART,
  )
  return small.length > MAX_SMALL_SEGMENTS ? [...victims, ...small] : victims
}

/** Copies what is alive forward, durably, and then deletes the segment. */
async function rewrite(needs: Needs, id: number, signal: AbortSignal): Promise<void> {
  const { blocks, segments, log } = needs
  const entries = await segments.entries(id)
  const placeOf = (entry: { readonly offset: number; readonly length: number }): Location => ({
    segment: id,
    offset: entry.offset,
    length: entry.length,
  })
  let batch: { digest: Uint8Array; from: Location }[] = []
  let bytes = 0
  for (const entry of entries) {
    if (!blocks.isAt(entry.digest, placeOf(entry))) continue
    batch.push({ digest: entry.digest, from: placeOf(entry) })
    bytes += recordBytes(entry.length)
    if (bytes < COPY_BATCH_BYTES) continue
    signal.throwIfAborted()
    await blocks.relocate(batch)
    batch = []
    bytes = 0
  }
  await blocks.relocate(batch)
  if (entries.some((entry) => blocks.isAt(entry.digest, placeOf(entry)))) {
    log.error({ segment: id }, 'a segment still holds live blocks and is kept')
    return
  }
  await segments.remove(id)
}

/** So that what was swept does not come back as garbage at the next start. */
async function refreshIndex({ blocks, segments }: Needs, id: number): Promise<void> {
  const entries = await segments.entries(id)
  const alive = entries.filter(({ digest, offset, length }) =>
    blocks.isAt(digest, { segment: id, offset, length }),
  )
  await segments.writeIndex(id, alive)
}

async function breathe(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  await new Promise<void>((resume) => setImmediate(resume))
}
