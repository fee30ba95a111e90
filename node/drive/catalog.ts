import { peerIdOfPublicKey, type Identity } from '../identity/index.ts'
import {
  accepted,
  type AbortOptions,
  asError,
  type Random,
  refused,
  type Result,
} from '../base/index.ts'
import { driveRecordKey, type Network } from '../network/index.ts'
import { readHeadRecord, signHeadRecord } from './head-record.ts'
import type { Exchange, Source } from '../exchange/index.ts'
import type { Friends } from '../friends/index.ts'
import type { PeerId } from '@libp2p/interface'
import { type Head, openHead, sealHead } from './head.ts'
import type { NodeRef } from './index-tree.ts'
import { getHead, type KeepingNeeds, putHead } from './keeping.ts'
import type { DriveKeys } from './keys.ts'
import { CATALOG_GIVE_UP_MS, FIND_AGAIN_MS, FIND_ATTEMPTS } from './limits.ts'
import { type CatalogEntry, openCatalog, sealCatalog } from './snapshot.ts'

/** The newest head that this machine knows, durable before anybody else has ours. */
const TABLE = 'drive'
const HEAD = 'head'

export interface CatalogNeeds extends KeepingNeeds {
  readonly identity: Identity
  readonly keys: DriveKeys
  readonly random: Random
  readonly exchange: Pick<Exchange, 'openSession'>
  readonly friends: Pick<Friends, 'list' | 'add'>
  readonly network: KeepingNeeds['network'] & Pick<Network, 'putRecord' | 'getRecord'>
}

export interface Catalog {
  readonly sequence: number
  readonly ref: NodeRef
  readonly peers: readonly PeerId[]
  readonly snapshots: readonly CatalogEntry[]
}

interface KnownHead extends Head {
  readonly record: Uint8Array
  readonly sequence: number
}

interface Found {
  readonly head: KnownHead | undefined
  /** Whether any friend said what he has, and be it nothing. */
  readonly answered: boolean
}

/**
 * The newest catalog of those that this machine, the friends and the DHT know. Undefined when there is none;
 * `peers-unreachable` when nothing is known here and no friend could be asked. A fresh machine has no
 * friends; those that the head names become friends, as they already hold this identity for one. Later heads
 * make no friends, so that whoever was removed stays removed.
 */
export async function loadCatalog(
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<Result<Catalog | undefined, 'peers-unreachable'>> {
  const stored = needs.storage.records.get(TABLE, HEAD)
  const own = stored === undefined ? undefined : openRecord(stored, needs)
  let found = await findHead(own, needs, options)
  for (let attempt = 1; found.head === undefined && attempt < FIND_ATTEMPTS; attempt++) {
    if (found.answered) break
    await needs.clock.sleep(FIND_AGAIN_MS, options)
    found = await findHead(own, needs, options)
  }
  const { head, answered } = found
  if (head === undefined) return answered ? accepted(undefined) : refused('peers-unreachable')
  const peers = head.peers.map(peerIdOfPublicKey)
  if (own === undefined) for (const peer of peers) befriend(peer, needs)
  const bytes = await readCatalogBlock(head.catalog, peers, needs, options)
  const snapshots = openCatalog(bytes, head.catalog.key)
  if (head.sequence !== own?.sequence) needs.storage.records.put(TABLE, HEAD, head.record)
  return accepted({ sequence: head.sequence, ref: head.catalog, peers, snapshots })
}

function befriend(peer: PeerId, needs: CatalogNeeds): void {
  if (needs.friends.list().some((friend) => friend.peerId.equals(peer))) return
  needs.friends.add(peer, { name: 'keeps my backup' })
}

function openRecord(record: Uint8Array, needs: CatalogNeeds): KnownHead | undefined {
  const read = readHeadRecord(record, needs.identity.peerId)
  const head = read === undefined ? undefined : openHead(read.value, needs.keys.head)
  return read === undefined || head === undefined
    ? undefined
    : { ...head, record, sequence: read.sequence }
}

/** Asks everybody at once; nobody can pass off an older head than another one has. */
async function findHead(
  own: KnownHead | undefined,
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<Found> {
  const [inDht, ...kept] = await Promise.all([
    headInDht(needs, options),
    ...needs.friends.list().map((friend) => getHead(needs, friend.peerId, options)),
  ])
  const records = kept.flatMap((answer) => answer?.record ?? [])
  const heads = [...records, ...(inDht === undefined ? [] : [inDht])].flatMap(
    (record) => openRecord(record, needs) ?? [],
  )
  let newest = own
  for (const head of heads) {
    if (newest === undefined || head.sequence > newest.sequence) newest = head
  }
  return { head: newest, answered: kept.some((answer) => answer !== undefined) }
}

async function headInDht(
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await needs.network.getRecord(driveRecordKey(needs.identity.publicKey), options)
  } catch (thrown) {
    options.signal?.throwIfAborted()
    needs.log.info({ error: asError(thrown) }, 'the DHT could not be asked for the drive')
    return undefined
  }
}

async function readCatalogBlock(
  ref: NodeRef,
  peers: readonly PeerId[],
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<Uint8Array> {
  const here = await needs.storage.blocks.get(ref.cid)
  if (here !== undefined) return here
  const pin = await needs.storage.pins.open(ref.cid)
  const session = needs.exchange.openSession({
    root: ref.cid,
    sources: sourcesOf(peers, needs),
    pin,
    giveUpAfterMs: CATALOG_GIVE_UP_MS,
  })
  try {
    const bytes = await session.get(ref.cid, options)
    await pin.commit({ owner: 'drive' })
    return bytes
  } catch (thrown) {
    await pin.drop()
    throw thrown
  } finally {
    await session.close()
  }
}

/** Friends as sources, with the addresses that they told last. */
export function sourcesOf(
  peers: readonly PeerId[],
  needs: Pick<CatalogNeeds, 'friends'>,
): Source[] {
  const friends = needs.friends.list()
  return peers.map((peerId) => ({
    peerId,
    multiaddrs: friends.find((friend) => friend.peerId.equals(peerId))?.multiaddrs ?? [],
  }))
}

/**
 * Makes the new catalog durable here, pinned and named by our head; nobody else knows of it yet. `note` writes
 * in the same transaction what follows from it.
 */
export async function saveCatalog(
  snapshots: readonly CatalogEntry[],
  peers: readonly PeerId[],
  before: Catalog | undefined,
  needs: CatalogNeeds,
  note: (ref: NodeRef) => void,
): Promise<{ readonly ref: NodeRef; readonly bytes: number; readonly record: Uint8Array }> {
  const node = await sealCatalog(snapshots, needs.keys.content)
  const session = await needs.storage.pins.open(node.cid)
  await session.add([node])
  await session.commit({ owner: 'drive' })
  const ref = { cid: node.cid, key: node.key }
  const head: Head = { catalog: ref, peers: peers.flatMap((peer) => peer.publicKey?.raw ?? []) }
  const record = signHeadRecord(needs.identity, {
    sequence: (before?.sequence ?? 0) + 1,
    value: sealHead(head, needs.keys.head, needs.random),
  })
  needs.storage.records.transaction(() => {
    needs.storage.records.put(TABLE, HEAD, record)
    note(ref)
  })
  return { ref, bytes: node.bytes.byteLength, record }
}

export interface Spread {
  /** The peers that took it. */
  readonly takers: readonly PeerId[]
  readonly inDht: boolean
}

/** Tells the head to those peers and to the DHT. */
export async function spreadHead(
  record: Uint8Array,
  peers: readonly PeerId[],
  needs: CatalogNeeds,
  options: AbortOptions,
): Promise<Spread> {
  const key = driveRecordKey(needs.identity.publicKey)
  const [inDht, ...taken] = await Promise.all([
    needs.network.putRecord(key, record, options).then(
      () => true,
      (thrown: unknown) => {
        options.signal?.throwIfAborted()
        needs.log.warn({ error: asError(thrown) }, 'the DHT did not take the head of the drive')
        return false
      },
    ),
    ...peers.map((peer) => putHead(needs, peer, record, options)),
  ])
  return { takers: peers.filter((_, at) => taken[at] === true), inDht }
}
