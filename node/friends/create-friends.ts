import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { accepted, asError, codeOf, refused, utf8 } from '../base/index.ts'
import { decodeContactAddress, encodeContactAddress } from '../identity/index.ts'
import { encodeSignedGrant } from '../receipts/index.ts'
import { createHttpPass } from '../network/index.ts'
import { createAddressExchange } from './address-exchange.ts'
import { friendError } from './errors.ts'
import { createFriendBook, type FriendRow, type OutgoingRow } from './friend-book.ts'
import { createKnockAnswerer } from './knock-answerer.ts'
import { createKnockClient, type KnockOutcome } from './knock-client.ts'
import {
  addressBytes,
  decodeReply,
  encodeKnock,
  type KnockBody,
  type KnockReply,
  pairingProof,
} from './knock-messages.ts'
import { sealQuestion, sharedSecret } from './knock-seal.ts'
import {
  MAX_FRIENDS,
  MAX_HELLO_BYTES,
  MAX_NAME_LETTERS,
  MAX_OWN_REQUESTS,
  RETRY_MAX_MS,
  RETRY_MIN_MS,
  SWEEP_INTERVAL_MS,
} from './limits.ts'
import { createRetries } from './retries.ts'
import { createSequence } from './sequence.ts'
import type { Friend, Friends, FriendsNeeds, FriendsOptions } from './types.ts'

const NONCE_BYTES = 16

export function createFriends(needs: FriendsNeeds, options: FriendsOptions): Friends {
  const { identity, gate, network, records, clock, random, log } = needs
  const book = createFriendBook(records)
  const listeners = new Set<() => void>()
  const stopping = new AbortController()
  const notifying = new Set<Promise<void>>()
  let starting: Promise<void> | undefined

  const changed = () => {
    for (const tell of [...listeners]) tell()
  }
  const nextSequence = createSequence({ records, clock })
  const befriend = (
    peer: PeerId,
    told: { readonly addresses: readonly Multiaddr[]; readonly sequence: number },
  ) => {
    const known = book.friends.get(peer)
    book.befriend(peer, {
      name: known?.name ?? peer.toString().slice(-8),
      sinceMs: known?.sinceMs ?? clock.nowMs(),
      ...told,
    })
    retries.cancel(peer)
    changed()
  }
  const toFriend = (peerId: PeerId, row: FriendRow): Friend => ({
    peerId,
    name: row.name,
    sinceMs: row.sinceMs,
    multiaddrs: row.addresses,
  })
  const ownAddresses = () => {
    const { direct, relayed } = network.addresses()
    return addressBytes([...direct, ...relayed])
  }

  const answerer = createKnockAnswerer(needs, {
    book,
    pairingCode: options.pairingCode,
    nextSequence,
    changed,
    befriend,
  })
  const client = createKnockClient(needs)
  const exchange = createAddressExchange(needs, (peer, addresses) => {
    const row = book.friends.get(peer)
    if (row === undefined) return
    book.friends.put(peer, { ...row, addresses })
    changed()
  })

  const send = async (
    to: {
      readonly peerId: PeerId
      readonly publicKey: Uint8Array
      readonly knockUrl: string | undefined
    },
    body: KnockBody,
    signal: AbortSignal | undefined,
  ): Promise<{
    readonly outcome: KnockOutcome
    readonly reply: KnockReply | undefined
    readonly sessionKey: Uint8Array
  }> => {
    const message = encodeKnock(identity, to.peerId, random.bytes(NONCE_BYTES), body)
    const sealed = sealQuestion(random, to.publicKey, message)
    const { sessionKey } = sealed
    const outcome = await client.knock(to, sealed.bytes, signal)
    if (outcome.kind !== 'answered') return { outcome, reply: undefined, sessionKey }
    const opened = sealed.openAnswer(outcome.answer)
    return { outcome, reply: opened === undefined ? undefined : decodeReply(opened), sessionKey }
  }
  const ask = async (
    peerId: PeerId,
    row: OutgoingRow,
    pairingCode: string | undefined,
    signal: AbortSignal | undefined,
  ) => {
    const publicKey = publicKeyOf(peerId)
    const sequence = nextSequence()
    const proof =
      pairingCode === undefined
        ? {}
        : {
            proof: pairingProof(sharedSecret(identity.privateKey.raw, publicKey), pairingCode, {
              from: identity.publicKey,
              to: publicKey,
              sequence,
            }),
          }
    const sent = await send(
      { peerId, publicKey, knockUrl: row.knockUrl },
      {
        kind: 'pair',
        nospam: row.nospam,
        hello: row.hello,
        sequence,
        request: row.request,
        addresses: ownAddresses(),
        ...proof,
      },
      signal,
    )
    if (sent.reply?.result === 'befriended') befriend(peerId, sent.reply)
    return sent
  }
  const retries = createRetries(
    clock,
    { minMs: RETRY_MIN_MS, maxMs: RETRY_MAX_MS },
    async (peer) => {
      const row = book.outgoing.get(peer)
      if (row === undefined) return 'done'
      try {
        await ask(peer, row, undefined, stopping.signal)
      } catch (thrown) {
        log.debug(
          { peer: peer.toString(), reason: asError(thrown).message },
          'a request is not through yet',
        )
      }
      return book.outgoing.get(peer) === undefined ? 'done' : 'again'
    },
  )
  /** Tells the asker at once; when that fails his own retries will. */
  const notify = (peer: PeerId) => {
    const told = send(
      { peerId: peer, publicKey: publicKeyOf(peer), knockUrl: undefined },
      { kind: 'accept', sequence: nextSequence(), addresses: ownAddresses() },
      stopping.signal,
    )
      .then(({ reply }) => {
        if (reply?.result === 'befriended' && gate.isFriend(peer)) befriend(peer, reply)
      })
      .catch((thrown: unknown) => {
        log.debug(
          { peer: peer.toString(), reason: asError(thrown).message },
          'he hears of it later',
        )
      })
      .finally(() => notifying.delete(told))
    notifying.add(told)
  }

  let cancelSweep: () => void = () => undefined
  /** The gate is asked when a connection opens; one whose grant has ended since is closed here. */
  const sweepLater = () => {
    cancelSweep = clock.after(SWEEP_INTERVAL_MS, () => {
      const unwelcome = network.libp2p.getPeers().filter((peer) => !gate.isWelcome(peer))
      Promise.all(unwelcome.map((peer) => network.disconnect(peer)))
        .catch((thrown: unknown) => {
          log.warn({ reason: asError(thrown).message }, 'a connection could not be closed')
        })
        .finally(() => {
          if (!stopping.signal.aborted) sweepLater()
        })
    })
  }

  const start = async () => {
    network.onHttpKnock((sealed, ip) => answerer.answer(sealed, ip, 'http'))
    network.onKnock((sealed, from) => answerer.answer(sealed, from.toString(), 'bootstrap'))
    await exchange.start()
    for (const { peer } of book.outgoing.list()) retries.schedule(peer)
    sweepLater()
  }

  return {
    start() {
      starting ??= start()
      return starting
    },
    async stop() {
      if (starting === undefined) return
      await starting.catch(() => undefined)
      starting = undefined
      stopping.abort(new Error('friends are stopping'))
      cancelSweep()
      network.onKnock(async () => undefined)
      network.onHttpKnock(async () => undefined)
      retries.stop()
      await exchange.stop()
      await Promise.all(notifying)
    },
    get knockUrl() {
      return network.httpUrl === undefined ? undefined : knockAt(network.httpUrl)
    },
    contactAddress: () =>
      encodeContactAddress({ publicKey: identity.publicKey, nospam: needs.nospam() }),
    list: () => book.friends.list().map(({ peer, row }) => toFriend(peer, row)),
    add(peerId, details) {
      if (!gate.isFriend(peerId) && book.friends.list().length >= MAX_FRIENDS) throw tooMany()
      const known = book.friends.get(peerId)
      book.befriend(peerId, {
        name: details.name.slice(0, MAX_NAME_LETTERS),
        sinceMs: known?.sinceMs ?? clock.nowMs(),
        addresses: details.multiaddrs ?? known?.addresses ?? [],
        sequence: book.lastSequence(peerId),
      })
      retries.cancel(peerId)
      changed()
    },
    async remove(peerId) {
      const sequence = book.lastSequence(peerId)
      const existed = book.transaction(() => {
        const wasFriend = book.friends.delete(peerId)
        book.outgoing.delete(peerId)
        if (wasFriend) book.rememberPast(peerId, { sequence, declined: -1 })
        return wasFriend
      })
      gate.dismiss(peerId)
      retries.cancel(peerId)
      await network.disconnect(peerId)
      if (existed) changed()
      return existed
    },
    async request(contactAddress, requestOptions) {
      const contact = parseContact(contactAddress)
      if (contact.peerId.equals(identity.peerId)) throw badContact('this is our own address')
      if (utf8(requestOptions.hello).byteLength > MAX_HELLO_BYTES) {
        throw friendError('hello-too-long', `a hello has at most ${MAX_HELLO_BYTES} bytes`, {
          blame: 'caller',
          fix: 'Write less; friends can talk later.',
        })
      }
      const isRepeated = book.outgoing.get(contact.peerId) !== undefined
      if (!isRepeated && book.outgoing.list().length >= MAX_OWN_REQUESTS) {
        throw friendError('too-many-requests', 'too many requests wait for an answer', {
          blame: 'caller',
          fix: 'Wait until some were answered.',
        })
      }
      if (!gate.isFriend(contact.peerId) && book.friends.list().length >= MAX_FRIENDS)
        throw tooMany()
      const row: OutgoingRow = {
        nospam: contact.nospam,
        hello: requestOptions.hello,
        knockUrl: requestOptions.knockUrl,
        request: nextSequence(),
      }
      // Durable before it is sent: if we die now, the retries bring both sides to the same state.
      book.outgoing.put(contact.peerId, row)
      retries.schedule(contact.peerId)
      const { outcome, reply } = await ask(
        contact.peerId,
        row,
        requestOptions.pairingCode,
        requestOptions.signal,
      )
      if (reply?.result === 'befriended' || gate.isFriend(contact.peerId)) {
        return accepted('befriended')
      }
      if (reply?.result === 'asked') return accepted('asked')
      if (outcome.kind === 'absent') return refused('knock-unanswered')
      // Somebody is there and does not take this nospam or this code: repeating changes nothing.
      book.outgoing.delete(contact.peerId)
      retries.cancel(contact.peerId)
      return refused(
        requestOptions.pairingCode === undefined ? 'address-outdated' : 'knock-refused',
      )
    },
    pending: () =>
      book.incoming
        .list()
        .map(({ peer, row }) => ({ peerId: peer, hello: row.hello, receivedMs: row.receivedMs })),
    async accept(peerId) {
      const request = book.incoming.get(peerId)
      if (request === undefined) return refused('no-such-request')
      if (book.friends.list().length >= MAX_FRIENDS) throw tooMany()
      befriend(peerId, request)
      notify(peerId)
      const row = book.friends.get(peerId)
      return row === undefined ? refused('no-such-request') : accepted(toFriend(peerId, row))
    },
    decline(peerId) {
      const request = book.incoming.get(peerId)
      if (request === undefined) return false
      book.transaction(() => {
        book.incoming.delete(peerId)
        book.rememberPast(peerId, { sequence: request.sequence, declined: request.request })
      })
      changed()
      return true
    },
    onChange(tell) {
      listeners.add(tell)
      return () => listeners.delete(tell)
    },
    async knock(server, grant, knockOptions) {
      const to = {
        peerId: server.peerId,
        publicKey: publicKeyOf(server.peerId),
        knockUrl: server.http === undefined ? undefined : knockAt(server.http),
      }
      const { outcome, reply, sessionKey } = await send(
        to,
        { kind: 'grant', grant: encodeSignedGrant(grant) },
        knockOptions?.signal,
      )
      if (reply?.result === 'admitted') {
        // Our own gate has to let us talk to the server as well.
        gate.admit(server.peerId, grant.message.notAfter * 1000)
        const { addresses, session } = reply
        if (session === undefined) return accepted({ addresses })
        const pass = createHttpPass({ server: server.peerId, session, key: sessionKey })
        return accepted({ addresses, pass })
      }
      return refused(outcome.kind === 'absent' ? 'knock-unanswered' : 'knock-refused')
    },
  }
}

/** Where a node with this base URL takes knocks. */
function knockAt(baseUrl: string): string {
  return `${baseUrl.replace(/\/+$/, '')}/knock`
}

function publicKeyOf(peer: PeerId): Uint8Array {
  if (peer.type === 'secp256k1') return peer.publicKey.raw
  throw badContact('it is not the ID of an ioeX node')
}

function parseContact(text: string) {
  try {
    return decodeContactAddress(text)
  } catch (thrown) {
    if (codeOf(thrown) !== 'address-invalid') throw thrown
    throw badContact(asError(thrown).message, thrown)
  }
}

function badContact(message: string, cause?: unknown) {
  return friendError('contact-address-invalid', message, {
    blame: 'caller',
    fix: 'Ask your friend for the address again and copy all of it.',
    cause,
  })
}

function tooMany() {
  return friendError('too-many-friends', `there are ${MAX_FRIENDS} friends already`, {
    blame: 'caller',
    fix: 'Remove somebody first.',
  })
}
