import type { ConnectionGater, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import type { Datastore } from 'interface-datastore'
import type { AbortOptions, Clock, Log, Random, Startable } from '../base/index.ts'
import type { EvmAddress, Identity } from '../identity/index.ts'
import type { HttpPass } from './http-auth.ts'

/** The EIP-712 domain of grants and receipts; the same shape as in the room receipts, which is a sibling. */
export interface LedgerAddress {
  readonly chainId: number
  readonly verifyingContract: EvmAddress
}

export type Role = 'bootstrap' | 'seed' | 'peer' | 'device' | 'gateway'

/** Signed by the operator; ships with the package, comes with enrolment, is cached. JSON on disk. */
export interface NetworkFile {
  readonly version: number
  /** RFC 3339. */
  readonly issuedAt: string
  readonly expires: string
  readonly ledger: LedgerAddress & { readonly token: EvmAddress; readonly gas: EvmAddress }
  readonly prices: readonly PriceVersion[]
  /** Only these are DHT servers, gossip routers and relays. */
  readonly bootstraps: readonly {
    readonly peerId: string
    readonly multiaddrs: readonly string[]
  }[]
  /** Who may publish announcements: the gateway's PeerId (it joins the routers' mesh) and its announce signer. */
  readonly announcers: readonly { readonly peerId: string; readonly signer: EvmAddress }[]
  /** Seed peers that the operator runs itself. */
  readonly seeds: readonly { readonly peerId: string; readonly payout?: EvmAddress }[]
}

export interface PriceVersion {
  readonly version: number
  /** keccak256 of the service's name, hex. */
  readonly service: string
  /** GAS with 18 decimals for `unitBytes` bytes, as a decimal string. */
  readonly priceGas18: string
  /** Decimal string. */
  readonly unitBytes: string
}

export interface SignedNetworkFile {
  readonly signed: NetworkFile
  /** Over the canonical JSON of `signed`, purpose `network-file`; 65 bytes as hex. */
  readonly signature: `0x${string}`
}

/**
 * A message stream with length-prefixed frames and bounds on both sides: `send` waits while the other side
 * does not read, `receive` holds at most a few frames. Made for bulk: see the stream recipe of the tests.
 */
interface SendOptions extends AbortOptions {
  /** Called when the transport needs the bytes no longer; not by every transport, and not when it broke. */
  readonly written?: () => void
}

export interface FramedStream {
  readonly remotePeer: PeerId
  readonly remoteAddress: EvmAddress
  /**
   * Resolves when the frame was handed to the transport and its buffer is below the mark again. Parts make
   * one frame; none is copied here, so they must not be written to afterwards.
   */
  send(frame: Uint8Array | readonly Uint8Array[], options?: SendOptions): Promise<void>
  /**
   * Undefined at the end of the stream. Throws `frame-too-large`, `stream-broken`. One at a time. A frame is the
   * only view of its buffer.
   */
  receive(options?: AbortOptions): Promise<Uint8Array | undefined>
  /** A frame that is here already, without a promise; undefined tells nothing about the end. */
  receiveNow(): Uint8Array | undefined
  /** What has come of a frame that is not whole yet: on a thin link that takes half a minute. */
  readonly partialBytes: number
  /** Ends our side after what was sent has gone out. */
  close(): Promise<void>
  abort(reason: Error): void
}

export interface StreamLimits {
  readonly maxFrameBytes: number
  /** Streams of this protocol one connection may open to us. */
  readonly maxInboundStreams: number
}

/** Whom a session over HTTP is for, as the knock has proven it. */
export interface HttpGuest {
  readonly peerId: PeerId
  readonly key: Uint8Array
  /** Unix milliseconds: the end of the grant. */
  readonly endsMs: number
}

/** Somebody on the local network who says that it knows the secret; nothing of it is proven. */
export interface LanPeer {
  readonly peerId: PeerId
  readonly multiaddrs: readonly Multiaddr[]
  readonly http: string | undefined
}

/** Others on the local network; the story stands in lan.ts. */
export interface Lan {
  /**
   * Says that we are here to those who know the secret, and calls `found` with each of them, now and when they
   * come, until the returned function is called. From then on those who come are answered as long as `serves`
   * says so.
   */
  join(
    secret: Uint8Array,
    found: (peer: LanPeer) => void,
    serves: () => Promise<boolean>,
  ): () => void
}

/** What was signed and is forwarded: a hint that a release exists. Only TUF decides what is installed. */
export interface Announcement {
  readonly vendor: EvmAddress
  /** CID of the release root as text. */
  readonly root: string
  readonly model: string
  readonly version: string
  readonly issuedAtMs: number
}

export interface Network extends Startable {
  readonly peerId: PeerId
  readonly role: Role
  /** For adapters that need libp2p itself (Helia, bitswap). */
  readonly libp2p: Libp2p
  /** Own addresses: direct ones go to friends and grant holders only, relayed ones to everybody. */
  addresses(): { readonly direct: readonly Multiaddr[]; readonly relayed: readonly Multiaddr[] }
  handle(
    protocol: string,
    limits: StreamLimits,
    serve: (stream: FramedStream) => Promise<void>,
  ): Promise<void>
  unhandle(protocol: string): Promise<void>
  /**
   * Opens a stream, dialling first when there is no connection: the given addresses, then what the DHT knows
   * (circuits). Throws `unreachable` or `refused`. With `http` it goes over HTTP only, together with the first
   * frame, so these two come out of the first `receive`; `refused` means that the session is not known there.
   */
  open(
    peer: PeerId,
    protocol: string,
    options: AbortOptions & {
      readonly multiaddrs?: readonly Multiaddr[]
      readonly http?: { readonly url: string; readonly pass: HttpPass }
      readonly maxFrameBytes: number
    },
  ): Promise<FramedStream>
  /** Closes every connection with the peer: what revoking a friend does. */
  disconnect(peer: PeerId): Promise<void>
  /** Announcers only: signs and publishes to the routers; resolves to how many routers took it. */
  announce(announcement: Announcement): Promise<number>
  /** Every valid announcement of these vendors, once. Returns the function that stops listening. */
  listen(vendors: readonly EvmAddress[], heard: (announcement: Announcement) => void): () => void
  /** Signed values of at most 1 KiB under `/ioex-drive/<key>`, kept by bootstraps, renewed by the owner. */
  putRecord(key: Uint8Array, value: Uint8Array, options?: AbortOptions): Promise<void>
  getRecord(key: Uint8Array, options?: AbortOptions): Promise<Uint8Array | undefined>
  /**
   * Carries one message to a peer that has not let us in, over a bootstrap on which it holds a reservation,
   * and brings back its one answer. Undefined when it does not answer.
   */
  knockThroughBootstrap(
    peer: PeerId,
    message: Uint8Array,
    options?: AbortOptions,
  ): Promise<Uint8Array | undefined>
  /** Who answers such messages here; undefined keeps silent. */
  onKnock(answer: (message: Uint8Array, from: PeerId) => Promise<Uint8Array | undefined>): void
  /** Undefined when it is off. */
  readonly lan: Lan | undefined
  /** Base URL of the HTTP listener, `http://host:port`; the knock is at `/knock` below it. */
  readonly httpUrl: string | undefined
  /** Who answers `POST /knock`; undefined keeps silent. */
  onHttpKnock(answer: (message: Uint8Array, ip: string) => Promise<Uint8Array | undefined>): void
  /** Lets requests over HTTP in from whom a knock has proven. Its ID; undefined when nobody listens here. */
  openHttpSession(guest: HttpGuest): Uint8Array | undefined
}

export interface NetworkOptions {
  readonly role: Role
  /** Multiaddrs to listen on, such as `/ip4/127.0.0.1/tcp/0`. */
  readonly listen: readonly string[]
  /** Multiaddrs to tell instead of the ones listened on (behind a port forward). */
  readonly announce?: readonly string[]
  readonly networkFile: NetworkFile
  /** Where HTTP is answered, such as `{ host: '127.0.0.1', port: 0 }`; undefined: not at all. */
  readonly httpListen?: { readonly host: string; readonly port: number }
  /** Base URL to tell instead of the one listened on: behind a port forward, or a proxy with TLS. */
  readonly httpAnnounce?: string
  /** Whether others are looked for, and told of us, on the networks that we listen on; default: no. */
  readonly lan?: boolean
  /** Connections in total and from one IP per second, before the handshake. */
  readonly maxConnections?: number
  readonly maxNewConnectionsPerIpPerSecond?: number
  /** Connections open at once from one IP. Loopback is not limited: whoever owns the machine owns the node. */
  readonly maxConnectionsPerIp?: number
}

export interface NetworkNeeds {
  readonly identity: Pick<
    Identity,
    'peerId' | 'privateKey' | 'publicKey' | 'evmAddress' | 'signMessage'
  >
  readonly gate: GateHooks
  /** Peer store, DHT records, the table of bootstraps: what should survive a restart. */
  readonly datastore: Datastore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** What network is handed: asked after the handshake; true in a hook means deny. */
export type GateHooks = Pick<
  ConnectionGater,
  | 'denyDialPeer'
  | 'denyInboundEncryptedConnection'
  | 'denyOutboundEncryptedConnection'
  | 'denyInboundRelayedConnection'
  | 'denyInboundRelayReservation'
  | 'denyOutboundRelayedConnection'
>

export type NetworkErrorCode =
  | 'unreachable'
  | 'refused'
  | 'frame-too-large'
  | 'stream-broken'
  | 'network-file-invalid'
  | 'announcement-too-large'
  | 'not-an-announcer'
  | 'record-invalid'
  | 'no-bootstrap'
