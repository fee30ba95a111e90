import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  gossipsub,
  StrictNoSign,
  TopicValidatorResult,
} from '@libp2p/gossipsub'
import type { PeerId } from '@libp2p/interface'
import { codeOf, type Log } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { allTopics, encodeAnnouncement, judgeAnnouncement, topicOf } from './announcement.ts'
import { within } from './deadline.ts'
import { networkError } from './errors.ts'
import {
  ANNOUNCEMENT_MAX_AGE_MS,
  ANNOUNCEMENT_MAX_AHEAD_MS,
  ANNOUNCEMENTS_PER_VENDOR,
  BOOTSTRAP_WAIT_MS,
  GOSSIP_BUFFER_BYTES,
  MAX_GOSSIP_FRAME_BYTES,
  MAX_RATE_KEYS,
} from './limits.ts'
import { createRateLimit } from './rate.ts'
import type { Announcement, NetworkNeeds, NetworkOptions } from './types.ts'

/** What of a GossipSub is replaced; these methods are in the class, not in its interface. */
interface Internals {
  handleReceivedRpc(from: PeerId, rpc: { messages: unknown[] }): Promise<void>
  doAddBackoff(peer: string, topic: string, intervalMs: number): void
}

export interface Gossip {
  /** For libp2p's `services`. */
  readonly service: (components: GossipSubComponents) => GossipSub
  announce(announcement: Announcement): Promise<number>
  listen(vendors: readonly EvmAddress[], heard: (announcement: Announcement) => void): () => void
  /** Once libp2p runs: subscribes to what routers carry, or to what was asked for before. */
  afterStart(): void
}

/**
 * Announcements over gossipsub. Routers (bootstraps) subscribe to every topic and keep *every* subscriber in
 * their mesh: stock gossipsub keeps 12 and starves the rest (test/interop/libp2p-faults.test.ts). Messages
 * are taken from routers and announcers only, and others' are dropped before they reach the seen-cache: a
 * leaf that pushed a copy first would otherwise make routers ignore the genuine one as a duplicate.
 * A leaf is in the mesh one heartbeat (1 s) after it subscribed at the latest; what is announced before that
 * may pass it by, so whoever begins to listen also asks once for what is newest.
 */
export function createGossip(
  needs: Pick<NetworkNeeds, 'identity' | 'clock' | 'log'>,
  options: Pick<NetworkOptions, 'role' | 'networkFile'>,
): Gossip {
  const { bootstraps, announcers } = options.networkFile
  const isRouter = options.role === 'bootstrap'
  const sources = new Set([...bootstraps, ...announcers].map(({ peerId }) => peerId))
  const signers = new Set(announcers.map(({ signer }) => signer))
  const perVendor = createRateLimit(needs.clock, {
    ...ANNOUNCEMENTS_PER_VENDOR,
    maxKeys: MAX_RATE_KEYS,
  })
  const listeners = new Set<{
    readonly vendors: ReadonlySet<EvmAddress>
    readonly heard: (announcement: Announcement) => void
  }>()
  let pubsub: GossipSub | undefined

  const validate = (topic: string, from: PeerId, data: Uint8Array): TopicValidatorResult => {
    if (!sources.has(from.toString())) return TopicValidatorResult.Reject
    const verdict = judgeAnnouncement(data, topic, signers, needs.clock)
    if (verdict.kind === 'invalid') return TopicValidatorResult.Reject
    if (verdict.kind === 'stale') return TopicValidatorResult.Ignore
    if (!perVendor.take(verdict.announcement.vendor)) return TopicValidatorResult.Ignore
    tell(verdict.announcement, listeners, needs.log)
    return TopicValidatorResult.Accept
  }

  const service = (components: GossipSubComponents): GossipSub => {
    const created = gossipsub(gossipsubOptions(isRouter))(components)
    wrapReceiver(created as GossipSub & Internals, sources, isRouter)
    keepNobodyWaiting(created as GossipSub & Internals)
    for (const topic of allTopics) {
      created.topicValidators.set(topic, (from, message) => validate(topic, from, message.data))
    }
    pubsub = created
    return created
  }

  const wantedTopics = () =>
    new Set([...listeners].flatMap(({ vendors }) => [...vendors].map(topicOf)))
  let running = false
  const adjustSubscriptions = () => {
    if (pubsub === undefined || !running) return
    const wanted = isRouter ? new Set(allTopics) : wantedTopics()
    for (const topic of allTopics) {
      const subscribed = pubsub.getTopics().includes(topic)
      if (wanted.has(topic) && !subscribed) pubsub.subscribe(topic)
      if (!wanted.has(topic) && subscribed) pubsub.unsubscribe(topic)
    }
  }

  return {
    service,
    afterStart() {
      running = true
      adjustSubscriptions()
    },
    async announce(announcement) {
      if (!signers.has(needs.identity.evmAddress)) {
        throw networkError('not-an-announcer', 'this node may not announce releases', {
          blame: 'caller',
          fix: 'Only the announcers that the network file names may.',
        })
      }
      const message = encodeAnnouncement(needs.identity, announcement)
      const topic = topicOf(announcement.vendor)
      const started = pubsub
      if (started === undefined || !running) throw noRouter()
      await within(needs.clock, BOOTSTRAP_WAIT_MS, undefined, async (signal) => {
        while (started.getSubscribers(topic).length === 0) {
          await needs.clock.sleep(ROUTER_POLL_MS, { signal })
        }
      }).catch((thrown: unknown) => {
        throw noRouter(thrown)
      })
      const { recipients } = await started.publish(topic, message)
      return recipients.length
    },
    listen(vendors, heard) {
      const listener = { vendors: new Set(vendors), heard }
      listeners.add(listener)
      adjustSubscriptions()
      return () => {
        if (listeners.delete(listener)) adjustSubscriptions()
      }
    },
  }
}

/** Routers tell of their subscriptions right after connecting; there is no event for "one more subscriber". */
const ROUTER_POLL_MS = 20

function noRouter(cause?: unknown) {
  return networkError('no-bootstrap', 'no bootstrap took the announcement', {
    blame: 'peer',
    fix: 'Check the connection to the bootstraps of the network file and announce again.',
    cause,
  })
}

function gossipsubOptions(isRouter: boolean): Partial<GossipsubOpts> {
  /** Larger than any node has connections: the mesh is everybody. */
  const everybody = 1_000_000
  return {
    globalSignaturePolicy: StrictNoSign,
    allowedTopics: [...allTopics],
    ...(isRouter ? { D: everybody, Dlo: everybody, Dhi: everybody } : {}),
    floodPublish: true,
    emitSelf: false,
    // A leaf passes nothing on: it never reports a message as validated.
    asyncValidation: !isRouter,
    // Copies are recognized for as long as an announcement counts as fresh.
    seenTTL: ANNOUNCEMENT_MAX_AGE_MS + 2 * ANNOUNCEMENT_MAX_AHEAD_MS,
    maxInboundDataLength: MAX_GOSSIP_FRAME_BYTES,
    maxOutboundBufferSize: GOSSIP_BUFFER_BYTES,
    ignoreDuplicatePublishError: true,
    tagMeshPeers: false,
    // Many honest nodes share one address: homes, offices, carriers' NATs.
    scoreParams: { IPColocationFactorWeight: 0 },
  }
}

function wrapReceiver(
  service: GossipSub & Internals,
  sources: ReadonlySet<string>,
  isRouter: boolean,
) {
  const receive = service.handleReceivedRpc.bind(service)
  service.handleReceivedRpc = async (from, rpc) => {
    if (sources.has(from.toString())) return receive(from, rpc)
    // Subscriptions of leaves are for routers; between friends there is nothing to gossip about.
    if (isRouter) await receive(from, Object.assign(rpc, { messages: [] }))
  }
}

/**
 * Stock gossipsub keeps who left a topic out of its mesh for 10 to 25 s, and a leaf that listens again that
 * soon would hear nothing (gossipsub 1.1, "Prune Backoff"). The wait spares meshes of a bounded size from
 * peers that were pruned for being too many; here nobody is.
 */
function keepNobodyWaiting(service: GossipSub & Internals) {
  service.doAddBackoff = () => undefined
}

function tell(
  announcement: Announcement,
  listeners: Iterable<{
    readonly vendors: ReadonlySet<EvmAddress>
    readonly heard: (announcement: Announcement) => void
  }>,
  log: Log,
) {
  for (const { vendors, heard } of [...listeners]) {
    if (!vendors.has(announcement.vendor)) continue
    try {
      heard(announcement)
    } catch (thrown) {
      log.error({ error: thrown, code: codeOf(thrown) }, 'a listener for announcements failed')
    }
  }
}
