/**
 * The one place that puts rooms together. It starts them bottom-up, stops them in reverse, and decides
 * nothing. Two shapes: a *bootstrap* has a network and what it remembers of it, no application and no
 * friends; a *node* (seed, peer, gateway, device) has everything that runs on it.
 */
import { join } from 'node:path'
import {
  type Clock,
  type Log,
  type Random,
  type Startable,
  stopAll,
  systemClock,
  systemRandom,
} from './base/index.ts'
import {
  createExchange,
  createHeliaNode,
  type Exchange,
  type ExchangeOptions,
} from './exchange/index.ts'
import { createFriends, createGate, type Friends, type Gate } from './friends/index.ts'
import type { Identity } from './identity/index.ts'
import { createNetwork, type Network, type NetworkFile, type Role } from './network/index.ts'
import {
  createDeviceBook,
  createServerBook,
  type DeviceBook,
  type ServerBook,
} from './receipts/index.ts'
import { createDatastore, createStorage, type Storage } from './storage/index.ts'

export interface Bootstrap {
  readonly identity: Identity
  readonly storage: Storage
  readonly network: Network
  /** In reverse order of the start; may be called twice. */
  stop(): Promise<void>
}

export interface IoexNode extends Bootstrap {
  readonly gate: Gate
  readonly friends: Friends
  readonly exchange: Exchange
  readonly serverBook: ServerBook
  readonly deviceBook: DeviceBook
  /** Helia over our store and broker; a device does without it. */
  readonly helia: Awaited<ReturnType<typeof createHeliaNode>>['helia'] | undefined
}

export interface NodeNeeds {
  readonly identity: Identity
  readonly log: Log
  readonly clock?: Clock
  readonly random?: Random
}

export interface BootstrapOptions {
  /** The folder of this node; blocks, records and receipts are below it. */
  readonly home: string
  /** Checked: what `verifyNetworkFile` returned. */
  readonly networkFile: NetworkFile
  /** Multiaddrs, such as `/ip4/127.0.0.1/tcp/0`. */
  readonly listen: readonly string[]
  readonly announce?: readonly string[]
}

export interface NodeOptions extends BootstrapOptions, UploadCaps {
  readonly role: Exclude<Role, 'bootstrap'>
  /** What strangers need beside the ID to ask for friendship; from the keystore, asked each time. */
  readonly nospam: () => Uint8Array
  /** Bytes that blocks may take on disk. */
  readonly quotaBytes: number
  /** Where knocks and the exchange are answered over HTTP; undefined: over libp2p only. */
  readonly httpListen?: { readonly host: string; readonly port: number }
  readonly httpAnnounce?: string
  /** Whether fellows are looked for on the local network; default: a device does. */
  readonly lan?: boolean
  readonly pairingCode?: string
  /** Whether blocks are served to friends and grant holders; default: yes. */
  readonly serve?: boolean
  /** Whether friends may have their roots kept here. */
  readonly acceptPins: boolean
}

type UploadCaps = Pick<
  ExchangeOptions,
  'maxUploadBytesPerSecond' | 'maxUploadBytesPerHour' | 'maxUploadBytesPerSecondPerLink'
>

/** A bootstrap stores no blocks; the quota is the least that storage takes. */
const BOOTSTRAP_QUOTA_BYTES = 64 * 1024 * 1024

export async function createBootstrap(
  needs: NodeNeeds,
  options: BootstrapOptions,
): Promise<Bootstrap> {
  return assemble(async (begin) => {
    const parts = await beginGround(needs, options, BOOTSTRAP_QUOTA_BYTES, begin)
    const gate = gateOf(parts, options, true)
    const network = await begin(networkOf(needs, parts, gate, options, 'bootstrap'))
    return { identity: needs.identity, storage: parts.storage, network }
  })
}

export async function createNode(needs: NodeNeeds, options: NodeOptions): Promise<IoexNode> {
  const { identity, log } = needs
  const { home, networkFile, role } = options
  const { chainId, verifyingContract } = networkFile.ledger
  const domain = { chainId, verifyingContract }
  return assemble(async (begin) => {
    const parts = await beginGround(needs, options, options.quotaBytes, begin)
    const { clock, random, storage } = parts
    const bookNeeds = { domain, clock, log: log.child({ room: 'receipts' }) }
    const serverBook = await begin(
      createServerBook({
        ...bookNeeds,
        server: identity.evmAddress,
        folder: join(home, 'receipts', 'server'),
      }),
    )
    const deviceBook = await begin(
      createDeviceBook({ ...bookNeeds, identity, folder: join(home, 'receipts', 'device') }),
    )
    const gate = gateOf(parts, options, false)
    const network = await begin(networkOf(needs, parts, gate, options, role, options))
    const friends = await begin(
      createFriends(
        {
          identity,
          gate,
          network,
          nospam: options.nospam,
          records: storage.records,
          clock,
          random,
          log: log.child({ room: 'friends' }),
          checkGrant: async (grant, device) => {
            const admitted = await serverBook.admit(grant, device)
            return admitted.ok
              ? { ok: true, value: { notAfter: admitted.value.grant.notAfter } }
              : admitted
          },
        },
        {
          ...(options.pairingCode === undefined ? {} : { pairingCode: options.pairingCode }),
        },
      ),
    )
    const exchange = await begin(
      createExchange(
        {
          network,
          friends,
          gate,
          storage,
          serverBook,
          deviceBook,
          identity,
          domain,
          lan: network.lan,
          reach: () => ({ multiaddrs: network.addresses().direct, http: network.httpUrl }),
          clock,
          random,
          log: log.child({ room: 'exchange' }),
        },
        {
          ...uploadCapsOf(options),
          serve: options.serve ?? true,
          isFellow: role === 'device',
          acceptPins: options.acceptPins,
        },
      ),
    )
    // Friends may run stock IPFS software: they are served by bitswap, behind the same gate and shares.
    const { helia } =
      role === 'device'
        ? { helia: undefined }
        : await begin(await createHeliaNode({ network, storage, exchange, gate, clock }))
    return { identity, storage, network, gate, friends, exchange, serverBook, deviceBook, helia }
  })
}

function uploadCapsOf(options: UploadCaps): UploadCaps {
  const { maxUploadBytesPerSecond, maxUploadBytesPerHour, maxUploadBytesPerSecondPerLink } = options
  return {
    ...(maxUploadBytesPerSecond === undefined ? {} : { maxUploadBytesPerSecond }),
    ...(maxUploadBytesPerHour === undefined ? {} : { maxUploadBytesPerHour }),
    ...(maxUploadBytesPerSecondPerLink === undefined ? {} : { maxUploadBytesPerSecondPerLink }),
  }
}

type Begin = <T extends Startable>(part: T) => Promise<T>

/** Adds `stop` to what `build` returns; a part that does not start stops those before it. */
async function assemble<T>(
  build: (begin: Begin) => Promise<T>,
): Promise<T & { stop(): Promise<void> }> {
  const started: Startable[] = []
  const stop = () => stopAll(started.splice(0))
  try {
    const parts = await build(async (part) => {
      await part.start()
      started.unshift(part)
      return part
    })
    return { ...parts, stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

interface Ground {
  readonly storage: Storage
  readonly clock: Clock
  readonly random: Random
}

async function beginGround(
  needs: NodeNeeds,
  options: BootstrapOptions,
  quotaBytes: number,
  begin: Begin,
): Promise<Ground> {
  const { log, clock = systemClock, random = systemRandom } = needs
  const storage = await begin(
    createStorage(
      { clock, log: log.child({ room: 'storage' }) },
      { folder: join(options.home, 'storage'), quotaBytes },
    ),
  )
  return { storage, clock, random }
}

function gateOf(parts: Ground, options: BootstrapOptions, openToAll: boolean): Gate {
  const bootstraps = options.networkFile.bootstraps.map((bootstrap) => bootstrap.peerId)
  return createGate(
    { records: parts.storage.records, clock: parts.clock, infrastructure: () => bootstraps },
    { openToAll },
  )
}

function networkOf(
  needs: NodeNeeds,
  parts: Ground,
  gate: Gate,
  options: BootstrapOptions,
  role: Role,
  { httpListen, httpAnnounce, lan }: Pick<NodeOptions, 'httpListen' | 'httpAnnounce' | 'lan'> = {},
): Network {
  return createNetwork(
    {
      identity: needs.identity,
      gate: gate.hooks,
      datastore: createDatastore(parts.storage, 'libp2p'),
      clock: parts.clock,
      random: parts.random,
      log: needs.log.child({ room: 'network' }),
    },
    {
      role,
      networkFile: options.networkFile,
      listen: options.listen,
      lan: lan ?? role === 'device',
      ...(options.announce === undefined ? {} : { announce: options.announce }),
      ...(httpListen === undefined ? {} : { httpListen }),
      ...(httpAnnounce === undefined ? {} : { httpAnnounce }),
    },
  )
}
