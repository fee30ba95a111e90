/** What a session is made of, and what the room itself sees of it. */
import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { AbortOptions, HeldBytes, Random } from '../base/index.ts'
import type { DeviceBook } from '../receipts/index.ts'
import type { Storage } from '../storage/index.ts'
import type { Reach } from './fellow-frames.ts'
import type { Holdings } from './holdings.ts'
import type { FellowKind } from './source-pool.ts'
import type { RunNeeds } from './source-run.ts'
import type { FetchOptions, FetchSession, Source } from './types.ts'

export interface SessionNeeds extends RunNeeds {
  readonly storage: Pick<Storage, 'blocks'>
  readonly deviceBook: DeviceBook | undefined
  readonly random: Random
  /** What comes is entered here, and so served to fellows while the rest is on its way. */
  readonly holdings: Holdings
  /** Whether fellows are served what comes. */
  readonly isFellow: boolean
  /** Where fellows reach us; undefined: we do not serve them. */
  readonly reach: () => Reach | undefined
  readonly self: PeerId
  readonly ended: () => void
  /** Peers that lied in any session of this node. */
  readonly bans: { readonly has: (id: string) => boolean; readonly add: (id: string) => void }
}

export interface SessionOptions extends FetchOptions {
  /** May this block, which is on our disk, be taken from there? Default: yes. */
  readonly mayReuse?: ((cid: CID) => Promise<boolean>) | undefined
}

export interface RunningSession extends FetchSession {
  readonly root: CID
  /** As `get`, for whoever can tell when he is done with the bytes. */
  getHeld(cid: CID, options?: AbortOptions): Promise<HeldBytes>
  /** Somebody who fetches the same root, and serves what it has. */
  addFellow(source: Source, kind: FellowKind): void
  /** Ends it at once, without the last receipts. */
  abort(reason: Error): void
}
