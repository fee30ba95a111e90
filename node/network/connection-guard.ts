import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import { ipOf, isLoopback } from './addresses.ts'
import {
  MAX_CIRCUITS,
  MAX_CIRCUITS_PER_PEER,
  MAX_CONNECTIONS_PER_IP,
  MAX_RESERVATIONS_PER_IP,
} from './limits.ts'
import type { GateHooks, NetworkOptions } from './types.ts'

const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop'

export interface ConnectionGuard {
  readonly gater: ConnectionGater
  /** Starts counting connections per address. */
  watch(libp2p: Libp2p, reservations: () => Iterable<{ readonly addr: ReservedFrom }>): void
}

type ReservedFrom = Connection['remoteAddr']

/**
 * The gate that was handed in, plus what can be refused before a handshake costs anything: too many
 * connections from one address. On bootstraps also the caps of the relay, and no dialling of anybody but
 * other bootstraps, so that a bootstrap never learns a peer's address by dialling it.
 */
export function createConnectionGuard(
  gate: GateHooks,
  options: Pick<NetworkOptions, 'role' | 'networkFile' | 'maxConnectionsPerIp'>,
): ConnectionGuard {
  const bootstraps = new Set(options.networkFile.bootstraps.map(({ peerId }) => peerId))
  const maxPerIp = options.maxConnectionsPerIp ?? MAX_CONNECTIONS_PER_IP
  const openPerIp = new Map<string, number>()
  let node: Libp2p | undefined
  let reservations: () => Iterable<{ readonly addr: ReservedFrom }> = () => []

  const count = (connection: Connection, difference: 1 | -1) => {
    const ip = ipOf(connection.remoteAddr)
    if (ip === undefined || connection.direction !== 'inbound') return
    const open = (openPerIp.get(ip) ?? 0) + difference
    if (open > 0) openPerIp.set(ip, open)
    else openPerIp.delete(ip)
  }
  const circuitsOf = (connections: readonly Connection[]) =>
    connections
      .flatMap(({ streams }) => streams)
      .filter(({ protocol, direction }) => protocol === HOP_PROTOCOL && direction === 'inbound')
      .length

  const denyReservation = (source: PeerId): boolean => {
    const ips = (node?.getConnections(source) ?? []).map(({ remoteAddr }) => ipOf(remoteAddr))
    return ips.some((ip) => {
      if (ip === undefined || isLoopback(ip)) return false
      const same = [...reservations()].filter(({ addr }) => ipOf(addr) === ip)
      return same.length >= MAX_RESERVATIONS_PER_IP
    })
  }
  const denyCircuit = (source: PeerId): boolean => {
    if (node === undefined) return true
    // The stream that asks is counted already.
    if (circuitsOf(node.getConnections(source)) > MAX_CIRCUITS_PER_PEER) return true
    return circuitsOf(node.getConnections()) > MAX_CIRCUITS
  }

  const gater: ConnectionGater = {
    ...gate,
    denyInboundConnection(connection: MultiaddrConnection) {
      const ip = ipOf(connection.remoteAddr)
      if (ip === undefined || isLoopback(ip)) return false
      return (openPerIp.get(ip) ?? 0) >= maxPerIp
    },
    // libp2p's default refuses private addresses in browsers only; ours is decided by peer.
    denyDialMultiaddr: () => false,
    ...(options.role === 'bootstrap'
      ? {
          denyDialPeer: (peer: PeerId) => !bootstraps.has(peer.toString()),
          denyInboundRelayReservation: async (source: PeerId) =>
            denyReservation(source) || (await gate.denyInboundRelayReservation?.(source)) === true,
          denyOutboundRelayedConnection: async (source: PeerId, destination: PeerId) =>
            denyCircuit(source) ||
            (await gate.denyOutboundRelayedConnection?.(source, destination)) === true,
        }
      : {}),
  }

  return {
    gater,
    watch(libp2p, listReservations) {
      node = libp2p
      reservations = listReservations
      libp2p.addEventListener('connection:open', (event) => count(event.detail, 1))
      libp2p.addEventListener('connection:close', (event) => count(event.detail, -1))
    },
  }
}
