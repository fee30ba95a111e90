import type { Listener, PeerId } from '@libp2p/interface'
import type { TransportManager } from '@libp2p/interface-internal'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { asError, shuffled } from '../base/index.ts'
import { isCircuit, withPeer } from './addresses.ts'
import type { BootstrapTable } from './bootstrap-table.ts'
import { raceSignal, within } from './deadline.ts'
import { networkError } from './errors.ts'
import {
  BOOTSTRAP_CONNECTIONS,
  BOOTSTRAP_NEIGHBOURS,
  BOOTSTRAP_WAIT_MS,
  DIAL_TIMEOUT_MS,
  REDIAL_MAX_MS,
  REDIAL_MIN_MS,
  RESERVATIONS,
  WATCH_INTERVAL_MS,
} from './limits.ts'
import type { Reservations } from './relay.ts'
import type { NetworkNeeds, Role } from './types.ts'

interface Watched {
  readonly peer: PeerId
  /** Where a reservation with this bootstrap is announced; kept for its lifetime, libp2p cannot drop one alone. */
  listener: Listener | undefined
  failures: number
  dueMs: number
  busy: boolean
}

export interface BootstrapKeeper {
  start(): void
  stop(): Promise<void>
  connected(): readonly PeerId[]
  /** Every bootstrap of the network file, connected ones first. */
  all(): readonly PeerId[]
  /** Dials it if need be. */
  reach(bootstrap: PeerId, signal: AbortSignal): Promise<void>
  /** Resolves once one bootstrap is connected. Throws `no-bootstrap` after BOOTSTRAP_WAIT_MS. */
  ready(signal?: AbortSignal): Promise<void>
}

/**
 * Keeps connections to a few bootstraps and a reservation on each of them. libp2p's own way
 * (`/p2p-circuit` with discovery) burns a core while no relay answers, and a static relay address is never
 * reserved again after the relay restarts (js-libp2p#3601): so a loop that sleeps until something is due
 * or a connection closes, with a back-off per bootstrap.
 */
export function createBootstrapKeeper(
  needs: Pick<NetworkNeeds, 'clock' | 'random' | 'log'>,
  parts: {
    readonly role: Role
    readonly self: PeerId
    readonly table: BootstrapTable
    readonly libp2p: Libp2p
    readonly transportManager: TransportManager
    readonly reservations: Reservations | undefined
  },
): BootstrapKeeper {
  const { clock, random, log } = needs
  const { libp2p, table } = parts
  const isBootstrap = parts.role === 'bootstrap'
  const wanted = isBootstrap ? BOOTSTRAP_NEIGHBOURS : BOOTSTRAP_CONNECTIONS
  const stopping = new AbortController()
  const watched: Watched[] = shuffled(table.ids(), random)
    .filter((id) => id !== parts.self.toString())
    .map((id) => ({
      peer: peerIdFromString(id),
      listener: undefined,
      failures: 0,
      dueMs: 0,
      busy: false,
    }))
  let wake = Promise.withResolvers<void>()
  let loop: Promise<void> | undefined

  const ring = () => {
    const rung = wake
    wake = Promise.withResolvers<void>()
    rung.resolve()
  }
  const isConnected = ({ peer }: Watched) =>
    libp2p.getConnections(peer).some(({ status }) => status === 'open')
  const isReserved = ({ peer }: Watched) => parts.reservations?.hasReservation(peer) === true

  const attempt = async (entry: Watched, work: () => Promise<void>): Promise<void> => {
    entry.busy = true
    try {
      await work()
      entry.failures = 0
      entry.dueMs = 0
    } catch (thrown) {
      entry.failures += 1
      const backOffMs = Math.min(REDIAL_MAX_MS, REDIAL_MIN_MS * 2 ** (entry.failures - 1))
      // Half of it at random, so that the leaves of a restarted bootstrap do not come all at once.
      entry.dueMs = clock.monotonicMs() + backOffMs / 2 + random.int(Math.ceil(backOffMs / 2))
      log.debug(
        {
          bootstrap: entry.peer.toString(),
          failures: entry.failures,
          reason: asError(thrown).message,
        },
        'a bootstrap did not answer; trying again later',
      )
    } finally {
      entry.busy = false
      ring()
    }
  }
  const dial = (entry: Watched) =>
    within(clock, DIAL_TIMEOUT_MS, stopping.signal, async (signal) => {
      const addresses = table.addresses(entry.peer.toString())
      if (addresses.length === 0) throw new Error('no address of it is known')
      const connection = await libp2p.dial(addresses, { signal })
      await table.remember(entry.peer.toString(), connection.remoteAddr)
    })
  const reserve = async (entry: Watched) => {
    const { reservations } = parts
    if (reservations === undefined) return
    // Upstream never tries a relay again that failed once in a way it takes for final, such as before
    // its relay service had started.
    reservations.relayFilter.remove(entry.peer.toMultihash().bytes)
    if (entry.listener !== undefined && entry.listener.getAddrs().length > 0) {
      await reservations.addRelay(entry.peer, 'configured')
      return
    }
    const [address] = libp2p.getConnections(entry.peer).map(({ remoteAddr }) => remoteAddr)
    if (address === undefined) throw new Error('the connection closed')
    const relayed = circuitOver(address, entry.peer)
    if (entry.listener !== undefined) {
      await entry.listener.listen(relayed)
      return
    }
    const before = new Set(parts.transportManager.getListeners())
    const listening = parts.transportManager.listen([relayed])
    entry.listener = parts.transportManager.getListeners().find((one) => !before.has(one))
    await listening
  }

  /**
   * One reservation at a time: when one is made, upstream throws away those that wait behind it, and whoever
   * waits for them waits for ever (test/interop/libp2p-faults.test.ts).
   */
  let reserving = false
  const reserveAlone = async (entry: Watched) => {
    reserving = true
    try {
      await within(clock, DIAL_TIMEOUT_MS, stopping.signal, (signal) =>
        raceSignal(reserve(entry), signal),
      )
    } finally {
      reserving = false
    }
  }

  /** Starts what is due; returns how long nothing else will be. */
  const look = (): number => {
    const nowMs = clock.monotonicMs()
    let missing = wanted - watched.filter((entry) => isConnected(entry)).length
    let unreserved =
      parts.reservations === undefined ? 0 : RESERVATIONS - watched.filter(isReserved).length
    for (const entry of watched) {
      if (entry.busy || entry.dueMs > nowMs) continue
      if (!isConnected(entry)) {
        if (missing <= 0) continue
        missing -= 1
        void attempt(entry, () => dial(entry))
      } else if (!isReserved(entry) && unreserved > 0 && !reserving) {
        unreserved -= 1
        void attempt(entry, () => reserveAlone(entry))
      }
    }
    const due = watched
      .filter(({ busy, dueMs }) => !busy && dueMs > nowMs)
      .map(({ dueMs }) => dueMs)
    return Math.max(0, Math.min(WATCH_INTERVAL_MS, ...due.map((dueMs) => dueMs - nowMs)))
  }
  const run = async () => {
    while (!stopping.signal.aborted) {
      const rung = wake.promise
      const sleep = new AbortController()
      const slept = clock
        .sleep(look(), {
          signal: AbortSignal.any([sleep.signal, stopping.signal]),
        })
        .catch(() => undefined)
      await Promise.race([rung, slept])
      sleep.abort()
      // Even when events come in a storm the loop rests between looks.
      await clock.sleep(MIN_PAUSE_MS)
    }
  }

  return {
    start() {
      libp2p.addEventListener('connection:open', ring)
      libp2p.addEventListener('connection:close', ring)
      parts.reservations?.addEventListener('relay:removed', ring)
      loop ??= run()
    },
    async stop() {
      stopping.abort(new Error('the network is stopping'))
      libp2p.removeEventListener('connection:open', ring)
      libp2p.removeEventListener('connection:close', ring)
      ring()
      await loop
    },
    connected: () => watched.filter(isConnected).map(({ peer }) => peer),
    all: () =>
      watched
        .toSorted((a, b) => Number(isConnected(b)) - Number(isConnected(a)))
        .map(({ peer }) => peer),
    async reach(bootstrap, signal) {
      const entry = watched.find(({ peer }) => peer.equals(bootstrap))
      if (entry === undefined || isConnected(entry)) return
      await libp2p.dial([...table.addresses(bootstrap.toString())], { signal })
    },
    async ready(signal) {
      await within(clock, BOOTSTRAP_WAIT_MS, signal, async (limit) => {
        if (watched.length === 0) throw new Error('the network file names no other bootstrap')
        while (!watched.some(isConnected)) await raceSignal(wake.promise, limit)
      }).catch((thrown: unknown) => {
        signal?.throwIfAborted()
        throw networkError('no-bootstrap', 'no bootstrap of the network file can be reached', {
          blame: 'peer',
          fix: 'Check the connection to the internet, and that network.json is up to date.',
          cause: thrown,
        })
      })
    },
  }
}

const MIN_PAUSE_MS = 20

function circuitOver(relay: Multiaddr, peer: PeerId): Multiaddr {
  const address = isCircuit(relay) ? multiaddr(`/p2p/${peer.toString()}`) : relay
  return withPeer(address, peer).encapsulate('/p2p-circuit')
}
