import { decode, encode } from '@ipld/dag-cbor'
import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import { asError } from '../base/index.ts'
import { type FramedStream, within } from '../network/index.ts'
import { addressBytes, addressList } from './knock-messages.ts'
import { ADDRESS_FRAME_BYTES, ADDRESS_TIMEOUT_MS } from './limits.ts'
import type { FriendsNeeds } from './types.ts'

const FRIEND_PROTOCOL = '/ioex/friend/1.0.0'
const LIMITS = { maxFrameBytes: ADDRESS_FRAME_BYTES, maxInboundStreams: 2 }
const frameForm = z.strictObject({ v: z.literal(1), addresses: addressList })

export interface AddressExchange {
  start(): Promise<void>
  stop(): Promise<void>
}

/**
 * Friends tell each other where they are, over whatever connection they have (a circuit at first): when they
 * meet, and when an address changes. Bootstraps carry these streams without being able to read them.
 */
export function createAddressExchange(
  needs: Pick<FriendsNeeds, 'network' | 'gate' | 'clock' | 'log'>,
  heard: (peer: PeerId, addresses: readonly Multiaddr[]) => void,
): AddressExchange {
  const { network, gate, clock, log } = needs
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()

  const own = () => {
    const { direct, relayed } = network.addresses()
    return encode({ v: 1, addresses: addressBytes([...direct, ...relayed]) })
  }
  const receive = async (stream: FramedStream, signal: AbortSignal) => {
    const frame = await stream.receive({ signal })
    if (frame === undefined) return
    const { addresses } = frameForm.parse(decode(frame))
    heard(
      stream.remotePeer,
      addresses.map((one) => multiaddr(one)),
    )
  }
  const serve = async (stream: FramedStream) => {
    if (!gate.isFriend(stream.remotePeer)) return
    await within(clock, ADDRESS_TIMEOUT_MS, stopping.signal, async (signal) => {
      await receive(stream, signal)
      await stream.send(own(), { signal })
    })
  }
  const tell = (peer: PeerId) => {
    const telling = within(clock, ADDRESS_TIMEOUT_MS, stopping.signal, async (signal) => {
      const stream = await network.open(peer, FRIEND_PROTOCOL, {
        signal,
        maxFrameBytes: ADDRESS_FRAME_BYTES,
      })
      try {
        await stream.send(own(), { signal })
        await receive(stream, signal)
      } finally {
        await stream.close()
      }
    })
      .catch((thrown: unknown) => {
        const reason = asError(thrown).message
        log.debug({ friend: peer.toString(), reason }, 'addresses were not exchanged')
      })
      .finally(() => running.delete(telling))
    running.add(telling)
  }
  const onConnect = ({ detail: peer }: CustomEvent<PeerId>) => {
    // One of the two begins, and both tell.
    if (gate.isFriend(peer) && network.peerId.toString() < peer.toString()) tell(peer)
  }
  const onChange = () => {
    for (const peer of network.libp2p.getPeers()) if (gate.isFriend(peer)) tell(peer)
  }

  return {
    async start() {
      await network.handle(FRIEND_PROTOCOL, LIMITS, serve)
      network.libp2p.addEventListener('peer:connect', onConnect)
      network.libp2p.addEventListener('self:peer:update', onChange)
    },
    async stop() {
      network.libp2p.removeEventListener('peer:connect', onConnect)
      network.libp2p.removeEventListener('self:peer:update', onChange)
      stopping.abort(new Error('friends are stopping'))
      await network.unhandle(FRIEND_PROTOCOL)
      await Promise.all(running)
    },
  }
}
