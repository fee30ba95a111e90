import type { PeerId } from '@libp2p/interface'
import { asError, type Clock } from '../base/index.ts'
import type { Identity } from '../identity/index.ts'
import type { FramedStream, Network, StreamLimits } from '../network/index.ts'
import { networkError } from './memory-errors.ts'
import { createStreamPair, type StreamPair, type Uplink } from './memory-stream.ts'

export interface MemoryLink {
  /** One way. */
  readonly delayMs?: number
  /** Of everything this node sends, over all streams. */
  readonly bytesPerSecond?: number
}

/** One node of a memory network, with handles to spoil its day. */
export interface MemoryNode
  extends Pick<Network, 'peerId' | 'open' | 'handle' | 'unhandle' | 'disconnect'> {
  setLink(link: MemoryLink): void
  /** Power cut: every stream breaks on both sides, nobody reaches this node until `recover`. */
  fail(): void
  recover(): void
  /** Silence: nothing breaks, but nothing this node sends arrives until `resume`. */
  stall(): void
  resume(): void
  /** Streams that are open now, both directions. */
  readonly openStreams: number
}

export interface MemoryNetwork {
  join(identity: Pick<Identity, 'peerId' | 'evmAddress'>, link?: MemoryLink): MemoryNode
}

interface OpenStream {
  readonly pair: StreamPair
  readonly protocol: string
  readonly from: Member
  readonly to: Member
}

interface Member {
  readonly identity: Pick<Identity, 'peerId' | 'evmAddress'>
  readonly uplink: Uplink
  readonly protocols: Map<
    string,
    { readonly limits: StreamLimits; readonly serve: (stream: FramedStream) => Promise<void> }
  >
  failed: boolean
}

/** Nodes in one process that open framed streams to one another without sockets or handshakes. */
export function createMemoryNetwork(needs: { readonly clock: Clock }): MemoryNetwork {
  const members = new Map<string, Member>()
  const streams = new Set<OpenStream>()

  const breakWhere = (affected: (stream: OpenStream) => boolean, reason: string) => {
    for (const stream of streams) {
      if (!affected(stream)) continue
      streams.delete(stream)
      stream.pair.break(new Error(reason))
    }
  }

  const open = async (
    from: Member,
    peer: PeerId,
    protocol: string,
    options: Parameters<Network['open']>[2],
  ): Promise<FramedStream> => {
    options.signal?.throwIfAborted()
    const to = members.get(peer.toString())
    if (to === undefined || to.failed || from.failed) {
      throw networkError('unreachable', 'peer', `no way to ${peer.toString()}`)
    }
    const roundTripMs = from.uplink.delayMs + to.uplink.delayMs
    if (roundTripMs > 0) await needs.clock.sleep(roundTripMs, options)
    const served = to.protocols.get(protocol)
    if (served === undefined) {
      throw networkError('refused', 'peer', `${protocol} is not served there`)
    }
    const same = [...streams].filter(
      (stream) => stream.from === from && stream.to === to && stream.protocol === protocol,
    )
    if (same.length >= served.limits.maxInboundStreams) {
      throw networkError('refused', 'peer', `too many streams of ${protocol}`)
    }
    const pair = createStreamPair(
      needs.clock,
      endOf(from, options.maxFrameBytes),
      endOf(to, served.limits.maxFrameBytes),
    )
    const stream: OpenStream = { pair, protocol, from, to }
    streams.add(stream)
    served
      .serve(pair.far)
      .then(() => pair.far.close())
      .catch((thrown: unknown) => pair.break(asError(thrown)))
      .finally(() => streams.delete(stream))
    return pair.near
  }

  return {
    join(identity, link = {}) {
      const self: Member = {
        identity,
        uplink: {
          delayMs: link.delayMs ?? 0,
          bytesPerSecond: link.bytesPerSecond ?? Number.POSITIVE_INFINITY,
          freeAtMs: 0,
          held: undefined,
        },
        protocols: new Map(),
        failed: false,
      }
      members.set(identity.peerId.toString(), self)
      let release: (() => void) | undefined
      const touches = (stream: OpenStream) => stream.from === self || stream.to === self

      return {
        peerId: identity.peerId,
        open: (peer, protocol, options) => open(self, peer, protocol, options),
        async handle(protocol, limits, serve) {
          self.protocols.set(protocol, { limits, serve })
        },
        async unhandle(protocol) {
          self.protocols.delete(protocol)
        },
        async disconnect(peer) {
          const other = members.get(peer.toString())
          breakWhere(
            (stream) => touches(stream) && (stream.from === other || stream.to === other),
            'disconnected',
          )
        },
        setLink(changed) {
          self.uplink.delayMs = changed.delayMs ?? 0
          self.uplink.bytesPerSecond = changed.bytesPerSecond ?? Number.POSITIVE_INFINITY
        },
        fail() {
          self.failed = true
          breakWhere(touches, 'the node failed')
        },
        recover() {
          self.failed = false
        },
        stall() {
          const held = Promise.withResolvers<void>()
          self.uplink.held ??= held.promise
          release ??= held.resolve
        },
        resume() {
          self.uplink.held = undefined
          release?.()
          release = undefined
        },
        get openStreams() {
          return [...streams].filter(touches).length
        },
      }
    },
  }
}

function endOf(member: Member, maxFrameBytes: number) {
  return {
    peerId: member.identity.peerId,
    address: member.identity.evmAddress,
    uplink: member.uplink,
    maxFrameBytes,
  }
}
