import type { Connection, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { asError, type Clock } from '../base/index.ts'
import { isCircuit, withPeer } from './addresses.ts'
import type { BootstrapKeeper } from './bootstrap-keeper.ts'
import { within } from './deadline.ts'
import { networkError } from './errors.ts'
import { DIAL_TIMEOUT_MS, FIND_PEER_MS, MAX_DIALLED_ADDRESSES, REDIAL_MAX_MS } from './limits.ts'

export interface Connector {
  /**
   * A connection with the peer, direct if possible: one that is open, else by the given addresses, else by
   * what the DHT knows (circuits), else by circuits over the bootstraps that are connected.
   * Throws `unreachable` or `refused` (our own gate does not allow this peer).
   */
  connect(
    peer: PeerId,
    addresses: readonly Multiaddr[],
    signal: AbortSignal | undefined,
  ): Promise<Connection>
}

export function createConnector(
  clock: Clock,
  parts: { readonly libp2p: Libp2p; readonly keeper: BootstrapKeeper },
): Connector {
  const { libp2p, keeper } = parts
  /** Peers whose direct addresses failed while a circuit works, and when to try them again. */
  const directDueMs = new Map<string, number>()

  const dial = (
    peer: PeerId,
    addresses: readonly Multiaddr[],
    signal: AbortSignal,
    force: boolean,
  ) =>
    libp2p.dial(
      addresses.slice(0, MAX_DIALLED_ADDRESSES).map((address) => withPeer(address, peer)),
      { signal, force },
    )
  const find = async (peer: PeerId, signal: AbortSignal): Promise<Multiaddr[]> => {
    const found = await within(clock, FIND_PEER_MS, signal, (limit) =>
      libp2p.peerRouting.findPeer(peer, { signal: limit, useCache: false }),
    )
    return found.multiaddrs
  }
  const overBootstraps = (peer: PeerId): Multiaddr[] =>
    keeper
      .connected()
      .map((bootstrap) =>
        multiaddr(`/p2p/${bootstrap.toString()}/p2p-circuit/p2p/${peer.toString()}`),
      )
  const bestOpen = (peer: PeerId): Connection | undefined =>
    libp2p
      .getConnections(peer)
      .filter(({ status }) => status === 'open')
      .toSorted((a, b) => Number(isCircuit(a.remoteAddr)) - Number(isCircuit(b.remoteAddr)))[0]

  return {
    async connect(peer, addresses, outer) {
      const open = bestOpen(peer)
      const direct = addresses.filter((address) => !isCircuit(address))
      const name = peer.toString()
      if (open !== undefined) {
        const isUpgradable = isCircuit(open.remoteAddr) && direct.length > 0
        if (!isUpgradable || (directDueMs.get(name) ?? 0) > clock.monotonicMs()) return open
      }
      return within(clock, DIAL_TIMEOUT_MS + FIND_PEER_MS, outer, async (signal) => {
        const failures: unknown[] = []
        const attempts: (() => Promise<Connection>)[] = [
          async () =>
            dial(peer, open === undefined ? addresses : direct, signal, open !== undefined),
          async () => {
            await keeper.ready(signal)
            return dial(peer, await find(peer, signal), signal, false)
          },
          async () => dial(peer, overBootstraps(peer), signal, false),
        ]
        if (addresses.length === 0) attempts.shift()
        for (const attempt of attempts) {
          try {
            const connection = await attempt()
            directDueMs.delete(name)
            return connection
          } catch (thrown) {
            outer?.throwIfAborted()
            if (asError(thrown).name === 'DialDeniedError') throw denied(peer, thrown)
            failures.push(thrown)
            if (open !== undefined && open.status === 'open') {
              rememberFailure(directDueMs, name, clock.monotonicMs() + REDIAL_MAX_MS)
              return open
            }
          }
        }
        throw networkError('unreachable', `no way to ${name} was found`, {
          blame: 'peer',
          fix: 'It may be offline; try again later or give its present address.',
          cause: new AggregateError(failures),
        })
      })
    },
  }
}

/** Peers remembered as hard to reach directly; forgetting one costs one dial. */
const MAX_REMEMBERED_FAILURES = 1000

function rememberFailure(dueMs: Map<string, number>, name: string, atMs: number) {
  dueMs.delete(name)
  dueMs.set(name, atMs)
  const [oldest] = dueMs.keys()
  if (dueMs.size > MAX_REMEMBERED_FAILURES && oldest !== undefined) dueMs.delete(oldest)
}

function denied(peer: PeerId, cause: unknown) {
  return networkError('refused', `${peer.toString()} is neither a friend nor let in by a grant`, {
    blame: 'caller',
    fix: 'Make friends with it first, or show a grant.',
    cause,
  })
}
