/**
 * How nodes reach one another: TCP, noise and yamux under libp2p, relayed circuits over bootstraps, a
 * Kademlia DHT of our own prefix, and signed announcements over gossipsub.
 *
 * Bootstraps are the DHT servers, the gossip routers and the relays; everybody else is a DHT client and a
 * gossip leaf, so being on the same network opens nobody's door. To bootstraps a peer tells only its
 * circuit addresses; direct ones go to friends and grant holders. Whom to let in is not decided here: the
 * room is handed a gate (`friends` makes it) and asks it after the handshake has proven the PeerId.
 *
 * | protocol | frames | who answers |
 * | --- | --- | --- |
 * | `/ioex/kad/1.0.0` | kad-dht | bootstraps |
 * | `/meshsub/1.2.0` on `/ioex/announce/1/{0..15}` | at most 2 KiB each | bootstraps route, all hear |
 * | `/ioex/knock-relay/1.0.0` | one frame each way, at most 4 KiB | bootstraps, for peers that hold a reservation |
 * | circuit relay v2 | libp2p's | bootstraps |
 *
 * On the local network devices find others that know the same secret by sealed beacons (`lan.ts`).
 *
 * Two wires carry the framed streams of `handle` and `open`: libp2p for everybody, and plain HTTP for those
 * whom a knock gave a pass (`friends`), to nodes that listen for it. What is sent there is content that is
 * checked by its name; requests prove themselves (`http-auth.ts`), and nothing else gets a byte.
 */
export { createNetwork } from './create-network.ts'
export { within } from './deadline.ts'
export { driveRecordKey } from './drive-record.ts'
export { networkFileSigner, signNetworkFile, verifyNetworkFile } from './network-file.ts'
export { createHttpPass, type HttpPass } from './http-auth.ts'
export { createRateLimit, type RateLimit } from './rate.ts'
export type {
  Announcement,
  FramedStream,
  GateHooks,
  HttpGuest,
  Lan,
  LanPeer,
  LedgerAddress,
  Network,
  NetworkErrorCode,
  NetworkFile,
  NetworkNeeds,
  NetworkOptions,
  PriceVersion,
  Role,
  SignedNetworkFile,
  StreamLimits,
} from './types.ts'
