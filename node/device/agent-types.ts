/** What an agent is handed, and what it is: the interfaces of the door. */
import type { GatewayClient } from '../api/index.ts'
import type { AbortOptions, Clock, Log, Random, Startable } from '../base/index.ts'
import type { Exchange } from '../exchange/index.ts'
import type { TrustedReleases } from '../firmware/index.ts'
import type { EvmAddress, Identity } from '../identity/index.ts'
import type { Network } from '../network/index.ts'
import type { DeviceBook } from '../receipts/index.ts'
import type { Storage } from '../storage/index.ts'
import type { DeviceEvent } from './events.ts'
import type { Installer } from './installer.ts'
import type { Slots } from './slots.ts'
import type { DeviceState, FetchTotals, InstalledRelease, Waiting } from './types.ts'

export interface DeviceNeeds {
  readonly identity: Pick<Identity, 'ageIdentity' | 'evmAddress' | 'signMessage'>
  readonly api: Pick<
    GatewayClient,
    'checkIn' | 'grant' | 'addresses' | 'releaseKey' | 'report' | 'progress' | 'rolloutOrder'
  >
  /** Left out: the agent asks only, and hears no announcements. */
  readonly network?: Pick<Network, 'listen'>
  readonly exchange: Pick<Exchange, 'openSession'>
  readonly storage: Pick<Storage, 'pins' | 'collectGarbage'>
  readonly deviceBook: Pick<DeviceBook, 'grantBytes'>
  /** What TUF metadata vouches for; nothing else is installed. */
  readonly releases: Pick<TrustedReleases, 'refresh' | 'current'>
  readonly slots: Slots
  readonly installer: Installer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly onEvent?: (event: DeviceEvent) => void
}

export interface DeviceOptions {
  /** State, credentials and chunk indexes. */
  readonly folder: string
  readonly vendor: EvmAddress
  readonly model: string
  /** Keep the sealed blocks of the installed release, to serve them to others later. Costs its size on disk. */
  readonly keepBlocks?: boolean
  /** Groups that this device was put into on the spot; a rollout may be limited to some. */
  readonly groups?: readonly string[]
  /** Version of the network file that this node runs with. */
  readonly networkVersion?: number
  /** As in `FetchOptions` of exchange. */
  readonly giveUpAfterMs?: number
}

export interface UpdateOutcome {
  readonly outcome: 'up-to-date' | 'updated' | 'fell-back' | 'waiting'
  readonly installed: InstalledRelease | null
  /** Of this update, earlier runs of it included; all zero when there was none. */
  readonly totals: FetchTotals
  readonly waiting: Waiting | null
  readonly reportsPending: number
}

export interface DeviceAgent extends Startable {
  /** One round: finishes what was begun, looks for something newer, installs it. One at a time. */
  update(options?: AbortOptions): Promise<UpdateOutcome>
  status(): DeviceState
}
