import type { Clock, Random } from '../base/index.ts'
import { evmAddressOfPeerId, type EvmAddress } from '../identity/index.ts'
import { createCountGuard, SESSION_BYTES } from './http-auth.ts'
import type { HttpInbound } from './http-inbound.ts'
import { MAX_HTTP_SESSIONS } from './limits.ts'
import type { HttpGuest } from './types.ts'

export interface HttpSession extends HttpGuest {
  readonly address: EvmAddress
  readonly counts: { take(count: number): boolean }
  /** By the count of the request that opened them. */
  readonly streams: Map<number, HttpInbound>
}

/** In memory only: after a restart a client finds its session unknown and knocks again. */
export interface HttpSessions {
  open(guest: HttpGuest): Uint8Array | undefined
  find(id: string): HttpSession | undefined
  /** Ends those that are over, or those of one peer, and aborts their streams. */
  end(which: (session: HttpSession) => boolean): void
  all(): Iterable<HttpSession>
}

export function createHttpSessions(needs: {
  readonly clock: Clock
  readonly random: Random
}): HttpSessions {
  /** In the order of last use. */
  const sessions = new Map<string, HttpSession>()
  const remove = (id: string, session: HttpSession) => {
    sessions.delete(id)
    for (const stream of [...session.streams.values()]) stream.abort('its session has ended')
  }

  return {
    open(guest) {
      const address = evmAddressOfPeerId(guest.peerId)
      if (address === undefined) return undefined
      const id = needs.random.bytes(SESSION_BYTES)
      sessions.set(id.toHex(), {
        ...guest,
        address,
        counts: createCountGuard(),
        streams: new Map(),
      })
      if (sessions.size > MAX_HTTP_SESSIONS) {
        const idle = sessions.entries().find(([, session]) => session.streams.size === 0)
        if (idle !== undefined) remove(...idle)
      }
      return id
    },
    find(id) {
      const session = sessions.get(id)
      if (session === undefined || session.endsMs <= needs.clock.nowMs()) return undefined
      sessions.delete(id)
      sessions.set(id, session)
      return session
    },
    end(which) {
      for (const [id, session] of [...sessions]) if (which(session)) remove(id, session)
    },
    all: () => sessions.values(),
  }
}
