import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions, Clock, Log, Random, Result, Startable } from '../base/index.ts'
import type { EvmAddress, Identity } from '../identity/index.ts'
import type { GateHooks, HttpPass, Network } from '../network/index.ts'
import type { SignedGrant } from '../receipts/index.ts'
import type { Records } from '../storage/index.ts'

export interface Gate {
  readonly hooks: GateHooks
  isFriend(peer: PeerId): boolean
  /** Friend, infrastructure, or admitted for the time being. */
  isWelcome(peer: PeerId): boolean
  /** Lets a peer in until then (a grant's validity); the longest admission counts. */
  admit(peer: PeerId, untilMs: number): void
  /** Ends an admission at once. */
  dismiss(peer: PeerId): void
}

export interface Friend {
  readonly peerId: PeerId
  readonly name: string
  readonly sinceMs: number
  /** Direct addresses he told us last. */
  readonly multiaddrs: readonly Multiaddr[]
}

export interface FriendRequest {
  readonly peerId: PeerId
  readonly hello: string
  readonly receivedMs: number
}

/** What a server answers to whom it lets in. */
export interface Admission {
  /** Its direct addresses. */
  readonly addresses: readonly Multiaddr[]
  /** For requests over HTTP, when the knock went there. */
  readonly pass?: HttpPass
}

export type KnockRefusal = 'knock-unanswered' | 'knock-refused' | 'address-outdated'

export interface Friends extends Startable {
  /** What to pass on to people who shall be able to ask. */
  contactAddress(): string
  list(): readonly Friend[]
  /** By hand, without pairing: for nodes of one operator. */
  add(
    peerId: PeerId,
    details: { readonly name: string; readonly multiaddrs?: readonly Multiaddr[] },
  ): void
  /** Ends the friendship here and closes live connections within a second. */
  remove(peerId: PeerId): Promise<boolean>
  /** Asks the owner of a contact address; resolves `asked`, or `befriended` when a pairing code or an earlier request of his answers at once. */
  request(
    contactAddress: string,
    options: AbortOptions & {
      readonly hello: string
      readonly pairingCode?: string
      readonly knockUrl?: string
    },
  ): Promise<Result<'asked' | 'befriended', KnockRefusal>>
  pending(): readonly FriendRequest[]
  accept(peerId: PeerId): Promise<Result<Friend, 'no-such-request'>>
  decline(peerId: PeerId): boolean
  onChange(changed: () => void): () => void
  /** Shows a grant at a server's knock, over HTTP when its base URL is known. */
  knock(
    server: { readonly peerId: PeerId; readonly http?: string },
    grant: SignedGrant,
    options?: AbortOptions,
  ): Promise<Result<Admission, KnockRefusal>>
  /** `http://host:port/knock`, when this node listens for HTTP. */
  readonly knockUrl: string | undefined
}

export interface FriendsOptions {
  /** Whoever knows it becomes a friend at once. Set by the service's owner. */
  readonly pairingCode?: string
}

export interface GateNeeds {
  /** The list of friends lives here; `createFriends` must be handed the same ones. */
  readonly records: Pick<Records, 'get'>
  readonly clock: Pick<Clock, 'nowMs'>
  /** PeerIds that are always let in: bootstraps and the gateway of the network file. */
  readonly infrastructure: () => Iterable<string>
}

export interface GateOptions {
  /** Bootstraps let everybody in, within the limits of `network`. */
  readonly openToAll?: boolean
}

export interface FriendsNeeds {
  readonly identity: Pick<
    Identity,
    'peerId' | 'privateKey' | 'publicKey' | 'evmAddress' | 'signMessage'
  >
  /** The four bytes that strangers need beside the ID; asked each time, as the owner may change them. */
  readonly nospam: () => Uint8Array
  readonly gate: Gate
  readonly network: Pick<
    Network,
    | 'peerId'
    | 'libp2p'
    | 'addresses'
    | 'handle'
    | 'unhandle'
    | 'open'
    | 'disconnect'
    | 'knockThroughBootstrap'
    | 'onKnock'
    | 'httpUrl'
    | 'onHttpKnock'
    | 'openHttpSession'
  >
  readonly records: Records
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Whether a grant that somebody shows lets him in here; `notAfter` in Unix seconds. */
  readonly checkGrant: (
    grant: SignedGrant,
    device: EvmAddress,
  ) => Promise<Result<{ readonly notAfter: number }>>
}

export type FriendErrorCode =
  | 'contact-address-invalid'
  | 'too-many-friends'
  | 'too-many-requests'
  | 'hello-too-long'
