import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type CircuitRelayService,
  circuitRelayServer,
  circuitRelayTransport,
} from '@libp2p/circuit-relay-v2'
import type { Connection, PeerId, Stream, Transport } from '@libp2p/interface'
import { MAX_CIRCUITS, MAX_CIRCUITS_PER_PEER, MAX_RESERVATIONS } from './limits.ts'

/** Methods of the relay server through which every circuit's two streams pass. */
interface RelayInternals {
  onHop(stream: Stream, connection: Connection): Promise<void>
  stopHop(...request: unknown[]): Promise<Stream | undefined>
}

type ServerComponents = Parameters<ReturnType<typeof circuitRelayServer>>[0]
type TransportComponents = Parameters<ReturnType<typeof circuitRelayTransport>>[0]

/**
 * The relay of a bootstrap. Circuits have no byte budget (libp2p's stock 128 KiB in both directions together
 * carry no firmware) but caps in number. The two streams of a circuit are linked so that one is not read while
 * the other cannot be written: stock, a fast sender fills the relay's memory when the far end is slow.
 */
export function relayServer() {
  const create = circuitRelayServer({
    maxInboundHopStreams: MAX_CIRCUITS_PER_PEER + 2,
    maxOutboundStopStreams: MAX_CIRCUITS,
    reservations: { applyDefaultLimit: false, maxReservations: MAX_RESERVATIONS },
  })
  const asking = new AsyncLocalStorage<Stream>()
  return (components: ServerComponents): CircuitRelayService => {
    const service = create(components) as CircuitRelayService & RelayInternals
    const onHop = service.onHop.bind(service)
    service.onHop = (stream, connection) => asking.run(stream, () => onHop(stream, connection))
    const stopHop = service.stopHop.bind(service)
    service.stopHop = async (...request) => {
      const source = asking.getStore()
      const destination = await stopHop(...request)
      if (source !== undefined && destination !== undefined) {
        holdBack(source, destination)
        holdBack(destination, source)
      }
      return destination
    }
    return service
  }
}

/** Pauses `source` while `destination` takes no more. */
function holdBack(source: Stream, destination: Stream): void {
  const adjust = () => {
    if (destination.writableNeedsDrain) {
      if (source.readStatus === 'readable') source.pause()
    } else if (source.readStatus === 'paused') source.resume()
  }
  // In a microtask: a stream that is paused while it dispatches a message is resumed by itself.
  source.addEventListener('message', () => queueMicrotask(adjust))
  // After the stream has gone on sending what it held, which it does in a microtask too.
  destination.addEventListener('drain', () => queueMicrotask(() => queueMicrotask(adjust)))
}

/** What the watchdog needs of the relay client; private in the package's types. */
export interface Reservations {
  hasReservation(relay: PeerId): boolean
  addRelay(relay: PeerId, type: 'configured'): Promise<unknown>
  readonly relayFilter: { remove(key: Uint8Array): boolean }
  addEventListener(type: 'relay:removed', heard: () => void): void
}

/** The transport for circuits; `reservations` is set once libp2p has made it. */
export function relayTransport() {
  const create = circuitRelayTransport()
  const made: { reservations: Reservations | undefined } = { reservations: undefined }
  return {
    made,
    transport: (components: TransportComponents): Transport => {
      const transport = create(components) as Transport & {
        readonly reservationStore: Reservations
      }
      made.reservations = transport.reservationStore
      return transport
    },
  }
}
