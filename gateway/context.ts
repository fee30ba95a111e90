import type { EvmAddress, Identity } from '@ioex/node/identity'
import type { SignedNetworkFileJson } from '@ioex/node/api'
import type { Clock, Log, Random } from '@ioex/node/base'
import type { Exchange } from '@ioex/node/exchange'
import type { Friends } from '@ioex/node/friends'
import type { Network } from '@ioex/node/network'
import type { Storage } from '@ioex/node/storage'
import type { Vault } from './custody/vault.ts'
import type { VendorKeys } from './custody/vendor-keys.ts'
import type { RateLimiter } from './guards/rate.ts'
import type { Metrics } from './middleware/metrics.ts'
import type { HeldSessions } from './publishing/held-sessions.ts'
import type { Polls } from './polls/types.ts'
import type { Publishing } from './publishing/types.ts'
import type { ReleaseEvents } from './publishing/release-events.ts'
import type { Rollouts } from './rollouts/types.ts'
import type { Database } from './store/open.ts'
import type { Tokens } from './store/tokens.ts'

/** The embedded node, of role gateway; only what the gateway uses of it. */
export interface GatewayNode {
  readonly identity: Identity
  readonly network: Pick<Network, 'peerId' | 'announce' | 'addresses'>
  readonly exchange: Pick<Exchange, 'askToPin' | 'askToUnpin'>
  readonly storage: Pick<Storage, 'blocks' | 'pins' | 'reserve' | 'collectGarbage'>
  readonly friends: Pick<Friends, 'add' | 'list'>
  /** As the operator signed it; the node has checked it. */
  readonly networkFile: SignedNetworkFileJson
  /** Who signed the network file. */
  readonly operator: EvmAddress
}

export interface GatewayOptions {
  /** Copies that make a release published. */
  readonly copiesWanted: number
  /** The last hop's address is read from `X-Forwarded-For`; only behind a proxy that sets it. */
  readonly trustProxy: boolean
  /** The built console; undefined: none is served. */
  readonly consoleFolder: string | undefined
  /** How often what devices say with their polls is written; sooner for tests. */
  readonly pollsWrittenEveryMs?: number | undefined
  /** Multiplies every rate limit; 1 as a rule, more for load tests. */
  readonly rateFactor: number
}

/** What every route is handed. */
export interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly options: GatewayOptions
  readonly db: Database
  readonly vault: Vault
  readonly keys: VendorKeys
  readonly tokens: Tokens
  readonly node: GatewayNode
  readonly sessions: HeldSessions
  readonly publishing: Publishing
  readonly rollouts: Rollouts
  readonly polls: Polls
  readonly releaseEvents: ReleaseEvents
  readonly metrics: Metrics
  readonly limiters: Limiters
}

interface Limiters {
  readonly anonymous: RateLimiter
  readonly token: RateLimiter
  readonly redeem: RateLimiter
  readonly blocks: RateLimiter
  readonly refusedTokens: RateLimiter
  readonly ddi: RateLimiter
}
