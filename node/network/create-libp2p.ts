import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { GossipSub } from '@libp2p/gossipsub'
import { type Identify, type IdentifyPush, identify, identifyPush } from '@libp2p/identify'
import type { ConnectionGater } from '@libp2p/interface'
import type { TransportManager } from '@libp2p/interface-internal'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { isCircuit } from './addresses.ts'
import type { DriveRecords } from './drive-records.ts'
import type { Gossip } from './gossip.ts'
import {
  ADDRESS_DIAL_TIMEOUT_MS,
  DIAL_TIMEOUT_MS,
  MAX_CONNECTIONS,
  MAX_DIALLED_ADDRESSES,
  MAX_EARLY_STREAMS,
  MAX_NEW_CONNECTIONS_PER_IP_PER_SECOND,
  MAX_PENDING_HANDSHAKES,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
  RELAY_WRITE_BUFFER_BYTES,
  STREAM_WINDOW_BYTES,
  TCP_WRITE_BUFFER_BYTES,
} from './limits.ts'
import { type Reservations, relayServer, relayTransport } from './relay.ts'
import { secureBulk } from './secure-bulk.ts'
import type { NetworkNeeds, NetworkOptions } from './types.ts'

interface Services {
  readonly [name: string]: unknown
  readonly identify: Identify
  readonly identifyPush: IdentifyPush
  readonly ping: Ping
  readonly dht: KadDHT
  readonly pubsub: GossipSub
  readonly relay: CircuitRelayService | undefined
}

export interface Assembled {
  readonly libp2p: Libp2p<Services>
  readonly transportManager: TransportManager
  readonly reservations: Reservations | undefined
}

/** Handed on to the sockets as it is, though libp2p's types do not name it. */
const SOCKET = { noDelay: true, highWaterMark: TCP_WRITE_BUFFER_BYTES }
const DHT_PROTOCOL = '/ioex/kad/1.0.0'

/** libp2p with our parts, not started. */
export async function assembleLibp2p(
  needs: Pick<NetworkNeeds, 'identity' | 'datastore'>,
  options: NetworkOptions,
  parts: {
    readonly gater: ConnectionGater
    readonly gossip: Gossip
    readonly records: DriveRecords
  },
): Promise<Assembled> {
  const isBootstrap = options.role === 'bootstrap'
  const bootstraps = new Set(options.networkFile.bootstraps.map(({ peerId }) => peerId))
  const circuits = relayTransport()
  let transportManager: TransportManager | undefined

  const libp2p = await createLibp2p({
    start: false,
    privateKey: needs.identity.privateKey,
    datastore: needs.datastore,
    nodeInfo: { name: 'ioex', version: '1', userAgent: 'ioex/1' },
    addresses: {
      listen: [...options.listen],
      ...(isBootstrap
        ? { announce: [...(options.announce ?? [])] }
        : // Only relayed addresses are told: through identify, push, the DHT and the relay's records.
          { announceFilter: (addresses) => addresses.filter(isCircuit) }),
    },
    transports: [
      tcp({ dialOpts: SOCKET, listenOpts: SOCKET }),
      ...(isBootstrap ? [] : [circuits.transport]),
    ],
    connectionEncrypters: [secureBulk()],
    streamMuxers: [
      yamux({
        maxEarlyStreams: MAX_EARLY_STREAMS,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES,
          ...(isBootstrap ? { maxWriteBufferLength: RELAY_WRITE_BUFFER_BYTES } : {}),
        },
      }),
    ],
    connectionGater: parts.gater,
    connectionMonitor: {
      pingInterval: isBootstrap ? PING_INTERVAL_MS.bootstrap : PING_INTERVAL_MS.other,
      pingTimeout: { minTimeout: PING_TIMEOUT_MS.min, maxTimeout: PING_TIMEOUT_MS.max },
    },
    connectionManager: {
      maxConnections:
        options.maxConnections ?? (isBootstrap ? MAX_CONNECTIONS.bootstrap : MAX_CONNECTIONS.other),
      inboundConnectionThreshold:
        options.maxNewConnectionsPerIpPerSecond ?? MAX_NEW_CONNECTIONS_PER_IP_PER_SECOND,
      maxIncomingPendingConnections: MAX_PENDING_HANDSHAKES,
      maxPeerAddrsToDial: MAX_DIALLED_ADDRESSES,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressDialTimeout: ADDRESS_DIAL_TIMEOUT_MS,
      // The keeper does this, with a back-off of its own and from the present network file.
      reconnectRetries: 0,
    },
    peerStore: isBootstrap
      ? {
          // Whatever a peer says, and however it gets there: of peers a bootstrap knows circuits only.
          addressFilter: async (peer, address) =>
            bootstraps.has(peer.toString()) || isCircuit(address),
        }
      : {},
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      dht: kadDHT({
        protocol: DHT_PROTOCOL,
        clientMode: !isBootstrap,
        // Test and home networks are private; what may be told is decided by the filters above.
        peerInfoMapper: passthroughMapper,
        validators: parts.records.validators,
        selectors: parts.records.selectors,
        initialQuerySelfInterval: 200,
      }),
      pubsub: parts.gossip.service,
      relay: isBootstrap ? relayServer() : () => undefined,
      reach: (components: { transportManager: TransportManager }) => {
        transportManager = components.transportManager
        return undefined
      },
    },
  })
  if (transportManager === undefined) throw new Error('libp2p made no transport manager')
  return { libp2p, transportManager, reservations: circuits.made.reservations }
}
