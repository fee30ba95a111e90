import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { asError, type Clock, type Log, type Result, refused } from '../base/index.ts'
import type { Gate } from '../friends/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { FramedStream } from '../network/index.ts'
import { decodeSignedGrant, type ServerBook } from '../receipts/index.ts'
import type { Storage } from '../storage/index.ts'
import type { Account, Meter } from './meter.ts'
import type { Fellows } from './fellows.ts'
import type { Holdings, HoldingsByRoot } from './holdings.ts'
import { cidOfKey, decodeClient, encodeServer, type Key, keyOf } from './protocol.ts'
import { createSpreads } from './spread.ts'
import { type ServedRoot, type StreamNeeds, serveStream } from './serve-stream.ts'
import type { Shares } from './shares.ts'
import { createStreamSlots, type StreamSlot } from './stream-slots.ts'
import type { UploadCaps } from './upload-caps.ts'

export interface ServeNeeds {
  readonly storage: Pick<Storage, 'blocks' | 'pins'>
  readonly gate: Pick<Gate, 'isFriend'>
  readonly shares: Shares
  readonly serverBook: Pick<ServerBook, 'admit'>
  readonly meter: Meter
  readonly uploads: UploadCaps
  readonly fellows: Fellows
  readonly holdings: HoldingsByRoot
  /** This node is a fellow of those who fetch from it: it says what it has, and is asked for no more. */
  readonly isFellow: boolean
  readonly clock: Clock
  readonly log: Log
}

interface Served {
  blocks: number
  bytes: number
  streams: number
}

/** Answers the streams of `/ioex/exchange/1.0.0`. */
export interface Server {
  serve(stream: FramedStream): Promise<void>
  readonly served: Served
  /** Ends what a friend is being sent of a root that is no longer shared. */
  cut(root: CID, friend: PeerId): void
  /** Resolves when no stream is served any longer. */
  idle(): Promise<void>
}

export function createServer(needs: ServeNeeds, stopping: () => AbortSignal): Server {
  const { clock, log, uploads } = needs
  const served: Served = { blocks: 0, bytes: 0, streams: 0 }
  const slots = createStreamSlots(clock)
  const serving = new Set<Promise<void>>()
  const toFriends = new Map<FramedStream, CID>()
  const spreads = createSpreads()

  return {
    served,
    async idle() {
      await Promise.allSettled(serving)
    },
    cut(root, friend) {
      for (const [stream, served] of toFriends) {
        if (!served.equals(root) || !stream.remotePeer.equals(friend)) continue
        stream.abort(new Error('the root is no longer shared'))
      }
    },
    serve(stream) {
      const task = serve(stream).finally(() => serving.delete(task))
      serving.add(task)
      return task
    },
  }

  async function serve(stream: FramedStream): Promise<void> {
    const frame = await stream.receive({ signal: stopping() })
    if (frame === undefined) return
    const open = decodeClient(frame)
    const admission =
      open.kind === 'open' ? await admit(needs, open, stream) : refused('open-missing')
    if (!admission.ok) {
      log.debug(
        { peer: stream.remotePeer.toString(), reason: admission.reason },
        'a stream was refused',
      )
      await stream.send(encodeServer({ kind: 'refused', reason: admission.reason }))
      return
    }
    let end = () => {
      stream.abort(new Error('others need its place'))
      return true
    }
    const slot = slots.take(stream.remotePeer.toString(), () => end())
    if (slot === undefined) {
      admission.value.account?.leave()
      await stream.send(encodeServer({ kind: 'refused', reason: 'busy' }))
      return
    }
    try {
      await serveAdmitted(stream, admission.value, slot, (ending) => {
        end = ending
      })
    } finally {
      slot.leave()
    }
  }

  async function serveAdmitted(
    stream: FramedStream,
    { root, account }: Admission,
    slot: StreamSlot,
    onMakeRoom: StreamNeeds['onMakeRoom'],
  ): Promise<void> {
    const rootKey = keyOf(root) ?? ''
    const holdings = needs.holdings.get(rootKey)
    const { spread, leave } = spreads.join(rootKey)
    if (account !== undefined) served.streams++
    else toFriends.set(stream, root)
    try {
      const isFellow = needs.isFellow && account !== undefined
      await stream.send(encodeServer({ kind: 'opened', metered: account !== undefined, isFellow }))
      await serveStream(
        {
          root: servedRoot(needs, root, holdings),
          account,
          uploads,
          spread,
          holdings: isFellow ? (holdings ?? 'all') : undefined,
          onHere: (reach, tell) =>
            account === undefined
              ? () => undefined
              : needs.fellows.join(rootKey, stream.remotePeer, reach, tell),
          clock,
          log,
          onMakeRoom,
          served(bytes) {
            slot.moved()
            if (account === undefined) return
            served.blocks++
            served.bytes += bytes
          },
        },
        stream,
        stopping(),
      )
    } catch (thrown) {
      account?.leave()
      throw asError(thrown)
    } finally {
      leave()
      toFriends.delete(stream)
    }
  }
}

interface Admission {
  readonly root: CID
  readonly account: Account | undefined
}

async function admit(
  needs: ServeNeeds,
  open: { readonly root: CID; readonly grant: Uint8Array | undefined },
  from: { readonly remotePeer: PeerId; readonly remoteAddress: EvmAddress },
): Promise<Result<Admission>> {
  const { root, grant } = open
  const isFriend = needs.gate.isFriend(from.remotePeer)
  if (isFriend && (await needs.shares.allows(root, from.remotePeer))) {
    return { ok: true, value: { root, account: undefined } }
  }
  if (grant === undefined) return refused(isFriend ? 'not-shared' : 'grant-missing')
  const decoded = decodeSignedGrant(grant)
  if (!decoded.ok) return decoded
  const admitted = await needs.serverBook.admit(decoded.value, from.remoteAddress)
  if (!admitted.ok) return admitted
  const { root: granted, deltaRoot } = admitted.value.grant
  const wanted = `0x${keyOf(root) ?? ''}`
  if (wanted !== granted && wanted !== deltaRoot) return refused('grant-for-another-root')
  return { ok: true, value: { root, account: needs.meter.join(admitted.value) } }
}

/** A pin, or the fetch that is going on, says that a block belongs to a root; one that is merely here is not served. */
function servedRoot(
  needs: Pick<ServeNeeds, 'storage'>,
  root: CID,
  holdings: Holdings | undefined,
): ServedRoot {
  const { blocks, pins } = needs.storage
  const isOfRoot = (key: Key, cid: CID) => holdings?.has(key) === true || pins.contains(root, cid)
  return {
    async block(key) {
      const recent = holdings?.bytesOf(key)
      if (recent !== undefined) return recent
      const cid = cidOfKey(key)
      return (await isOfRoot(key, cid)) ? blocks.getHeld(cid) : undefined
    },
    async has(key) {
      const cid = cidOfKey(key)
      return (await isOfRoot(key, cid)) && (await blocks.has(cid))
    },
    async version() {
      const pin = await pins.get(root)
      return pin === undefined ? '' : `${pin.blocks} ${pin.bytes}`
    },
  }
}
