import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { equalBytes } from '../base/index.ts'
import { evmAddressOfPublicKey, peerIdOfPublicKey } from '../identity/index.ts'
import { createRateLimit } from '../network/index.ts'
import { decodeSignedGrant } from '../receipts/index.ts'
import type { FriendBook } from './friend-book.ts'
import {
  decodeKnock,
  encodeReply,
  type Knock,
  type KnockReply,
  type PairKnock,
  pairingProof,
} from './knock-messages.ts'
import { openQuestion, sharedSecret } from './knock-seal.ts'
import {
  KNOCKS_IN_ALL,
  KNOCKS_PER_IP,
  KNOCKS_PER_PEER,
  MAX_FRIENDS,
  MAX_PENDING_REQUESTS,
  MAX_RATE_KEYS,
  PAIRING_ATTEMPTS,
} from './limits.ts'
import { createReplayGuard } from './replay-guard.ts'
import type { FriendsNeeds } from './types.ts'

export interface KnockAnswerer {
  /**
   * `source`: the IP address, or the PeerId that a bootstrap names. Undefined: stay silent. A grant that is
   * shown over HTTP opens a session there too.
   */
  answer(
    sealed: Uint8Array,
    source: string,
    wire: 'http' | 'bootstrap',
  ): Promise<Uint8Array | undefined>
}

/** Decides about every knock, and says nothing but "admitted", "asked" and "befriended". */
export function createKnockAnswerer(
  needs: FriendsNeeds,
  parts: {
    readonly book: FriendBook
    readonly pairingCode: string | undefined
    readonly nextSequence: () => number
    readonly changed: () => void
    readonly befriend: (
      peer: PeerId,
      row: { readonly addresses: readonly Multiaddr[]; readonly sequence: number },
    ) => void
  },
): KnockAnswerer {
  const { book } = parts
  const { identity, gate, clock } = needs
  const limit = (rate: { readonly count: number; readonly perMs: number }) =>
    createRateLimit(clock, { ...rate, maxKeys: MAX_RATE_KEYS })
  const inAll = limit(KNOCKS_IN_ALL)
  const perSource = limit(KNOCKS_PER_IP)
  const perPeer = limit(KNOCKS_PER_PEER)
  const replays = createReplayGuard()
  let wrongGuessesMs: number[] = []

  const reply = (result: KnockReply['result']): KnockReply => {
    const own = needs.network.addresses()
    const addresses = {
      admitted: own.direct,
      asked: [],
      befriended: [...own.direct, ...own.relayed],
    }[result]
    return { result, sequence: parts.nextSequence(), addresses }
  }

  const onGrant = async (
    knock: Knock,
    encoded: Uint8Array,
    sessionKey: Uint8Array | undefined,
  ): Promise<KnockReply | undefined> => {
    const grant = decodeSignedGrant(encoded)
    if (!grant.ok) return undefined
    const checked = await needs.checkGrant(grant.value, evmAddressOfPublicKey(knock.from))
    if (!checked.ok) return undefined
    const untilMs = checked.value.notAfter * 1000
    // A replay could only let in the same PeerId again, but would tell the listener our present addresses.
    if (!replays.isNew(knock.nonce.toHex(), untilMs, clock.nowMs())) return undefined
    const peerId = peerIdOfPublicKey(knock.from)
    gate.admit(peerId, untilMs)
    const session =
      sessionKey === undefined
        ? undefined
        : needs.network.openHttpSession({ peerId, key: sessionKey, endsMs: untilMs })
    return { ...reply('admitted'), ...(session === undefined ? {} : { session }) }
  }

  /** `undefined`: no proof given, or none asked for. */
  const judgeProof = (from: Uint8Array, pair: PairKnock): 'right' | 'wrong' | undefined => {
    if (pair.proof === undefined || parts.pairingCode === undefined) return undefined
    const nowMs = clock.monotonicMs()
    wrongGuessesMs = wrongGuessesMs.filter((atMs) => atMs > nowMs - PAIRING_ATTEMPTS.perMs)
    if (wrongGuessesMs.length >= PAIRING_ATTEMPTS.count) return 'wrong'
    const expected = pairingProof(sharedSecret(identity.privateKey.raw, from), parts.pairingCode, {
      from,
      to: identity.publicKey,
      sequence: pair.sequence,
    })
    if (equalBytes(expected, pair.proof)) return 'right'
    wrongGuessesMs.push(nowMs)
    return 'wrong'
  }

  const onPair = (from: Uint8Array, pair: PairKnock): KnockReply | undefined => {
    const peer = peerIdOfPublicKey(from)
    if (!equalBytes(pair.nospam, needs.nospam())) return undefined
    if (pair.sequence <= book.lastSequence(peer)) return undefined
    const row = {
      addresses: pair.addresses.map((one) => multiaddr(one)),
      sequence: pair.sequence,
    }
    const proof = judgeProof(from, pair)
    if (proof === 'wrong') return undefined
    const hasAskedHim = book.outgoing.get(peer) !== undefined
    if (gate.isFriend(peer) || hasAskedHim || proof === 'right') {
      if (!gate.isFriend(peer) && book.friends.list().length >= MAX_FRIENDS) return undefined
      parts.befriend(peer, row)
      return reply('befriended')
    }
    if (pair.request <= book.declinedRequest(peer)) return undefined
    const isKnown = book.incoming.get(peer) !== undefined
    if (!isKnown && book.incoming.list().length >= MAX_PENDING_REQUESTS) return undefined
    book.incoming.put(peer, {
      ...row,
      hello: pair.hello,
      receivedMs: clock.nowMs(),
      request: pair.request,
    })
    parts.changed()
    return reply('asked')
  }

  const onAccept = (
    from: Uint8Array,
    accept: { readonly sequence: number; readonly addresses: readonly Uint8Array[] },
  ): KnockReply | undefined => {
    const peer = peerIdOfPublicKey(from)
    if (accept.sequence <= book.lastSequence(peer)) return undefined
    if (book.outgoing.get(peer) === undefined && !gate.isFriend(peer)) return undefined
    parts.befriend(peer, {
      addresses: accept.addresses.map((one) => multiaddr(one)),
      sequence: accept.sequence,
    })
    return reply('befriended')
  }

  const decide = async (
    knock: Knock,
    sessionKey: Uint8Array | undefined,
  ): Promise<KnockReply | undefined> => {
    switch (knock.body.kind) {
      case 'grant':
        return onGrant(knock, knock.body.grant, sessionKey)
      case 'pair':
        return onPair(knock.from, knock.body)
      case 'accept':
        return onAccept(knock.from, knock.body)
    }
  }

  return {
    async answer(sealed, source, wire) {
      if (!isLoopback(source) && !perSource.take(source)) return undefined
      if (!inAll.take('')) return undefined
      const opened = openQuestion(
        { privateKey: identity.privateKey.raw, publicKey: identity.publicKey },
        sealed,
      )
      if (opened === undefined) return undefined
      const knock = decodeKnock(identity.peerId, opened.message)
      if (knock === undefined || equalBytes(knock.from, identity.publicKey)) return undefined
      if (!perPeer.take(knock.from.toHex())) return undefined
      const decided = await decide(knock, wire === 'http' ? opened.sessionKey : undefined)
      return decided === undefined ? undefined : opened.sealAnswer(encodeReply(decided))
    },
  }
}

/** Whoever is on this machine needs no knock to be a nuisance. */
function isLoopback(source: string): boolean {
  return source.startsWith('127.') || source === '::1' || source.startsWith('::ffff:127.')
}
