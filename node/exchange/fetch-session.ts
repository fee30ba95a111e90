import type { CID } from 'multiformats/cid'
import { hash } from 'node:crypto'
import { type AbortOptions, asError, free, type HeldBytes, holdBytes } from '../base/index.ts'
import { encodeSignedReceipt } from '../receipts/index.ts'
import { createBell, orAborted } from './bell.ts'
import { createBlockWriter } from './block-writer.ts'
import { createChance } from './chance.ts'
import { sourceOf } from './fellow-frames.ts'
import {
  GIVE_UP_AFTER_MS,
  LAST_ANSWERS_MS,
  LAST_RECEIPTS_MS,
  MEET_FELLOW_MS,
  SLOW_WANT_MS,
  SWARM_TURN_MS,
  TICK_MS,
  TOLD_OF_FELLOWS_MS,
  WATCH_EVERY_MS,
} from './limits.ts'
import { createPoliteEnding } from './polite-ending.ts'
import { type ClientMessage, inFrames, type Key, keyOf, type ServerMessage } from './protocol.ts'
import { createReceiptFlow, type ReceiptFlow } from './receipt-flow.ts'
import * as scheduler from './scheduler.ts'
import type { RunningSession, SessionNeeds, SessionOptions } from './session-types.ts'
import { noSource, sessionClosed, unsupported } from './session-errors.ts'
import type { SourceLink } from './source-link.ts'
import { runLink } from './source-run.ts'
import { createSourcePool, type FellowKind, type PooledSource } from './source-pool.ts'
import type { FetchReport, FetchSession, Source } from './types.ts'
import { violation } from './violation.ts'
import { createWantTable } from './want-table.ts'
import { createWireChoice } from './wire-choice.ts'

interface Delivery {
  readonly source: PooledSource
  readonly bytes: number
}

/** It has said NOT_HERE and will say HAVE; asked again anyway after a while, in case that was lost. */
const ASK_AGAIN_MS = 10 * WATCH_EVERY_MS

export function openFetchSession(needs: SessionNeeds, options: SessionOptions): RunningSession {
  const { clock, log, bans } = needs
  const giveUpAfterMs = options.giveUpAfterMs ?? GIVE_UP_AFTER_MS
  const state = scheduler.createSchedulerState(createChance(needs.random))
  const pool = createSourcePool(needs.random)
  const wires = createWireChoice(options.wires)
  const wants = createWantTable<Delivery>({
    wanted(key, isAny) {
      const nowMs = clock.monotonicMs()
      if (state.wants.size === 0) progressMs = nowMs
      scheduler.want(state, key, nowMs, isAny)
      pumpSoon()
    },
    unwanted(key) {
      scheduler.unwant(state, key)
      pumpSoon()
    },
  })
  /** Came in this session; what was there before it counts as reused. */
  const fetched = new Set<Key>()
  const links = new Map<string, SourceLink>()
  const flows = new Map<string, ReceiptFlow>()
  const running = new Set<Promise<void>>()
  const ending = new AbortController()
  const within = createPoliteEnding({ clock, log }, ending.signal)
  const writer = createBlockWriter(options.pin, (error) => fail(error))
  let closing: Promise<void> | undefined
  let failure: Error | undefined
  let progressMs = clock.monotonicMs()
  let cancelTick: (() => void) | undefined
  let pumpDue = false
  let isSealed = false
  const progress = createBell()
  const totals = { fetchedBytes: 0, fetchedBlocks: 0, reusedBlocks: 0 }

  const fail = (error: Error) => {
    failure ??= error
    wants.failAll(failure)
    cancelTick?.()
    cancelTick = undefined
    for (const link of links.values()) link.abort(failure)
    ending.abort(failure)
  }
  const report = (): FetchReport => ({
    ...totals,
    sources: pool.list().map(({ id, bytes, blocks, outcome }) => ({
      peerId: id,
      bytes,
      blocks,
      receipts: flows.get(id)?.receipts ?? 0,
      outcome,
    })),
  })

  /** Once per turn of the event loop, however many events it had. */
  const pumpSoon = () => {
    if (pumpDue) return
    pumpDue = true
    const turn = () => {
      pumpDue = false
      pump()
    }
    // Among fellows there is always more to come: what is said at once is said in one message.
    if (state.fellows > 0) clock.after(SWARM_TURN_MS, turn)
    else queueMicrotask(turn)
  }
  const pump = () => {
    if (failure !== undefined) return
    const nowMs = clock.monotonicMs()
    // Over a thin link a block takes half a minute, and is progress all the while.
    if (scheduler.moved(state, links, nowMs)) progressMs = nowMs
    const { requests, offers, cancels } = scheduler.plan(state, nowMs)
    for (const { peer, keys } of cancels) tell(peer, 'cancel', keys)
    for (const { peer, keys } of offers) tell(peer, 'wantAny', keys)
    for (const { peer, keys } of requests) tell(peer, 'want', keys)
    if (state.wants.size === 0) {
      cancelTick?.()
      cancelTick = undefined
      return
    }
    dialMore(nowMs)
    if (nowMs - progressMs > giveUpAfterMs) {
      fail(noSource(giveUpAfterMs, report()))
      return
    }
    cancelTick ??= clock.after(TICK_MS, () => {
      cancelTick = undefined
      pump()
    })
  }
  const tell = (id: string, kind: 'want' | 'wantAny' | 'cancel', keys: readonly Key[]) => {
    const link = links.get(id)
    if (link === undefined) return
    for (const part of inFrames(keys)) say(link, { kind, keys: part })
  }
  const say = (link: SourceLink, message: ClientMessage) => {
    link.send(message).catch((thrown: unknown) => link.abort(asError(thrown)))
  }
  const dialMore = (nowMs: number) => {
    if (closing !== undefined) return
    const freeSinceMs = scheduler.oldestFreeMs(state)
    const need = {
      wants: state.wants.size,
      stalled: scheduler.stalledPeers(state, 'keeper').length,
      isSlow: freeSinceMs !== undefined && nowMs - freeSinceMs > SLOW_WANT_MS,
    }
    for (let due = pool.due(nowMs, need); due !== undefined; due = pool.due(nowMs, need)) {
      pool.opening(due, nowMs)
      const run: Promise<void> = runSource(due).finally(() => {
        running.delete(run)
        pumpSoon()
      })
      running.add(run)
    }
  }

  const runSource = async (source: PooledSource) => {
    if (bans.has(source.id)) {
      pool.ended(source, 'banned', clock.monotonicMs(), true)
      return
    }
    let flow: ReceiptFlow | undefined
    const { outcome, isFinal } = await runLink(needs, {
      source: source.source,
      root: options.root,
      grant: options.grant,
      wires,
      signal: ending.signal,
      opened(link) {
        links.set(source.id, link)
        pool.opened(source, link.isFellow)
        scheduler.join(state, source.id, clock.monotonicMs(), link.isFellow ? 'fellow' : 'keeper')
        if (source.isLan) scheduler.near(state, source.id)
        const reach = link.metered ? needs.reach() : undefined
        if (reach !== undefined) {
          say(link, { kind: 'here', reach })
          scheduler.expectFellows(state, clock.monotonicMs() + TOLD_OF_FELLOWS_MS)
        }
        flow = flowFor(source, link)
        flow?.attach((receipt) =>
          link.send({ kind: 'receipt', receipt: encodeSignedReceipt(receipt) }),
        )
        pumpSoon()
      },
      async refused(link) {
        scheduler.leave(state, source.id)
        pumpSoon()
        await within(LAST_RECEIPTS_MS, async (signal) => {
          await orAborted(writer.idle(), signal)
          await flow?.settled(signal)
          await orAborted(link.close(), signal)
        })
      },
      async received(message) {
        receive(source, message)
        await writer.room(ending.signal)
      },
    })
    links.delete(source.id)
    flow?.detach()
    scheduler.leave(state, source.id)
    if (outcome === 'banned') bans.add(source.id)
    if (closing !== undefined || failure !== undefined) return
    log.debug({ peer: source.id, outcome }, 'a source has ended')
    pool.ended(source, outcome, clock.monotonicMs(), isFinal)
  }
  const flowFor = (source: PooledSource, link: SourceLink): ReceiptFlow | undefined => {
    const { deviceBook } = needs
    const { grant } = options
    if (!link.metered || deviceBook === undefined || grant === undefined) return undefined
    const known = flows.get(source.id)
    if (known !== undefined) return known
    const flow = createReceiptFlow({ book: deviceBook, log, clock }, { grant, server: link.server })
    flows.set(source.id, flow)
    return flow
  }

  const receive = (source: PooledSource, message: ServerMessage) => {
    const nowMs = clock.monotonicMs()
    switch (message.kind) {
      case 'block':
        receiveBlock(source, message.key, message.bytes, nowMs)
        break
      case 'notHere':
        for (const key of message.keys) {
          if (!scheduler.notHere(state, source.id, key, nowMs, nowMs + ASK_AGAIN_MS)) {
            throw violation('NOT_HERE for what was not asked')
          }
        }
        break
      case 'have':
        for (const key of message.keys) scheduler.have(state, source.id, key)
        break
      case 'receipted':
        flows.get(source.id)?.acknowledged(message.bytes)
        break
      case 'holds':
        scheduler.holds(state, source.id, message.prefixes, nowMs)
        break
      case 'peers':
        for (const told of message.peers) addFellow(sourceOf(told), 'fellow')
        break
      case 'busy':
        // It waits for a receipt that may be on its way. That is no progress: whoever says so for ever stalls.
        flows.get(source.id)?.hurry()
        break
      case 'opened':
      case 'refused':
        throw violation(`${message.kind} in the middle of a stream`)
    }
    progress.ring()
    pumpSoon()
  }
  const receiveBlock = (source: PooledSource, key: Key, bytes: Uint8Array, nowMs: number) => {
    if (isSealed) return
    if (hash('sha256', bytes, 'hex') !== key) throw violation('a block that is not what was asked')
    const arrival = scheduler.arrived(state, source.id, key, bytes.byteLength, nowMs)
    if (arrival === 'unasked') throw violation('a block that was not asked')
    progressMs = nowMs
    const wanted = wants.get(key)
    const delivery = { source, bytes: bytes.byteLength }
    if (wanted?.deliveries !== undefined) {
      wanted.deliveries.push(delivery)
      free(bytes)
    } else if (wanted === undefined || arrival === 'duplicate') {
      count(delivery)
      free(bytes)
    } else {
      wanted.deliveries = [delivery]
      const held = holdBytes(bytes)
      writer.add(wanted.cid, bytes, () => {
        fetched.add(key)
        needs.holdings.add(key, needs.isFellow ? held.share() : undefined)
        for (const each of wanted.deliveries ?? []) count(each)
        wants.durable(key, held)
        options.onProgress?.(report())
      })
    }
  }
  /** Verified and durable: it counts, and its server is owed for it. */
  const count = ({ source, bytes }: Delivery) => {
    source.bytes += bytes
    source.blocks++
    totals.fetchedBytes += bytes
    totals.fetchedBlocks++
    flows.get(source.id)?.delivered(bytes)
  }

  const addFellow = (source: Source, kind: FellowKind) => {
    const id = source.peerId.toString()
    if (source.peerId.equals(needs.self) || bans.has(id)) return
    pool.add(source, kind)
    scheduler.expectFellows(state, clock.monotonicMs() + MEET_FELLOW_MS)
    if (kind === 'lan') scheduler.near(state, id)
    pumpSoon()
  }
  /** It is on the disk, may be taken from there, and is counted to the root. */
  const isOnDisk = async (cid: CID, key: Key): Promise<boolean> => {
    const isOurs = fetched.has(key)
    if (!(await needs.storage.blocks.has(cid))) return false
    if (!isOurs && !((await options.mayReuse?.(cid)) ?? true)) return false
    if (!(await options.pin.adopt(cid))) return false
    if (!isOurs) totals.reusedBlocks++
    needs.holdings.add(key)
    return true
  }
  const getHeld = async (cid: CID, getOptions?: AbortOptions): Promise<HeldBytes> => {
    const key = keyOf(cid)
    if (key === undefined) throw unsupported(cid)
    if (!wants.has(key) && (await isOnDisk(cid, key))) {
      const here = await needs.storage.blocks.getHeld(cid)
      if (here !== undefined) return here
    }
    return wait(cid, key, false, getOptions?.signal)
  }
  const fetch: FetchSession['fetch'] = async (cid, fetchOptions) => {
    const key = keyOf(cid)
    if (key === undefined) throw unsupported(cid)
    if (!wants.has(key) && (await isOnDisk(cid, key))) return undefined
    return wait(cid, key, true, fetchOptions?.signal)
  }
  const wait = async (cid: CID, key: Key, isAny: boolean, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted()
    if (failure !== undefined) throw failure
    if (closing !== undefined) throw sessionClosed()
    return wants.wait(cid, key, isAny, signal)
  }

  const close = async () => {
    wants.failUndelivered(sessionClosed())
    pump()
    cancelTick?.()
    await writer.idle()
    // What was cancelled too late still counts; what comes after that is neither counted nor paid.
    await within(LAST_ANSWERS_MS, async (signal) => {
      while (scheduler.owesAnswers(state)) await progress.next(signal)
    })
    isSealed = true
    await within(LAST_RECEIPTS_MS, async (signal) => {
      // Whoever has gone silent is not waited for: it gets its last receipt when it is met again.
      const silent = new Set(scheduler.stalledPeers(state))
      const heard = [...flows].filter(([id]) => !silent.has(id))
      await Promise.all(heard.map(([, flow]) => flow.settled(signal)))
      for (const id of silent) links.get(id)?.abort(sessionClosed())
      await Promise.all([...links.values()].map((link) => orAborted(link.close(), signal)))
      await orAborted(Promise.all(running), signal)
    })
    ending.abort(sessionClosed())
    for (const link of links.values()) link.abort(sessionClosed())
    await Promise.all(running)
  }
  const afterFailure = async () => {
    await writer.idle()
    await Promise.all(running)
  }
  for (const source of options.sources) pool.add(source, 'keeper')
  return {
    root: options.root,
    get: async (cid, getOptions) => (await getHeld(cid, getOptions)).keep(),
    getHeld,
    fetch,
    addFellow,
    addSource(source) {
      pool.add(source, 'keeper')
      pumpSoon()
    },
    report,
    close() {
      closing ??= (failure === undefined ? close() : afterFailure()).finally(needs.ended)
      return closing
    },
    abort: fail,
  }
}
