/** libp2p as npm has it, with nothing of ours; on loopback unless told otherwise. */
import { autoNAT } from '@libp2p/autonat'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify, type Identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'

type Service = 'relay' | 'dcutr' | 'dht' | 'autoNAT'

export type StockNode = Libp2p<{ identify: Identify; ping: Ping } & Record<Service, unknown>>

export interface StockOptions {
  readonly listen?: string[]
  /** Dials and listens over relays. */
  readonly overRelays?: boolean
  readonly services?: readonly Service[]
}

export async function createStockNode(options: StockOptions = {}): Promise<StockNode> {
  const none = () => undefined
  const has = (service: Service) => options.services?.includes(service) === true
  return createLibp2p({
    addresses: { listen: options.listen ?? ['/ip4/127.0.0.1/tcp/0'] },
    transports: options.overRelays === true ? [tcp(), circuitRelayTransport()] : [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    services: {
      identify: identify(),
      ping: ping(),
      relay: has('relay') ? circuitRelayServer() : none,
      dcutr: has('dcutr') ? dcutr() : none,
      autoNAT: has('autoNAT') ? autoNAT() : none,
      dht: has('dht')
        ? kadDHT({
            protocol: '/test/kad/1.0.0',
            clientMode: false,
            peerInfoMapper: passthroughMapper,
          })
        : none,
    },
  })
}
