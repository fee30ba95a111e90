import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { asError, stopAll } from '../base/index.ts'
import { type EvmAddress, evmAddressOfPeerId } from '../identity/index.ts'
import { isCircuit, tcpPortAt } from './addresses.ts'
import { type BootstrapKeeper, createBootstrapKeeper } from './bootstrap-keeper.ts'
import { openBootstrapTable } from './bootstrap-table.ts'
import { type Connector, createConnector } from './connect.ts'
import { createConnectionGuard } from './connection-guard.ts'
import { type Assembled, assembleLibp2p } from './create-libp2p.ts'
import { within } from './deadline.ts'
import { createDriveRecords } from './drive-records.ts'
import { networkError } from './errors.ts'
import { createFramedStream } from './framed-stream.ts'
import { createGossip } from './gossip.ts'
import { createHttpClient } from './http-client.ts'
import { createHttpServer } from './http-server.ts'
import { createHttpSessions } from './http-sessions.ts'
import { createLan } from './lan.ts'
import { openLanSocket } from './lan-socket.ts'
import {
  createKnockDoor,
  createKnockRelay,
  KNOCK_PROTOCOL,
  KNOCK_RELAY_PROTOCOL,
  type KnockAnswer,
  knockOver,
  MAX_KNOCK_FRAME_BYTES,
} from './knock-relay.ts'
import { FIRST_FRAME_MS, KNOCK_ANSWER_MS, MAX_KNOCK_BYTES } from './limits.ts'
import type { FramedStream, Network, NetworkNeeds, NetworkOptions, StreamLimits } from './types.ts'

/** Streams of one protocol that this node opens to one peer: as many as a busy exchange needs, and a bound. */
const MAX_OUTBOUND_STREAMS = 256
/** Knocks carried at once for one connection. */
const KNOCK_LIMITS: StreamLimits = { maxFrameBytes: MAX_KNOCK_FRAME_BYTES, maxInboundStreams: 4 }

interface Running {
  readonly assembled: Assembled
  readonly keeper: BootstrapKeeper
  readonly connector: Connector
}

export function createNetwork(needs: NetworkNeeds, options: NetworkOptions): Network {
  const { clock, log, identity } = needs
  const isBootstrap = options.role === 'bootstrap'
  const bootstraps = new Set(options.networkFile.bootstraps.map(({ peerId }) => peerId))
  const gossip = createGossip(needs, options)
  const records = createDriveRecords(needs, isBootstrap)
  const guard = createConnectionGuard(needs.gate, options)
  const httpSessions = createHttpSessions(needs)
  const httpClient = createHttpClient(clock)
  const httpServer =
    options.httpListen === undefined
      ? undefined
      : createHttpServer({ self: identity.peerId, clock, log }, httpSessions, options.httpListen)
  const lan =
    options.lan === true
      ? createLan({ ...needs, openSocket: openLanSocket, portsAt: (ip) => portsAt(ip) })
      : undefined
  let running: Running | undefined
  let starting: Promise<void> | undefined
  let knockAnswer: KnockAnswer | undefined

  const need = (): Running => {
    if (running === undefined) throw new Error('the network has not been started')
    return running
  }
  const portsAt = (ip: string) => {
    const listening = running?.assembled.transportManager.getAddrs() ?? []
    const tcpPort = listening.map((address) => tcpPortAt(address, ip)).find((port) => port)
    const isOverHttp = ['0.0.0.0', '::', ip].includes(options.httpListen?.host ?? '')
    const url = isOverHttp ? httpServer?.url : undefined
    const httpPort = url === undefined ? undefined : Number(new URL(url).port) || 80
    return tcpPort === undefined && httpPort === undefined ? undefined : { tcpPort, httpPort }
  }
  const frame = (
    stream: Stream,
    remotePeer: PeerId,
    limits: { maxFrameBytes: number },
    first?: number,
  ) =>
    createFramedStream(clock, stream, {
      remotePeer,
      remoteAddress: addressOf(remotePeer),
      maxFrameBytes: limits.maxFrameBytes,
      ...(first === undefined ? {} : { firstFrameMs: first }),
    })
  const openOn = async (
    connection: Connection,
    protocol: string,
    maxFrameBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<FramedStream> => {
    const stream = await connection.newStream(protocol, {
      runOnLimitedConnection: true,
      maxOutboundStreams: MAX_OUTBOUND_STREAMS,
      ...(signal === undefined ? {} : { signal }),
    })
    return frame(stream, connection.remotePeer, { maxFrameBytes })
  }
  const serveWith =
    (limits: StreamLimits, serve: (stream: FramedStream) => Promise<void>) =>
    async (stream: Stream, connection: Connection) => {
      const framed = frame(stream, connection.remotePeer, limits, FIRST_FRAME_MS)
      try {
        await serve(framed)
        await framed.close()
      } catch (thrown) {
        log.debug({ protocol: stream.protocol, reason: asError(thrown).message }, 'a stream failed')
        framed.abort(asError(thrown))
      }
    }
  const handle: Network['handle'] = async (protocol, limits, serve) => {
    httpServer?.handle(protocol, { limits, serve })
    await need().assembled.libp2p.handle(protocol, serveWith(limits, serve), {
      maxInboundStreams: limits.maxInboundStreams,
      maxOutboundStreams: MAX_OUTBOUND_STREAMS,
      runOnLimitedConnection: true,
      force: true,
    })
  }
  const open: Network['open'] = async (peer, protocol, openOptions) => {
    const { connector } = need()
    const { signal, maxFrameBytes, multiaddrs = [], http } = openOptions
    if (http !== undefined) {
      signal?.throwIfAborted()
      if (!http.pass.server.equals(peer)) throw foreignPass(peer)
      return httpClient.open(protocol, { ...http, remoteAddress: addressOf(peer), maxFrameBytes })
    }
    for (let attempt = 1; ; attempt += 1) {
      const connection = await connector.connect(peer, multiaddrs, signal)
      try {
        return await openOn(connection, protocol, maxFrameBytes, signal)
      } catch (thrown) {
        signal?.throwIfAborted()
        const { name } = asError(thrown)
        const isUnsupported = name === 'UnsupportedProtocolError'
        if (!isUnsupported && attempt === 1) {
          // A connection that died unnoticed gives no answer: it goes, and the peer is dialled anew.
          // A live one that reset this stream has others to carry.
          if (name === 'TimeoutError') connection.abort(asError(thrown))
          continue
        }
        throw networkError('refused', `${peer.toString()} does not take streams of ${protocol}`, {
          blame: 'peer',
          fix: isUnsupported
            ? 'It does not serve this; check its role and version.'
            : 'It does not know us: become its friend or show a grant.',
          cause: thrown,
        })
      }
    }
  }

  const start = async () => {
    const table = await openBootstrapTable(needs.datastore, options.networkFile.bootstraps)
    const assembled = await assembleLibp2p(needs, options, { gater: guard.gater, gossip, records })
    const { libp2p } = assembled
    guard.watch(libp2p, () => libp2p.services.relay?.reservations.values() ?? [])
    const keeper = createBootstrapKeeper(needs, {
      role: options.role,
      self: identity.peerId,
      table,
      libp2p,
      transportManager: assembled.transportManager,
      reservations: assembled.reservations,
    })
    running = { assembled, keeper, connector: createConnector(clock, { libp2p, keeper }) }
    if (isBootstrap) {
      const relayKnock = createKnockRelay(needs, {
        libp2p: () => libp2p,
        openStream: (connection, protocol, signal) =>
          openOn(connection, protocol, MAX_KNOCK_FRAME_BYTES, signal),
      })
      await handle(KNOCK_RELAY_PROTOCOL, KNOCK_LIMITS, relayKnock)
    } else {
      const door = createKnockDoor(needs, {
        isBootstrap: (peer) => bootstraps.has(peer.toString()),
        answer: () => knockAnswer,
      })
      await handle(KNOCK_PROTOCOL, { ...KNOCK_LIMITS, maxInboundStreams: 64 }, door)
    }
    await libp2p.start()
    gossip.afterStart()
    await records.start(libp2p.services.dht)
    keeper.start()
    await httpServer?.start()
  }

  return {
    peerId: identity.peerId,
    role: options.role,
    get libp2p(): Libp2p {
      return need().assembled.libp2p
    },
    start() {
      starting ??= start()
      return starting
    },
    async stop() {
      if (starting === undefined) return
      await starting.catch(() => undefined)
      const stopping = running
      lan?.stop()
      httpClient.stop()
      await httpServer?.stop()
      records.stop()
      if (stopping === undefined) return
      const { libp2p } = stopping.assembled
      await stopAll([stopping.keeper, { stop: async () => libp2p.stop() }])
    },
    addresses() {
      const { libp2p } = need().assembled
      const relayed = libp2p.getMultiaddrs().filter(isCircuit)
      return { direct: directAddresses(need().assembled, options), relayed }
    },
    handle,
    async unhandle(protocol) {
      httpServer?.unhandle(protocol)
      await need().assembled.libp2p.unhandle(protocol)
    },
    open,
    async disconnect(peer) {
      const reason = new Error('disconnected')
      httpSessions.end((session) => session.peerId.equals(peer))
      for (const connection of need().assembled.libp2p.getConnections(peer)) {
        // Closing would wait for the streams; a friend who was removed is cut off now.
        connection.abort(reason)
      }
    },
    async announce(announcement) {
      await need().keeper.ready()
      return gossip.announce(announcement)
    },
    listen: gossip.listen,
    async putRecord(key, value, recordOptions) {
      await need().keeper.ready(recordOptions?.signal)
      await records.putRecord(key, value, recordOptions)
    },
    async getRecord(key, recordOptions) {
      await need().keeper.ready(recordOptions?.signal)
      return records.getRecord(key, recordOptions)
    },
    async knockThroughBootstrap(peer, message, knockOptions) {
      if (message.byteLength > MAX_KNOCK_BYTES) {
        throw networkError('frame-too-large', `a knock of ${message.byteLength} bytes`, {
          blame: 'caller',
          fix: `Keep it below ${MAX_KNOCK_BYTES} bytes.`,
        })
      }
      const { keeper } = need()
      await keeper.ready(knockOptions?.signal)
      for (const bootstrap of keeper.all().slice(0, MAX_KNOCKED_BOOTSTRAPS)) {
        try {
          const { here, answer } = await within(
            clock,
            2 * KNOCK_ANSWER_MS,
            knockOptions?.signal,
            async (signal) => {
              await keeper.reach(bootstrap, signal)
              const stream = await open(bootstrap, KNOCK_RELAY_PROTOCOL, {
                signal,
                maxFrameBytes: MAX_KNOCK_FRAME_BYTES,
              })
              return knockOver(stream, peer, message, signal)
            },
          )
          if (here) return answer
        } catch (thrown) {
          knockOptions?.signal?.throwIfAborted()
          log.debug(
            { bootstrap: bootstrap.toString(), reason: asError(thrown).message },
            'a bootstrap did not carry a knock',
          )
        }
      }
      return undefined
    },
    onKnock(answer) {
      knockAnswer = answer
    },
    lan,
    get httpUrl() {
      return httpServer?.url === undefined ? undefined : (options.httpAnnounce ?? httpServer.url)
    },
    onHttpKnock: (answer) => httpServer?.onKnock(answer),
    openHttpSession: (guest) =>
      httpServer?.url === undefined ? undefined : httpSessions.open(guest),
  }
}

/** A peer holds reservations on a few bootstraps; connected ones are asked first. */
const MAX_KNOCKED_BOOTSTRAPS = 8

function directAddresses(assembled: Assembled, options: NetworkOptions): Multiaddr[] {
  if (options.announce !== undefined) return options.announce.map((text) => multiaddr(text))
  return assembled.transportManager.getAddrs().filter((address) => !isCircuit(address))
}

function foreignPass(peer: PeerId) {
  return networkError('refused', `the pass is for another server than ${peer.toString()}`, {
    blame: 'caller',
    fix: 'Use the pass that its own knock gave.',
  })
}

function addressOf(peer: PeerId): EvmAddress {
  const address = evmAddressOfPeerId(peer)
  if (address !== undefined) return address
  throw networkError('refused', `${peer.toString()} has no secp256k1 key`, {
    blame: 'peer',
    fix: 'ioeX nodes are secp256k1 keys; this is another kind of peer.',
  })
}
