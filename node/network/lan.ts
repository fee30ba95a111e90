import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { asError, type Clock, equalBytes, type Log, type Random, toHex } from '../base/index.ts'
import { type Identity, peerIdOfPublicKey } from '../identity/index.ts'
import { BEACON_BYTES, type Beacon, beaconKeyOf, openBeacon, sealBeacon } from './lan-beacon.ts'
import type { LanSocket, OpenLanSocket } from './lan-socket.ts'
import {
  LAN_ANSWER_GAP_MS,
  LAN_ANSWER_WITHIN_MS,
  LAN_ASKING_MS,
  LAN_DATAGRAMS,
  LAN_DATAGRAMS_PER_IP,
  LAN_ENOUGH,
  LAN_INTERVAL_MS,
  LAN_MAX_SKEW_MS,
  LAN_PEER_KEPT_MS,
  LAN_PEERS,
  LAN_PEERS_PER_IP,
  LAN_SERVED,
} from './limits.ts'
import { createRateLimit } from './rate.ts'
import type { Lan, LanPeer } from './types.ts'

export interface LanNeeds {
  readonly identity: Pick<Identity, 'publicKey'>
  /** Where others on the network of this address of ours reach us; undefined: nowhere. */
  readonly portsAt: (ip: string) => Ports | undefined
  readonly openSocket: OpenLanSocket
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

type Ports = Pick<Beacon, 'tcpPort' | 'httpPort'>

interface Known {
  readonly peer: LanPeer
  readonly beacon: Beacon
  readonly heardMs: number
}

/** Those who know one secret. */
interface Meeting {
  readonly key: Uint8Array
  readonly seekers: Set<(peer: LanPeer) => void>
  serves: () => Promise<boolean>
  /** Whoever was heard last stands last. */
  readonly known: Map<string, Known>
  /** Beacons of others since our last turn. */
  heard: number
  sentMs: number
  cancelTurn: () => void
  cancelAnswer: (() => void) | undefined
}

/** What a datagram costs before it is known to be a beacon: its length, two rates, and a decryption per secret. */
export function createLan(needs: LanNeeds): Lan & { stop(): void } {
  const { clock, random, log, identity } = needs
  const meetings = new Map<string, Meeting>()
  const perIp = createRateLimit(clock, LAN_DATAGRAMS_PER_IP)
  const inAll = createRateLimit(clock, LAN_DATAGRAMS)
  let socket: LanSocket | undefined
  let lastSentAtMs = 0

  const send = (meeting: Meeting, asks: boolean) => {
    const isUsed = (ip: string) => needs.portsAt(ip) !== undefined
    socket ??= needs.openSocket({ isUsed, heard }, log)
    meeting.sentMs = clock.monotonicMs()
    lastSentAtMs = Math.max(lastSentAtMs + 1, clock.nowMs())
    const { publicKey } = identity
    const shared = { publicKey, sentAtMs: lastSentAtMs, asks }
    socket.send((ip) => {
      const { tcpPort, httpPort } = needs.portsAt(ip) ?? { tcpPort: undefined, httpPort: undefined }
      return sealBeacon(meeting.key, { ...shared, ip, tcpPort, httpPort }, random)
    })
  }
  const takeTurn = (meeting: Meeting, intervalMs: number) => {
    const isFirst = intervalMs === LAN_INTERVAL_MS.first
    if (isFirst || meeting.heard < LAN_ENOUGH) send(meeting, intervalMs <= LAN_ASKING_MS)
    meeting.heard = 0
    const half = Math.ceil(intervalMs / 2)
    meeting.cancelTurn = clock.after(half + random.int(half), () =>
      takeTurn(meeting, Math.min(2 * intervalMs, LAN_INTERVAL_MS.last)),
    )
  }
  const answerSoon = (id: string, meeting: Meeting) => {
    if (meeting.cancelAnswer !== undefined) return
    const before = meeting.heard
    const gapMs = meeting.sentMs + LAN_ANSWER_GAP_MS - clock.monotonicMs()
    const waitMs = Math.max(gapMs, random.int(LAN_ANSWER_WITHIN_MS))
    meeting.cancelAnswer = clock.after(waitMs, () => {
      meeting.cancelAnswer = undefined
      if (meeting.heard - before >= LAN_ENOUGH) return
      if (meeting.seekers.size > 0) send(meeting, false)
      else void answerIfServed(id, meeting)
    })
  }
  const answerIfServed = async (id: string, meeting: Meeting) => {
    try {
      const serves = await meeting.serves()
      if (meetings.get(id) !== meeting) return
      if (serves) send(meeting, false)
      else forget(id)
    } catch (thrown) {
      log.debug({ reason: asError(thrown).message }, 'an answer on the local network was left out')
    }
  }
  const forget = (id: string) => {
    const meeting = meetings.get(id)
    meeting?.cancelTurn()
    meeting?.cancelAnswer?.()
    meetings.delete(id)
    if (meetings.size > 0) return
    socket?.close()
    socket = undefined
  }
  const forgetServed = () => {
    const served = [...meetings].filter(([, { seekers }]) => seekers.size === 0)
    for (const [id] of served.slice(0, Math.max(0, served.length - LAN_SERVED))) forget(id)
  }

  const heard = (datagram: Uint8Array, ip: string) => {
    if (datagram.byteLength !== BEACON_BYTES) return
    if (!perIp.take(ip) || !inAll.take('')) return
    for (const [id, meeting] of meetings) {
      const beacon = openBeacon(meeting.key, datagram)
      if (beacon === undefined) continue
      if (beacon.ip === ip && take(meeting, beacon) && beacon.asks) answerSoon(id, meeting)
      return
    }
  }
  /** False for our own, and for what was recorded and is sent again. */
  const take = (meeting: Meeting, beacon: Beacon): boolean => {
    const { known, seekers } = meeting
    const { publicKey, sentAtMs, ip } = beacon
    if (equalBytes(publicKey, identity.publicKey)) return false
    if (Math.abs(clock.nowMs() - sentAtMs) > LAN_MAX_SKEW_MS) return false
    // By both: whoever knows the secret may claim to be another one, but does not take his place.
    const id = `${toHex(publicKey)} ${ip}`
    const before = known.get(id)
    if (before !== undefined && sentAtMs <= before.beacon.sentAtMs) return false
    if (before === undefined && !hasRoom(meeting, ip)) return false
    const isSame = before !== undefined && samePorts(before.beacon, beacon)
    const peer = isSame ? before.peer : peerOf(beacon)
    if (peer === undefined) return false
    meeting.heard++
    known.delete(id)
    known.set(id, { peer, beacon, heardMs: clock.monotonicMs() })
    const [oldest] = known.keys()
    if (known.size > LAN_PEERS && oldest !== undefined) known.delete(oldest)
    if (isSame) return true
    log.debug({ peer: peer.peerId.toString(), ip }, 'a fellow on the local network')
    for (const found of seekers) found(peer)
    return true
  }
  const isFresh = ({ heardMs }: Known) => clock.monotonicMs() - heardMs < LAN_PEER_KEPT_MS
  const hasRoom = ({ known }: Meeting, ip: string) =>
    known
      .values()
      .filter((each) => each.beacon.ip === ip && isFresh(each))
      .toArray().length < LAN_PEERS_PER_IP

  return {
    join(secret, found, serves) {
      const id = toHex(secret)
      const meeting: Meeting = meetings.get(id) ?? {
        key: beaconKeyOf(secret),
        seekers: new Set(),
        serves,
        known: new Map(),
        heard: 0,
        sentMs: Number.NEGATIVE_INFINITY,
        cancelTurn: () => undefined,
        cancelAnswer: undefined,
      }
      // Those that were left last are answered for longest.
      meetings.delete(id)
      meetings.set(id, meeting)
      meeting.serves = serves
      meeting.seekers.add(found)
      for (const each of meeting.known.values()) if (isFresh(each)) found(each.peer)
      meeting.cancelTurn()
      takeTurn(meeting, LAN_INTERVAL_MS.first)
      return () => {
        if (!meeting.seekers.delete(found) || meeting.seekers.size > 0) return
        meeting.cancelTurn()
        forgetServed()
      }
    },
    stop() {
      for (const id of [...meetings.keys()]) forget(id)
    },
  }
}

function samePorts(a: Ports, b: Ports): boolean {
  return a.tcpPort === b.tcpPort && a.httpPort === b.httpPort
}

/** Undefined when it has no key, or nowhere to be reached at. */
function peerOf({ publicKey, ip, tcpPort, httpPort }: Beacon): LanPeer | undefined {
  if (tcpPort === undefined && httpPort === undefined) return undefined
  const multiaddrs: Multiaddr[] =
    tcpPort === undefined ? [] : [multiaddr(`/ip4/${ip}/tcp/${tcpPort}`)]
  try {
    const peerId = peerIdOfPublicKey(publicKey)
    return {
      peerId,
      multiaddrs,
      http: httpPort === undefined ? undefined : `http://${ip}:${httpPort}`,
    }
  } catch {
    return undefined
  }
}
