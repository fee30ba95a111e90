import { type Clock, refused, silentLog, systemClock, systemRandom } from '../base/index.ts'
import {
  createFriends,
  createGate,
  type Friends,
  type FriendsNeeds,
  type FriendsOptions,
  type Gate,
} from '../friends/index.ts'
import { createIdentity, generateSeed, type Identity } from '../identity/index.ts'
import type { Network, NetworkOptions } from '../network/index.ts'
import type { Records } from '../storage/index.ts'
import type { LocalNetwork } from './local-network.ts'
import { createMemoryRecords } from './memory-records.ts'

/** A node with a gate and friends, as `create-node` puts them together, but without storage and exchange. */
export interface LocalPerson {
  readonly identity: Identity
  readonly network: Network
  readonly gate: Gate
  readonly friends: Friends
  readonly records: Records
  /** Stops friends and network; with the same identity and records another person is the same after a restart. */
  leave(): Promise<void>
}

export interface PersonOptions extends FriendsOptions {
  readonly role?: NetworkOptions['role']
  readonly identity?: Identity
  readonly records?: Records
  readonly clock?: Clock
  readonly httpListen?: NetworkOptions['httpListen']
  /** Default: no grant lets anybody in. */
  readonly checkGrant?: FriendsNeeds['checkGrant']
}

export async function joinPerson(
  local: LocalNetwork,
  options: PersonOptions = {},
): Promise<LocalPerson> {
  const identity = options.identity ?? createIdentity(generateSeed(systemRandom))
  const records = options.records ?? createMemoryRecords()
  const gate = createGate({
    records,
    clock: systemClock,
    infrastructure: () => local.file.bootstraps.map(({ peerId }) => peerId),
  })
  const { httpListen } = options
  const network = await local.join({
    role: options.role ?? 'peer',
    identity,
    gate: gate.hooks,
    options: httpListen === undefined ? {} : { httpListen },
  })
  const friends = createFriends(
    {
      identity,
      nospam: () => new Uint8Array([1, 2, 3, 4]),
      gate,
      network,
      records,
      clock: options.clock ?? systemClock,
      random: systemRandom,
      log: silentLog,
      checkGrant: options.checkGrant ?? (async () => refused('grant-signer-unknown')),
    },
    options,
  )
  await friends.start()
  return {
    identity,
    network,
    gate,
    friends,
    records,
    async leave() {
      await friends.stop()
      await network.stop()
    },
  }
}
