import type { PeerId } from '@libp2p/interface'
import { CODE_P2P, CODE_P2P_CIRCUIT, type Multiaddr } from '@multiformats/multiaddr'

/** Through a relay: says nothing about where the peer is. */
export function isCircuit(address: Multiaddr): boolean {
  return address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT)
}

/** The IP address that a multiaddr starts with; undefined for names and circuits. */
export function ipOf(address: Multiaddr): string | undefined {
  const [first] = address.getComponents()
  if (isCircuit(address) || (first?.name !== 'ip4' && first?.name !== 'ip6')) return undefined
  return first.value
}

/** Undefined when it is not plain TCP at this IP address. */
export function tcpPortAt(address: Multiaddr, ip: string): number | undefined {
  const [host, transport, ...rest] = address.getComponents()
  const isPlain = host?.value === ip && transport?.name === 'tcp'
  return isPlain && rest.every(({ code }) => code === CODE_P2P)
    ? Number(transport.value)
    : undefined
}

export function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1' || ip.startsWith('::ffff:127.')
}

/** The same address, ending in `/p2p/<peer>`. */
export function withPeer(address: Multiaddr, peer: PeerId): Multiaddr {
  const last = address.getComponents().at(-1)
  if (last?.code === CODE_P2P) return address
  return address.encapsulate(`/p2p/${peer.toString()}`)
}
