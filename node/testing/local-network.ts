import { MemoryDatastore } from 'datastore-core'
import type { Datastore } from 'interface-datastore'
import {
  type Clock,
  type Log,
  silentLog,
  stopAll,
  systemClock,
  systemRandom,
} from '../base/index.ts'
import { createIdentity, generateSeed, type Identity } from '../identity/index.ts'
import {
  createNetwork,
  type GateHooks,
  type Network,
  type NetworkFile,
  type NetworkOptions,
} from '../network/index.ts'

export interface LocalNetwork {
  /** Bootstraps' addresses are filled in once they listen. */
  readonly file: NetworkFile
  readonly bootstraps: readonly Network[]
  /** A started node on an ephemeral port of 127.0.0.1; stopped with the network. */
  join(node: JoinOptions): Promise<Network>
  stop(): Promise<void>
}

export interface JoinOptions {
  readonly role: NetworkOptions['role']
  readonly identity?: Identity
  /** Default: everybody is let in. */
  readonly gate?: GateHooks
  readonly datastore?: Datastore
  readonly options?: Partial<NetworkOptions>
  readonly log?: Log
  readonly clock?: Clock
}

const ZERO_ADDRESS = `0x${'0'.repeat(40)}` as const
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

/** A network file that names nobody, to be filled in. */
export function emptyNetworkFile(): NetworkFile {
  return {
    version: 1,
    issuedAt: '2026-01-01T00:00:00Z',
    expires: '2036-01-01T00:00:00Z',
    ledger: {
      chainId: 31337,
      verifyingContract: ZERO_ADDRESS,
      token: ZERO_ADDRESS,
      gas: ZERO_ADDRESS,
    },
    prices: [],
    bootstraps: [],
    announcers: [],
    seeds: [],
  }
}

/** Real nodes with real sockets in this process: bootstraps that know one another, and whoever joins. */
export async function startLocalNetwork(options: {
  readonly bootstraps: number
  readonly announcers?: readonly Identity[]
}): Promise<LocalNetwork> {
  const identities = Array.from({ length: options.bootstraps }, () =>
    createIdentity(generateSeed(systemRandom)),
  )
  const listed = identities.map(({ peerId }) => ({
    peerId: peerId.toString(),
    multiaddrs: [] as string[],
  }))
  const file: NetworkFile = {
    ...emptyNetworkFile(),
    bootstraps: listed,
    announcers: (options.announcers ?? []).map(({ peerId, evmAddress }) => ({
      peerId: peerId.toString(),
      signer: evmAddress,
    })),
  }
  const started: Network[] = []
  const join = async (node: JoinOptions): Promise<Network> => {
    const network = createNetwork(
      {
        identity: node.identity ?? createIdentity(generateSeed(systemRandom)),
        gate: node.gate ?? {},
        datastore: node.datastore ?? new MemoryDatastore(),
        clock: node.clock ?? systemClock,
        random: systemRandom,
        log: node.log ?? silentLog,
      },
      {
        role: node.role,
        listen: [LOOPBACK],
        networkFile: file,
        maxNewConnectionsPerIpPerSecond: 1000,
        ...node.options,
      },
    )
    started.push(network)
    await network.start()
    return network
  }

  const bootstraps: Network[] = []
  for (const [index, identity] of identities.entries()) {
    const bootstrap = await join({ role: 'bootstrap', identity })
    listed[index]?.multiaddrs.push(
      ...bootstrap.addresses().direct.map((address) => address.toString()),
    )
    bootstraps.push(bootstrap)
  }
  return {
    file,
    bootstraps,
    join,
    async stop() {
      await stopAll(started.toReversed())
    },
  }
}
