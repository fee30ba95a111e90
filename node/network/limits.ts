import { KIB, MIB } from '../base/index.ts'

/** Yamux may let this much be on its way per stream: 40 ms at 50 MiB/s. Must stay below libp2p's 4 MiB read buffer. */
export const STREAM_WINDOW_BYTES = 2 * MIB
/** Written to one connection and not taken by the kernel yet, before its streams wait: with 64 KiB each block waits. */
export const TCP_WRITE_BUFFER_BYTES = 256 * KIB
/** Streams that may arrive while the gate still looks at the connection; libp2p resets those beyond, and its 10 are few. */
export const MAX_EARLY_STREAMS = 64
/** A reader that holds this much pauses its stream; a frame larger than that counts alone. */
export const READ_AHEAD_BYTES = 256 * KIB
/** Connections of one node; each costs about 0.35 MiB (measured), so 700 MiB on a full bootstrap. */
export const MAX_CONNECTIONS = { bootstrap: 2000, other: 300 }
/** A secp256k1 noise handshake costs 12 ms of CPU: 20 a second from one address are a quarter of a core. */
export const MAX_NEW_CONNECTIONS_PER_IP_PER_SECOND = 20
/** Homes and offices share an address, carriers' NATs do so too: roomy, but no single host fills the node. */
export const MAX_CONNECTIONS_PER_IP = 128
/**
 * Handshakes going on at once. Whoever comes beyond is reset before it costs anything and comes again later:
 * with more, all of them run into their timeouts on a busy machine and none is ever done (measured with 200
 * leaves arriving at once).
 */
export const MAX_PENDING_HANDSHAKES = 24
/**
 * Pings over idle connections. libp2p's 10 s and its adaptive timeout of 2 s upwards cut live connections of
 * a busy machine; a bootstrap with a thousand of them leaves the asking to the other side.
 */
export const PING_INTERVAL_MS = { bootstrap: 60_000, other: 15_000 }
export const PING_TIMEOUT_MS = { min: 5_000, max: 20_000 }
export const DIAL_TIMEOUT_MS = 10_000
export const ADDRESS_DIAL_TIMEOUT_MS = 4_000
/** Addresses tried for one peer: a friend has a few interfaces, more is an attempt to make us dial around. */
export const MAX_DIALLED_ADDRESSES = 12

/** An opened stream whose first frame does not come within this time is aborted. */
export const FIRST_FRAME_MS = 30_000
/** Without a single byte for so long in the middle of a frame the stream is aborted. */
export const STALLED_FRAME_MS = 60_000

/** Bootstraps a node stays connected to: one may fail, another be slow, and announcements come thrice. */
export const BOOTSTRAP_CONNECTIONS = 3
/** Bootstraps keep up with this many of one another. */
export const BOOTSTRAP_NEIGHBOURS = 32
/** Relays at which a peer can be reached: one may fail. Each costs the bootstrap two signatures. */
export const RESERVATIONS = 2
export const REDIAL_MIN_MS = 500
export const REDIAL_MAX_MS = 60_000
/** The watchdog looks at connections and reservations this often even if no event woke it. */
export const WATCH_INTERVAL_MS = 5_000
/** How long calls that need a bootstrap wait for the first one. */
export const BOOTSTRAP_WAIT_MS = 5_000

/** Relay: reservations in all and from one address, circuits in all and per peer. */
export const MAX_RESERVATIONS = 1500
export const MAX_RESERVATIONS_PER_IP = 128
export const MAX_CIRCUITS = 2000
export const MAX_CIRCUITS_PER_PEER = 32
/** Unsent bytes of one stream on a bootstrap before it is reset: the last net against a slow circuit end. */
export const RELAY_WRITE_BUFFER_BYTES = 4 * MIB

/** Announcements: whole message, age, clocks that run ahead, and how many one vendor gets forwarded. */
export const MAX_ANNOUNCEMENT_BYTES = 2 * KIB
export const ANNOUNCEMENT_MAX_AGE_MS = 10 * 60_000
export const ANNOUNCEMENT_MAX_AHEAD_MS = 2 * 60_000
export const ANNOUNCEMENTS_PER_VENDOR = { count: 30, perMs: 60_000 }
export const TOPICS = 16
/** One gossip frame: a few announcements, or control messages naming many. */
export const MAX_GOSSIP_FRAME_BYTES = 64 * KIB
/** Unsent gossip for one peer; a leaf that does not read is cut off, not buffered for. */
export const GOSSIP_BUFFER_BYTES = 256 * KIB

/** Records in the DHT: payload, and how many keys one bootstrap keeps (1.5 KiB each with overhead, so 75 MiB). */
export const MAX_RECORD_BYTES = 1024
export const MAX_STORED_RECORDS = 50_000
/** kad-dht drops records after 48 hours. */
export const RECORD_RENEWAL_MS = 12 * 60 * 60_000
/** As long as kad-dht answers with a record after it was stored last. */
export const RECORD_LIFETIME_MS = 48 * 60 * 60_000
export const RECORD_QUERY_MS = 10_000
export const FIND_PEER_MS = 3_000

/** Knocks: message, answer in time, and rates. */
export const MAX_KNOCK_BYTES = 4 * KIB
export const KNOCK_ANSWER_MS = 5_000
export const KNOCKS_PER_SOURCE = { count: 20, perMs: 60_000 }
export const KNOCKS_PER_SOURCE_IP = { count: 120, perMs: 60_000 }
export const KNOCKS_PER_TARGET = { count: 120, perMs: 60_000 }
/** Sources and targets remembered for the rates; the longest unseen goes first. */
export const MAX_RATE_KEYS = 10_000

/** The HTTP listener. Opening a knock: a small message over one round trip; slower is somebody holding the socket. */
export const KNOCK_BODY_MS = 5_000
export const MAX_HTTP_HEADER_BYTES = 4 * KIB
/** Sockets that have not proven themselves yet; when there are more the oldest is closed. */
export const MAX_UNPROVEN_SOCKETS = 128
/** With the others: a stream has one socket of its own and shares one for what it sends. */
export const MAX_HTTP_SOCKETS = 1024
/** A session is 300 bytes; the one that was used longest ago goes. */
export const MAX_HTTP_SESSIONS = 10_000
/**
 * Streams of all sessions: a socket and about 0.5 MiB each while a reader is slow. More than the exchange serves
 * at once, so that it is the one to say who makes room; when there are more, one over which nothing came goes.
 */
export const MAX_HTTP_STREAMS = 640
/** Of all sessions of one peer, as it may knock again. */
export const MAX_HTTP_STREAMS_PER_PEER = 32
/** Requests of one session that may overtake one another: its streams send side by side. */
export const REPLAY_SLOTS = 256
/** Frames of a client that go in one request; a larger frame goes alone. */
export const MAX_POST_BYTES = 128 * KIB
/** Bodies that are being read at one time, of everybody, and of one peer: what its sockets for sending carry. */
export const MAX_HTTP_BODY_BYTES = 32 * MIB
export const MAX_HTTP_BODY_BYTES_PER_PEER = 2 * MIB
/** A whole request: MAX_POST_BYTES at 40 kbit/s. */
export const HTTP_REQUEST_MS = 30_000
/** A socket that has something to write and gets nothing away for so long is closed. */
export const STALLED_SOCKET_MS = 60_000
/** A stream on which nothing came or went for so long is aborted; what runs over it ends earlier by itself. */
export const IDLE_HTTP_STREAM_MS = 300_000
/** How often sessions and streams are looked at for the limits above. */
export const HTTP_SWEEP_MS = 10_000
export const HTTP_KEEP_ALIVE_MS = 60_000
/** What was written and is not out yet, before a sender waits; and what is gathered for one system call. */
export const HTTP_WRITE_BUFFER_BYTES = 256 * KIB
export const HTTP_BATCH_BYTES = 128 * KIB
/** From the first byte to the head of the answer; beyond it another wire is taken. */
export const HTTP_OPEN_MS = 5_000
/** Sockets of a client to one server for what it sends; each stream reads from one of its own. */
export const POST_SOCKETS_PER_SERVER = 4

/** The local network: a group of the local scope (RFC 2365) and a port that nobody has registered. */
export const LAN_GROUP = '239.255.105.101'
export const LAN_PORT = 41_839
/** Beacons come in intervals that double, as in Trickle (RFC 6206): some may be lost, and soon all is said. */
export const LAN_INTERVAL_MS = { first: 1_000, last: 30_000 }
/** Those of intervals up to this ask whoever is there to answer: the first three. */
export const LAN_ASKING_MS = 4_000
/** Whoever heard so many others meanwhile keeps silent: as many as a seed tells of, however many devices there are. */
export const LAN_ENOUGH = 12
/** Answers are spread over this, so that most hear that there are enough of them. */
export const LAN_ANSWER_WITHIN_MS = 250
/** An answer is for all who asked since the last one. */
export const LAN_ANSWER_GAP_MS = 500
/** Clocks that differ; whatever is older is somebody's recording. Grants need better clocks than that. */
export const LAN_MAX_SKEW_MS = 2 * 60_000
/** Datagrams that are looked into: of a host with a few devices that start at once, and of everybody. */
export const LAN_DATAGRAMS_PER_IP = { count: 30, perMs: 10_000, maxKeys: 1_024 }
export const LAN_DATAGRAMS = { count: 300, perMs: 10_000, maxKeys: 1 }
/** Others that are remembered per release, and of them from one address, as whoever knows the release can make up some. */
export const LAN_PEERS = 64
export const LAN_PEERS_PER_IP = 8
/** One that was not heard for so long, a few intervals and all of them lost, may be gone. */
export const LAN_PEER_KEPT_MS = 3 * 60_000
/** Releases that are not fetched any longer, and still answered for. */
export const LAN_SERVED = 4
