import { accepted, type AbortOptions, type Clock, type Log } from '../base/index.ts'
import { type Random, refused, type Result } from '../base/index.ts'
import type { Exchange } from '../exchange/index.ts'
import type { Friends } from '../friends/index.ts'
import type { Identity } from '../identity/index.ts'
import type { Network } from '../network/index.ts'
import type { PinSession, Storage } from '../storage/index.ts'
import { type Catalog, loadCatalog, sourcesOf } from './catalog.ts'
import { checkPeers } from './check.ts'
import { keepHeads } from './keeping.ts'
import { deriveDriveKeys } from './keys.ts'
import { CATALOG_MAX_SNAPSHOTS } from './limits.ts'
import { takeSnapshot } from './push.ts'
import { openBlockSource } from './restore-blocks.ts'
import { restoreInto } from './restore.ts'
import { type CatalogEntry, openSnapshotRoot } from './snapshot.ts'
import { candidates, present, publish, storeAt, type StoringNeeds } from './storing.ts'
import { createTurns } from './turns.ts'
import type {
  CheckReport,
  Drive,
  DriveRefusal,
  PeerOutcome,
  PruneReport,
  PushOptions,
  PushReport,
  RestoreOptions,
  RestoreReport,
  Snapshot,
} from './types.ts'
import { pendingUnpins } from './unpins.ts'

export interface DriveNeeds {
  readonly identity: Identity
  readonly storage: Storage
  readonly network: Pick<Network, 'handle' | 'unhandle' | 'open' | 'putRecord' | 'getRecord'>
  readonly friends: Pick<Friends, 'list' | 'add'>
  readonly exchange: Pick<Exchange, 'openSession' | 'askToPin' | 'askToUnpin'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

interface Parts extends StoringNeeds {
  readonly storage: Storage
  readonly unfinished: Map<string, PinSession>
}

/** The drive of this node's identity; answers friends that keep theirs here from the moment it is made. */
export async function createDrive(needs: DriveNeeds): Promise<Drive> {
  const keys = deriveDriveKeys(needs.identity.driveSecret)
  const parts: Parts = { ...needs, keys, unfinished: new Map() }
  const turns = createTurns()
  const stopKeeping = await keepHeads(parts)
  let stopped: Promise<void> | undefined
  return {
    push: (folder, options = {}) =>
      turns.runAlone(options.signal, (signal) => push(folder, { ...options, signal }, parts)),
    list: (options = {}) =>
      turns.run(options.signal, async (signal) => {
        const catalog = await existing(parts, { signal })
        return catalog.ok ? accepted(catalog.value.snapshots.map(withoutKey).reverse()) : catalog
      }),
    restore: (id, destination, options = {}) =>
      turns.run(options.signal, (signal) =>
        restore(id, destination, { ...options, signal }, parts),
      ),
    check: (options = {}) =>
      turns.run(options.signal, (signal) => check({ ...options, signal }, parts)),
    prune: (keep, options = {}) =>
      turns.runAlone(options.signal, (signal) => prune(keep, { signal }, parts)),
    stop() {
      stopped ??= turns.stop().then(stopKeeping)
      return stopped
    },
  }
}

function withoutKey({ key: _, ...snapshot }: CatalogEntry): Snapshot {
  return snapshot
}

async function existing(
  parts: Parts,
  options: AbortOptions,
): Promise<Result<Catalog, 'drive-not-found' | 'peers-unreachable'>> {
  const loaded = await loadCatalog(parts, options)
  if (!loaded.ok) return loaded
  return loaded.value === undefined ? refused('drive-not-found') : accepted(loaded.value)
}

async function push(
  folder: string,
  options: PushOptions,
  parts: Parts,
): Promise<Result<PushReport, DriveRefusal>> {
  if (parts.friends.list().length === 0) return refused('no-peers')
  const loaded = await loadCatalog(parts, options)
  if (!loaded.ok) return loaded
  const before = loaded.value
  const peers = candidates(parts, before)
  const taken = await takeSnapshot(folder, parts, options, parts.clock)
  const stored = await storeAt(peers, taken.entry, options, parts)
  const keepers = stored.filter(({ outcome }) => outcome.stored).map(({ peer }) => peer)
  const { newBytes, omitted, omittedCount } = taken
  const snapshot = withoutKey(taken.entry)
  const facts = { snapshot, newBytes, omitted, omittedCount }
  if (keepers.length === 0) {
    // Nobody could give it back, so no list may name it; its blocks are found again until they are collected.
    await parts.storage.pins.remove(taken.entry.root, 'drive')
    const outcomes = stored.map(({ outcome }) => outcome)
    return accepted({ ...facts, peers: outcomes, enough: false, findable: false, forgotten: [] })
  }
  const all = [...(before?.snapshots ?? []), taken.entry]
  const forgotten = all.slice(0, -CATALOG_MAX_SNAPSHOTS)
  const spread = await publish(all.slice(forgotten.length), keepers, before, options, parts)
  const outcomes = stored.map(({ peer, outcome }): PeerOutcome => {
    const isKnown = spread.takers.some((taker) => taker.equals(peer))
    return isKnown || !outcome.stored ? outcome : { ...outcome, stored: false, reason: 'no-head' }
  })
  const copies = outcomes.filter((outcome) => outcome.stored).length
  return accepted({
    ...facts,
    peers: outcomes,
    enough: copies >= (options.copies ?? peers.length),
    findable: spread.inDht,
    forgotten: forgotten.map(withoutKey),
  })
}

async function restore(
  id: string,
  destination: string,
  options: RestoreOptions,
  parts: Parts,
): Promise<Result<RestoreReport, DriveRefusal>> {
  const catalog = await existing(parts, options)
  if (!catalog.ok) return catalog
  const { snapshots, peers } = catalog.value
  const entry = id === 'latest' ? snapshots.at(-1) : snapshots.find((one) => one.id === id)
  if (entry === undefined) return refused('snapshot-unknown')
  const blocks = await openBlockSource(entry.root, sourcesOf(peers, parts), parts)
  try {
    const index = openSnapshotRoot(await blocks.get(entry.root, options), entry.key)
    const done = await restoreInto(destination, index, blocks.get, {
      signal: options.signal,
      onProgress: ({ files, bytes }) =>
        options.onProgress?.({ files, bytes, totalFiles: entry.files, totalBytes: entry.bytes }),
    })
    await blocks.letGo()
    return accepted({
      snapshot: withoutKey(entry),
      ...done,
      fetchedBytes: blocks.fetchedBytes(),
    })
  } finally {
    await blocks.close()
  }
}

async function check(
  options: AbortOptions & { readonly share?: number },
  parts: Parts,
): Promise<Result<CheckReport, DriveRefusal>> {
  const catalog = await existing(parts, options)
  if (!catalog.ok) return catalog
  const newest = catalog.value.snapshots.at(-1)
  if (newest === undefined) return refused('snapshot-unknown')
  return accepted(await checkPeers(catalog.value, newest, options.share, parts, options))
}

async function prune(
  keep: number,
  options: AbortOptions,
  parts: Parts,
): Promise<Result<PruneReport, DriveRefusal>> {
  const catalog = await existing(parts, options)
  if (!catalog.ok) return catalog
  const before = catalog.value
  const kept = before.snapshots.slice(-Math.max(1, Math.floor(keep)))
  const removed = before.snapshots.slice(0, before.snapshots.length - kept.length)
  const friends = parts.friends.list().map((friend) => friend.peerId)
  if (removed.length > 0 || pendingUnpins(friends, parts) > 0) {
    const keepers = candidates(parts, before).filter((peer) =>
      before.peers.some((keeper) => keeper.equals(peer)),
    )
    await publish(kept, await present(keepers, parts, options), before, options, parts)
    await parts.storage.collectGarbage(options)
  }
  return accepted({
    removed: removed.map(withoutKey),
    pending: pendingUnpins(friends, parts),
  })
}
