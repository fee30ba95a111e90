import type { PeerId } from '@libp2p/interface'
import { FRIENDS_TABLE } from './friend-book.ts'
import { MAX_ADMISSIONS } from './limits.ts'
import type { Gate, GateNeeds, GateOptions } from './types.ts'

/**
 * Who is let in. Friends are read from the records each time, so a removal counts at once; admissions are
 * kept in memory, as whoever holds a grant can show it again after a restart.
 */
export function createGate(needs: GateNeeds, options: GateOptions = {}): Gate {
  const admittedUntilMs = new Map<string, number>()
  const openToAll = options.openToAll === true

  const isFriend = (peer: PeerId) => needs.records.get(FRIENDS_TABLE, peer.toString()) !== undefined
  const isInfrastructure = (peer: PeerId) => {
    const name = peer.toString()
    for (const one of needs.infrastructure()) if (one === name) return true
    return false
  }
  const isAdmitted = (peer: PeerId) => {
    const untilMs = admittedUntilMs.get(peer.toString())
    if (untilMs === undefined) return false
    if (untilMs > needs.clock.nowMs()) return true
    admittedUntilMs.delete(peer.toString())
    return false
  }
  const isWelcome = (peer: PeerId) =>
    openToAll || isInfrastructure(peer) || isAdmitted(peer) || isFriend(peer)
  const deny = (peer: PeerId) => !isWelcome(peer)
  const makeRoom = () => {
    const nowMs = needs.clock.nowMs()
    for (const [peer, untilMs] of admittedUntilMs) {
      if (untilMs <= nowMs) admittedUntilMs.delete(peer)
    }
    if (admittedUntilMs.size < MAX_ADMISSIONS) return
    const [soonest] = [...admittedUntilMs].toSorted(([, a], [, b]) => a - b)
    if (soonest !== undefined) admittedUntilMs.delete(soonest[0])
  }

  return {
    hooks: {
      denyDialPeer: deny,
      denyInboundEncryptedConnection: deny,
      denyOutboundEncryptedConnection: deny,
      denyInboundRelayedConnection: (relay, remote) => deny(relay) || deny(remote),
      // Peers carry nobody's circuits; bootstraps do, for everybody.
      denyInboundRelayReservation: () => !openToAll,
      denyOutboundRelayedConnection: () => !openToAll,
    },
    isFriend,
    isWelcome,
    admit(peer, untilMs) {
      const name = peer.toString()
      if (untilMs <= Math.max(admittedUntilMs.get(name) ?? 0, needs.clock.nowMs())) return
      if (!admittedUntilMs.has(name) && admittedUntilMs.size >= MAX_ADMISSIONS) makeRoom()
      admittedUntilMs.set(name, untilMs)
    },
    dismiss(peer) {
      admittedUntilMs.delete(peer.toString())
    },
  }
}
