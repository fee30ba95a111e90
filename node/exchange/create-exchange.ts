import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { type AbortOptions, type Clock, IoexError, type Log, type Random } from '../base/index.ts'
import type { Admission, Friends, Gate } from '../friends/index.ts'
import type { Identity } from '../identity/index.ts'
import type { Lan, Network } from '../network/index.ts'
import type { DeviceBook, LedgerDomain, ServerBook, SignedPinOrder } from '../receipts/index.ts'
import type { PinSession, Storage } from '../storage/index.ts'
import { createBans } from './bans.ts'
import { createBroker } from './broker.ts'
import { type Reach, sourceOf } from './fellow-frames.ts'
import { createFellows } from './fellows.ts'
import { openFetchSession } from './fetch-session.ts'
import type { RunningSession, SessionOptions } from './session-types.ts'
import { createHoldingsByRoot } from './holdings.ts'
import {
  BROKER_GIVE_UP_MS,
  MAX_PIN_FRAME_BYTES,
  MAX_PIN_STREAMS,
  MAX_STREAMS_PER_CONNECTION,
  PIN_GIVE_UP_MS,
} from './limits.ts'
import { createMeter } from './meter.ts'
import { askToPin, askToUnpin } from './pin-asker.ts'
import { createPinKeeper } from './pin-keeper.ts'
import { createPinOrders } from './pin-orders.ts'
import { PIN_PROTOCOL } from './pin-protocol.ts'
import { EXCHANGE_PROTOCOL, keyOf, MAX_FRAME_BYTES } from './protocol.ts'
import { createPossessionCheck } from './possession.ts'
import { createServer } from './server.ts'
import { createShares } from './shares.ts'
import { trustOwnGrant } from './trust-own-grant.ts'
import { createUploadCaps } from './upload-caps.ts'
import type { Exchange, ExchangeErrorCode, ExchangeOptions, FetchReport } from './types.ts'
import { walkTree } from './walk.ts'

export interface ExchangeNeeds {
  readonly network: Pick<Network, 'open' | 'handle' | 'unhandle'>
  readonly gate: Pick<Gate, 'isFriend' | 'admit'>
  readonly friends: Pick<Friends, 'knock' | 'list'>
  readonly storage: Pick<Storage, 'blocks' | 'pins' | 'records' | 'reserve'>
  readonly serverBook: Pick<ServerBook, 'admit' | 'accept' | 'receiptedBytes' | 'trust'>
  /** Needed by those who fetch under grants. */
  readonly deviceBook?: DeviceBook
  readonly identity: Pick<Identity, 'peerId' | 'evmAddress' | 'signDigest'>
  /** Of the pin orders that are checked and countersigned; from the network file. */
  readonly domain: LedgerDomain
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Where others that fetch the same root reach us; needed by fellows. */
  readonly reach?: () => Reach
  /** Where fellows are found without anybody's help. */
  readonly lan?: Lan | undefined
  /** Is the payer of this order, whose signature and times have been checked, somebody we keep for? Default: every friend's. */
  readonly verifyOrder?: (order: SignedPinOrder) => Promise<boolean>
}

type TreeOptions = Parameters<Exchange['fetchAndPin']>[0] &
  Pick<SessionOptions, 'mayReuse'> & { readonly maxBytes?: number }

export function createExchange(needs: ExchangeNeeds, options: ExchangeOptions): Exchange {
  const { network, storage, clock, random, log, gate, friends } = needs
  let stopping = new AbortController()
  let isRunning = false
  const sessions = new Set<RunningSession>()
  /** Pin sessions of fetches that failed: the next attempt for that root goes on with them. */
  const unfinished = new Map<string, PinSession>()
  const knocked = new Map<string, Admission>()
  const bans = createBans(clock)
  const shares = createShares(storage)
  const meter = createMeter({ book: needs.serverBook, records: storage.records, clock })
  const uploads = createUploadCaps(clock, options)
  const holdings = createHoldingsByRoot()
  const fellows = createFellows(random)
  const isFellow = options.isFellow ?? false
  const server = createServer(
    {
      storage,
      gate,
      shares,
      serverBook: needs.serverBook,
      meter,
      uploads,
      holdings,
      isFellow,
      fellows: {
        join(root, peerId, reach, tell) {
          // Whoever fetches from us serves us, too.
          for (const session of sessions) {
            if (isFellow && keyOf(session.root) === root) {
              session.addFellow(sourceOf({ ...reach, peerId }), 'mutual')
            }
          }
          return fellows.join(root, peerId, reach, tell)
        },
      },
      clock,
      log,
    },
    () => stopping.signal,
  )

  const openSession = (fetchOptions: SessionOptions): RunningSession => {
    if (!isRunning) throw stopped()
    const { grant, root } = fetchOptions
    if (isFellow && grant !== undefined) trustOwnGrant(needs, grant)
    const held = holdings.open(root)
    const session: RunningSession = openFetchSession(
      {
        network,
        friends,
        gate,
        knocked,
        storage,
        deviceBook: needs.deviceBook,
        clock,
        random,
        log,
        bans,
        holdings: held.holdings,
        isFellow,
        reach: () => (isFellow ? needs.reach?.() : undefined),
        self: needs.identity.peerId,
        ended() {
          sessions.delete(session)
          held.close()
          leaveLan?.()
        },
      },
      fetchOptions,
    )
    sessions.add(session)
    // Whoever knows the digest of the root is a fellow or was near one; the grant is asked of him as of others.
    const leaveLan =
      isFellow && grant !== undefined
        ? needs.lan?.join(
            root.multihash.digest,
            (peer) => session.addFellow(sourceOf(peer), 'lan'),
            () => storage.blocks.has(root),
          )
        : undefined
    return session
  }
  const fetchTree = async ({
    owner,
    onBlock,
    signal,
    maxBytes,
    ...fetchOptions
  }: TreeOptions): Promise<FetchReport> => {
    const { root } = fetchOptions
    const name = root.toString()
    const pin = unfinished.get(name) ?? (await storage.pins.open(root))
    unfinished.delete(name)
    let session: RunningSession | undefined
    let isDone = false
    try {
      const opened = openSession({ ...fetchOptions, pin })
      session = opened
      const get = (cid: CID, each: AbortOptions) => opened.getHeld(cid, each)
      await walkTree({ root, signal, onBlock, maxBytes, get })
      await pin.commit(owner)
      isDone = true
      await session.close()
      return session.report()
    } finally {
      if (!isDone) {
        unfinished.set(name, pin)
        await session?.close()
      }
    }
  }
  const forget = async (root: CID) => {
    const name = root.toString()
    const pin = unfinished.get(name)
    unfinished.delete(name)
    await pin?.drop()
  }
  const addressesOf = (peer: PeerId) =>
    friends.list().find((friend) => friend.peerId.equals(peer))?.multiaddrs ?? []
  const ledger = needs.domain
  const orders = createPinOrders({
    records: storage.records,
    serverBook: needs.serverBook,
    verifyOrder: needs.verifyOrder,
    ledger,
    clock,
    log,
  })
  const keeper = createPinKeeper({
    storage,
    gate,
    friends,
    identity: needs.identity,
    ledger,
    orders,
    clock,
    log,
    forget,
    fetch: ({ from, isPaid, ...rest }) =>
      fetchTree({
        ...rest,
        mayReuse: isPaid ? undefined : createPossessionCheck({ storage, random }, from),
        sources: [{ peerId: from, multiaddrs: addressesOf(from) }],
        giveUpAfterMs: PIN_GIVE_UP_MS,
      }),
  })
  const broker = createBroker({
    clock,
    inProgress: () => [...sessions],
    async open(root) {
      const pin = await storage.pins.open(root)
      const sources = friends.list().map(({ peerId, multiaddrs }) => ({ peerId, multiaddrs }))
      const session = openSession({ root, sources, pin, giveUpAfterMs: BROKER_GIVE_UP_MS })
      // Not among those in progress, or it would be asked twice.
      sessions.delete(session)
      return {
        session,
        async close() {
          await session.close()
          await pin.drop()
        },
      }
    },
  })
  const asker = { network, shares, ledger, clock, log }
  return {
    async start() {
      if (isRunning) return
      isRunning = true
      stopping = new AbortController()
      meter.start()
      if (options.serve) {
        await network.handle(
          EXCHANGE_PROTOCOL,
          { maxFrameBytes: MAX_FRAME_BYTES, maxInboundStreams: MAX_STREAMS_PER_CONNECTION },
          (stream) => server.serve(stream),
        )
      }
      if (options.acceptPins) {
        await network.handle(
          PIN_PROTOCOL,
          { maxFrameBytes: MAX_PIN_FRAME_BYTES, maxInboundStreams: MAX_PIN_STREAMS },
          (stream) => keeper.serve(stream),
        )
        keeper.start()
      }
    },
    async stop() {
      if (!isRunning) return
      isRunning = false
      stopping.abort(stopped())
      if (options.serve) await network.unhandle(EXCHANGE_PROTOCOL)
      if (options.acceptPins) await network.unhandle(PIN_PROTOCOL)
      await broker.close()
      for (const session of sessions) session.abort(stopped())
      await Promise.all([...sessions].map((session) => session.close()))
      sessions.clear()
      if (options.acceptPins) await keeper.stop()
      await server.idle()
    },
    openSession,
    fetchAndPin: fetchTree,
    askToPin: (peer, request, askOptions = {}) => askToPin(asker, peer, request, askOptions),
    askToUnpin: (peer, root, askOptions = {}) => askToUnpin(asker, peer, root, askOptions),
    broker: broker.broker,
    share: (root, friend) => shares.add(root, friend, 'shared'),
    unshare(root, friend) {
      shares.remove(root, friend, 'shared')
      server.cut(root, friend)
    },
    served: () => ({ ...server.served }),
  }
}

function stopped(): IoexError<ExchangeErrorCode> {
  return new IoexError('exchange-stopped', 'the exchange is not running', {
    blame: 'caller',
    fix: 'Start it first.',
  })
}
