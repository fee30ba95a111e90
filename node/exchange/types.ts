/** The interfaces of the room; its story stands at the door. */
import type { BlockBroker, Helia } from '@helia/interface'
import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { AbortOptions, Clock, HeldBytes, Result, Startable } from '../base/index.ts'
import type { Gate } from '../friends/index.ts'
import type { Network } from '../network/index.ts'
import type { SignedGrant, SignedPinOrder } from '../receipts/index.ts'
import type { PinOwner, PinSession, Storage } from '../storage/index.ts'

/** One copy in the network: an entry of the address list. */
export interface Source {
  readonly peerId: PeerId
  readonly multiaddrs: readonly Multiaddr[]
  /** Base URL of its HTTP listener: the grant is shown there first, and blocks may come from there. */
  readonly http?: string
}

export type Wire = 'http' | 'libp2p'

export interface SourceReport {
  readonly peerId: string
  /** Bodies of verified blocks, hedged duplicates included. */
  readonly bytes: number
  readonly blocks: number
  readonly receipts: number
  readonly outcome: 'used' | 'unused' | 'unreachable' | 'refused' | 'banned' | 'lost'
}

export interface FetchReport {
  readonly sources: readonly SourceReport[]
  readonly fetchedBytes: number
  readonly fetchedBlocks: number
  /** Blocks that were on disk already. */
  readonly reusedBlocks: number
}

export interface FetchSession {
  /**
   * The block, verified and durable: from disk, else from a source. Many may be asked at once; the order
   * of asking is the order of wanting. Throws `no-source` when no source has been left for
   * `giveUpAfterMs` without progress.
   */
  get(cid: CID, options?: AbortOptions): Promise<Uint8Array>
  /**
   * As `get`, in whatever order suits all who fetch the root: ask for many at once. Resolves once the block is on
   * the disk; with the bytes, to be released, if they have just come.
   */
  fetch(cid: CID, options?: AbortOptions): Promise<HeldBytes | undefined>
  addSource(source: Source): void
  report(): FetchReport
  /** Sends the last receipts, closes the streams. The pin session stays open for its owner to commit or drop. */
  close(): Promise<void>
}

export interface FetchOptions {
  readonly root: CID
  readonly sources: readonly Source[]
  /** Needed for servers that are not friends. */
  readonly grant?: SignedGrant
  readonly pin: PinSession
  /** Without any progress for so long the session gives up; default in limits.ts. */
  readonly giveUpAfterMs?: number
  /** Default both: HTTP where the source has it and a grant is shown, libp2p where that fails. */
  readonly wires?: readonly Wire[]
  readonly onProgress?: (report: FetchReport) => void
}

export interface PinProgress {
  readonly blocks: number
  readonly bytes: number
}

export interface PinRequest {
  readonly root: CID
  /** Total bytes of the root's blocks, for the quota. */
  readonly bytes: number
  /** A paid order; without one the peer keeps it because we are friends. */
  readonly order?: SignedPinOrder
  /** Unix milliseconds. */
  readonly untilMs?: number
}

export type PinRefusal = 'not-a-friend' | 'no-room' | 'order-invalid' | 'incomplete' | 'unreachable'

export interface Exchange extends Startable {
  openSession(options: FetchOptions): FetchSession
  /** Fetches every block below the root by its links (no keys needed) and pins it. */
  fetchAndPin(
    options: Omit<FetchOptions, 'pin'> &
      AbortOptions & {
        readonly owner: PinOwner
        readonly onBlock?: (progress: PinProgress) => void
      },
  ): Promise<FetchReport>
  /** Asks a friend to keep a root that is pinned here; it pulls the blocks from us. Resolves when it has all of them, durably. */
  askToPin(
    peer: PeerId,
    request: PinRequest,
    options?: AbortOptions & {
      readonly multiaddrs?: readonly Multiaddr[]
      readonly onProgress?: (progress: PinProgress) => void
    },
  ): Promise<Result<{ readonly countersignature?: `0x${string}` }, PinRefusal>>
  /** Takes a pin of ours at a friend back. */
  askToUnpin(peer: PeerId, root: CID, options?: AbortOptions): Promise<boolean>
  /** Lets a friend fetch a root that is pinned here. Durable. */
  share(root: CID, friend: PeerId): void
  unshare(root: CID, friend: PeerId): void
  /** For `createHeliaLight({ blockBrokers: [...] })`. */
  readonly broker: BlockBroker
  /** Served to grant holders since start, for metrics and tests. */
  served(): { readonly blocks: number; readonly bytes: number; readonly streams: number }
}

export interface ExchangeOptions {
  /** Whether blocks are served at all. */
  readonly serve: boolean
  /**
   * Devices: serve, under their grants, others that fetch the same root, from the first block on. The signers of
   * our own grant are trusted with theirs.
   */
  readonly isFellow?: boolean
  /** Accept pin requests of friends, up to the storage's quota. */
  readonly acceptPins: boolean
  /** Upload caps; undefined: none. Per link: to one peer, over all its streams. */
  readonly maxUploadBytesPerSecond?: number
  readonly maxUploadBytesPerHour?: number
  readonly maxUploadBytesPerSecondPerLink?: number
}

export interface HeliaNeeds {
  /** Started before, stopped after. */
  readonly network: Pick<Network, 'libp2p'>
  readonly storage: Pick<Storage, 'blocks' | 'pins' | 'records' | 'hints'>
  readonly exchange: Pick<Exchange, 'broker'>
  readonly gate: Pick<Gate, 'isFriend'>
  readonly clock: Clock
}

/** A Helia node on our store, our network and our block broker; friends may fetch over bitswap what was shared. */
export interface HeliaNode extends Startable {
  /** Use its blockstore and codecs; never its pins and gc (they lose data), nor its start and stop. */
  readonly helia: Helia
}

export type ExchangeErrorCode =
  | 'exchange-stopped'
  | 'cid-unsupported'
  | 'tree-too-large'
  | 'no-source'
  | 'session-closed'
  | 'block-too-large'
  | 'protocol-violation'
