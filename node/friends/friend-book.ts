import { decode, encode } from '@ipld/dag-cbor'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import type { Records } from '../storage/index.ts'
import { MAX_PAST } from './limits.ts'

export const FRIENDS_TABLE = 'friends'
const INCOMING_TABLE = 'friend-requests'
const OUTGOING_TABLE = 'friend-requests-sent'
const PAST_TABLE = 'friend-past'

const bytes = z.instanceof(Uint8Array)
const friendRow = z.object({
  name: z.string(),
  sinceMs: z.number(),
  addresses: z.array(bytes),
  /** The highest sequence number of a message of his. */
  sequence: z.number(),
})
const incomingRow = z.object({
  hello: z.string(),
  receivedMs: z.number(),
  addresses: z.array(bytes),
  sequence: z.number(),
  request: z.number(),
})
const outgoingRow = z.object({
  nospam: bytes,
  hello: z.string(),
  knockUrl: z.string().nullable(),
  /** Number of the request: when it was made. */
  request: z.number(),
})
const pastRow = z.object({ sequence: z.number(), declined: z.number() })

export interface FriendRow {
  readonly name: string
  readonly sinceMs: number
  readonly addresses: readonly Multiaddr[]
  readonly sequence: number
}
interface IncomingRow {
  readonly hello: string
  readonly receivedMs: number
  readonly addresses: readonly Multiaddr[]
  readonly sequence: number
  readonly request: number
}
export interface OutgoingRow {
  readonly nospam: Uint8Array
  readonly hello: string
  readonly knockUrl: string | undefined
  readonly request: number
}

interface Past {
  readonly sequence: number
  /** The request that was declined, or -1. */
  readonly declined: number
}

/** One kind of rows, under the PeerId's text. */
interface Rows<T> {
  get(peer: PeerId): T | undefined
  put(peer: PeerId, row: T): void
  delete(peer: PeerId): boolean
  list(): { readonly peer: PeerId; readonly row: T }[]
}

export interface FriendBook {
  readonly friends: Rows<FriendRow>
  readonly incoming: Rows<IncomingRow>
  readonly outgoing: Rows<OutgoingRow>
  /** The highest sequence number seen of a peer in any state; a message must be above it. */
  lastSequence(peer: PeerId): number
  /** Which request of his was declined last; -1 for none. */
  declinedRequest(peer: PeerId): number
  /** After a removal or a refusal: old messages of his stay old. */
  rememberPast(peer: PeerId, past: Past): void
  /** Makes him a friend and ends requests of both directions, all or nothing. */
  befriend(peer: PeerId, row: FriendRow): void
  transaction<T>(run: () => T): T
}

export function createFriendBook(records: Records): FriendBook {
  const friends = rowsOf(records, FRIENDS_TABLE, {
    encode: (row: FriendRow) => ({ ...row, addresses: row.addresses.map(bytesOf) }),
    decode: (value) => withAddresses(friendRow.parse(value)),
  })
  const incoming = rowsOf(records, INCOMING_TABLE, {
    encode: (row: IncomingRow) => ({ ...row, addresses: row.addresses.map(bytesOf) }),
    decode: (value) => withAddresses(incomingRow.parse(value)),
  })
  const outgoing = rowsOf(records, OUTGOING_TABLE, {
    encode: (row: OutgoingRow) => ({ ...row, knockUrl: row.knockUrl ?? null }),
    decode: (value): OutgoingRow => {
      const row = outgoingRow.parse(value)
      return { ...row, knockUrl: row.knockUrl ?? undefined }
    },
  })
  const past = rowsOf(records, PAST_TABLE, {
    encode: (row: Past) => row,
    decode: (value) => pastRow.parse(value),
  })
  return {
    friends,
    incoming,
    outgoing,
    lastSequence: (peer) =>
      Math.max(
        -1,
        friends.get(peer)?.sequence ?? -1,
        incoming.get(peer)?.sequence ?? -1,
        past.get(peer)?.sequence ?? -1,
      ),
    declinedRequest: (peer) => past.get(peer)?.declined ?? -1,
    rememberPast(peer, row) {
      past.put(peer, row)
      const all = past.list()
      if (all.length <= MAX_PAST) return
      const [oldest] = all.toSorted((a, b) => a.row.sequence - b.row.sequence)
      if (oldest !== undefined) past.delete(oldest.peer)
    },
    befriend(peer, row) {
      records.transaction(() => {
        friends.put(peer, row)
        incoming.delete(peer)
        outgoing.delete(peer)
        past.delete(peer)
      })
    },
    transaction: (run) => records.transaction(run),
  }
}

function rowsOf<T>(
  records: Records,
  table: string,
  form: { encode(row: T): unknown; decode(value: unknown): T },
): Rows<T> {
  return {
    get(peer) {
      const stored = records.get(table, peer.toString())
      return stored === undefined ? undefined : form.decode(decode(stored))
    },
    put(peer, row) {
      records.put(table, peer.toString(), encode(form.encode(row)))
    },
    delete(peer) {
      const existed = records.get(table, peer.toString()) !== undefined
      if (existed) records.delete(table, peer.toString())
      return existed
    },
    list: () =>
      [...records.list(table)].map(({ key, value }) => ({
        peer: peerIdFromString(key),
        row: form.decode(decode(value)),
      })),
  }
}

function withAddresses<T extends { readonly addresses: readonly Uint8Array[] }>(row: T) {
  return { ...row, addresses: row.addresses.map((one) => multiaddr(one)) }
}

function bytesOf(address: Multiaddr): Uint8Array {
  return address.bytes
}
