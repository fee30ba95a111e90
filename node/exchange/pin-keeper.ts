import { decode, encode } from '@ipld/dag-cbor'
import { peerIdFromString } from '@libp2p/peer-id'
import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { asError, type Clock, codeOf, type Log } from '../base/index.ts'
import type { Friends, Gate } from '../friends/index.ts'
import type { Identity } from '../identity/index.ts'
import type { FramedStream } from '../network/index.ts'
import {
  decodeSignedPinOrder,
  encodeSignedPinOrder,
  type LedgerDomain,
  type SignedPinOrder,
  signPinOrder,
} from '../receipts/index.ts'
import type { PinOwner, Storage } from '../storage/index.ts'
import { type Bell, createBell, orAborted } from './bell.ts'
import { MAX_PENDING_PINS, MAX_PIN_JOBS, PIN_RETRY_MS, PROGRESS_EVERY_MS } from './limits.ts'
import type { PinOrders } from './pin-orders.ts'
import { decodePinAsk, encodePin, type PinAnswer, type PinAsk } from './pin-protocol.ts'
import { keyOf } from './protocol.ts'
import { friendOwner } from './shares.ts'
import type { PinProgress, PinRefusal } from './types.ts'

export interface KeeperNeeds {
  readonly storage: Pick<Storage, 'pins' | 'records' | 'reserve'>
  readonly gate: Pick<Gate, 'isFriend'>
  readonly friends: Pick<Friends, 'list'>
  readonly identity: Pick<Identity, 'signDigest'>
  readonly ledger: LedgerDomain
  readonly orders: PinOrders
  readonly clock: Clock
  readonly log: Log
  /** Fetches the tree from that friend and pins it; throws as `fetchAndPin`, and `tree-too-large`. */
  readonly fetch: (options: {
    readonly root: CID
    readonly from: PeerId
    readonly maxBytes: number
    readonly owner: PinOwner
    readonly isPaid: boolean
    readonly onBlock: (progress: PinProgress) => void
    readonly signal: AbortSignal
  }) => Promise<unknown>
  /** Forgets what has come of a root that will not be fetched any further. */
  readonly forget: (root: CID) => Promise<void>
}

/** Keeps what friends ask to be kept. Requests are records: after a crash the fetching goes on. */
export interface PinKeeper {
  serve(stream: FramedStream): Promise<void>
  start(): void
  stop(): Promise<void>
}

interface Request {
  readonly root: CID
  readonly peer: PeerId
  readonly bytes: number
  readonly untilMs: number | undefined
  readonly order: SignedPinOrder | undefined
}

interface Job {
  readonly request: Request
  readonly changed: Bell
  readonly aborting: AbortController
  progress: PinProgress
  end: Extract<PinAnswer, { kind: 'done' | 'refused' }> | undefined
  finished: Promise<void>
}

const TABLE = 'exchange-pins'
/** How long an asker may take to read the last answer. */
const FAREWELL_MS = 5_000

export function createPinKeeper(needs: KeeperNeeds): PinKeeper {
  const { storage, clock, log, orders } = needs
  const { pins, records } = storage
  const jobs = new Map<string, Job>()
  let stopping = new AbortController()
  let cancelRetry: () => void = () => undefined

  const ownerOf = ({ order, peer, untilMs }: Request): PinOwner =>
    order === undefined
      ? { owner: friendOwner(peer), ...(untilMs === undefined ? {} : { untilMs }) }
      : orders.ownerOf(order)
  const doneWith = ({ order }: Request): PinAnswer & { kind: 'done' } => ({
    kind: 'done',
    countersignature:
      order === undefined
        ? undefined
        : signPinOrder(needs.identity, needs.ledger, order.message).signature,
  })

  const run = async (name: string, job: Job) => {
    const { request } = job
    try {
      // A friend has to have what he asks us to keep, or asking would be a way to get it; whoever pays has not.
      const { owner } = ownerOf(request)
      const pin = await pins.get(request.root)
      const isHis = pin?.owners.some((each) => each.owner === owner) ?? false
      const mayShare = isHis || request.order !== undefined
      if (!mayShare || !(await pins.share(request.root, ownerOf(request)))) {
        await needs.fetch({
          root: request.root,
          from: request.peer,
          maxBytes: request.bytes,
          owner: ownerOf(request),
          isPaid: request.order !== undefined,
          signal: AbortSignal.any([stopping.signal, job.aborting.signal]),
          onBlock(progress) {
            job.progress = progress
            job.changed.ring()
          },
        })
      }
      records.delete(TABLE, name)
      job.end = doneWith(request)
      log.info({ root: request.root.toString(), peer: request.peer.toString() }, 'a root is kept')
    } catch (thrown) {
      const reason = refusalFor(thrown)
      job.end = { kind: 'refused', reason }
      const isOver = reason !== 'unreachable' || job.aborting.signal.aborted
      log.warn(
        { root: request.root.toString(), reason, error: asError(thrown) },
        isOver ? 'a root could not be kept' : 'a root is not complete yet',
      )
      if (isOver && !stopping.signal.aborted) {
        records.delete(TABLE, name)
        await needs.forget(request.root)
      }
    } finally {
      jobs.delete(name)
      job.changed.ring()
    }
  }
  const begin = (name: string, request: Request): Job => {
    const job: Job = {
      request,
      changed: createBell(),
      aborting: new AbortController(),
      progress: { blocks: 0, bytes: 0 },
      end: undefined,
      finished: Promise.resolve(),
    }
    jobs.set(name, job)
    job.finished = run(name, job)
    return job
  }

  const follow = async (stream: FramedStream, job: Job) => {
    const gone = new AbortController()
    // The asker says nothing more; when his side ends, nobody listens any longer.
    const listening = stream.receive({ signal: stopping.signal }).then(
      () => gone.abort(new Error('the asker has gone')),
      (thrown: unknown) => gone.abort(asError(thrown)),
    )
    const signal = AbortSignal.any([stopping.signal, gone.signal])
    let told = job.progress
    try {
      while (job.end === undefined) {
        const { rings } = job.changed
        if (told !== job.progress) {
          told = job.progress
          await stream.send(encodePin({ kind: 'progress', ...told }), { signal })
          await orAborted(
            Promise.race([clock.sleep(PROGRESS_EVERY_MS, { signal }), job.finished]),
            signal,
          )
        }
        if (job.end === undefined && job.changed.rings === rings) await job.changed.next(signal)
      }
      if (job.end.kind === 'done') {
        await stream.send(encodePin({ kind: 'progress', ...job.progress }), { signal })
      }
      await stream.send(encodePin(job.end), { signal })
      await stream.close()
      // Aborting now could take back what is still on its way; the asker closes when he has read it.
      const cancel = clock.after(FAREWELL_MS, () => stream.abort(new Error('no farewell')))
      await listening
      cancel()
    } catch (thrown) {
      stream.abort(asError(thrown))
      await listening
      throw thrown
    }
  }
  const accept = async (
    ask: Extract<PinAsk, { kind: 'pin' }>,
    peer: PeerId,
  ): Promise<Job | PinRefusal> => {
    const { root, bytes, untilMs } = ask
    if (keyOf(root) === undefined) return 'incomplete'
    const order = ask.order === undefined ? undefined : await orders.check(ask.order, root)
    if (ask.order !== undefined && order === undefined) return 'order-invalid'
    const name = nameOf(peer, root)
    const running = jobs.get(name)
    if (running !== undefined) return running
    const isKnown = records.get(TABLE, name) !== undefined
    const isHere = (await pins.get(root)) !== undefined
    if (!isKnown && !isHere) {
      if ([...records.list(TABLE)].length >= MAX_PENDING_PINS) return 'no-room'
      if (!(await storage.reserve(bytes)).ok) return 'no-room'
    }
    const request: Request = { root, peer, bytes, untilMs, order }
    records.transaction(() => {
      records.put(TABLE, name, encodeRequest(request))
      if (order !== undefined) orders.accept(order, root)
    })
    return jobs.get(name) ?? begin(name, request)
  }

  const retry = () => {
    for (const { key: name, value } of records.list(TABLE)) {
      if (jobs.has(name) || jobs.size >= MAX_PIN_JOBS) continue
      const request = decodeRequest(value)
      const { untilMs } = ownerOf(request)
      if (untilMs !== undefined && untilMs < clock.nowMs()) records.delete(TABLE, name)
      else begin(name, request)
    }
    cancelRetry = clock.after(PIN_RETRY_MS, retry)
  }
  return {
    async serve(stream) {
      const frame = await stream.receive({ signal: stopping.signal })
      if (frame === undefined) return
      const ask = decodePinAsk(frame)
      const peer = stream.remotePeer
      const answer = (message: PinAnswer) => stream.send(encodePin(message))
      if (!needs.gate.isFriend(peer)) {
        await answer({ kind: 'refused', reason: 'not-a-friend' })
        return
      }
      if (ask.kind === 'unpin') {
        const name = nameOf(peer, ask.root)
        const job = jobs.get(name)
        job?.aborting.abort(new Error('it was taken back'))
        await job?.finished
        records.delete(TABLE, name)
        const had = await pins.remove(ask.root, friendOwner(peer))
        await answer({ kind: 'unpinned', had: had || job !== undefined })
        return
      }
      const job = await accept(ask, peer)
      if (typeof job === 'string') {
        log.info({ peer: peer.toString(), root: ask.root.toString(), reason: job }, 'not kept')
        await answer({ kind: 'refused', reason: job })
      } else await follow(stream, job)
    },
    start() {
      stopping = new AbortController()
      orders.start()
      retry()
    },
    async stop() {
      stopping.abort(new Error('the exchange has stopped'))
      cancelRetry()
      await Promise.all([...jobs.values()].map((job) => job.finished))
    },
  }
}

function nameOf(peer: PeerId, root: CID): string {
  return `${peer.toString()} ${keyOf(root) ?? ''}`
}

function refusalFor(thrown: unknown): PinRefusal {
  switch (codeOf(thrown)) {
    case 'no-source':
    case 'exchange-stopped':
    case 'session-closed':
      return 'unreachable'
    case 'quota-exceeded':
    case 'disk-full':
      return 'no-room'
    case undefined:
    default:
      return 'incomplete'
  }
}

function encodeRequest({ root, peer, bytes, untilMs, order }: Request): Uint8Array {
  return encode({
    root,
    peer: peer.toString(),
    bytes,
    ...(untilMs === undefined ? {} : { untilMs }),
    ...(order === undefined ? {} : { order: encodeSignedPinOrder(order) }),
  })
}

/** What `encodeRequest` made, from our own disk. */
function decodeRequest(value: Uint8Array): Request {
  const kept = decode<{
    root: CID
    peer: string
    bytes: number
    untilMs?: number
    order?: Uint8Array
  }>(value)
  const order = kept.order === undefined ? undefined : decodeSignedPinOrder(kept.order)
  return {
    root: kept.root,
    peer: peerIdFromString(kept.peer),
    bytes: kept.bytes,
    untilMs: kept.untilMs,
    order: order?.ok === true ? order.value : undefined,
  }
}
