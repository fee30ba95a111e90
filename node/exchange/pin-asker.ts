import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import {
  type AbortOptions,
  asError,
  type Clock,
  codeOf,
  type Hex,
  type Log,
  type Result,
  refused,
} from '../base/index.ts'
import type { FramedStream, Network } from '../network/index.ts'
import { encodeSignedPinOrder, type LedgerDomain, pinOrderSigner } from '../receipts/index.ts'
import { ASK_GIVE_UP_MS, MAX_PIN_FRAME_BYTES, RETRY_MAX_MS, RETRY_MIN_MS } from './limits.ts'
import { decodePinAnswer, encodePin, PIN_PROTOCOL, type PinAnswer } from './pin-protocol.ts'
import type { Shares } from './shares.ts'
import type { PinProgress, PinRefusal, PinRequest } from './types.ts'

export interface AskerNeeds {
  readonly network: Pick<Network, 'open'>
  readonly shares: Shares
  readonly ledger: LedgerDomain
  readonly clock: Clock
  readonly log: Log
}

export interface AskOptions extends AbortOptions {
  readonly multiaddrs?: readonly Multiaddr[]
  readonly onProgress?: (progress: PinProgress) => void
}

type Kept = Result<{ readonly countersignature?: Hex }, PinRefusal>

/** Asks again when the stream breaks, until it is done, refused, aborted, or long without progress. */
export async function askToPin(
  needs: AskerNeeds,
  peer: PeerId,
  request: PinRequest,
  options: AskOptions,
): Promise<Kept> {
  const { clock, shares, log } = needs
  const { root } = request
  // Until it has answered it may fetch the root; after a break or a crash that must still hold.
  shares.add(root, peer, 'asked')
  let progressMs = clock.monotonicMs()
  let waitMs = RETRY_MIN_MS
  for (;;) {
    try {
      const answer = await askOnce(needs, peer, request, options, () => {
        progressMs = clock.monotonicMs()
        waitMs = RETRY_MIN_MS
      })
      if (answer !== undefined) {
        if (!(answer.ok || answer.reason === 'unreachable')) shares.remove(root, peer, 'asked')
        if (answer.ok) shares.remove(root, peer, 'asked')
        return answer
      }
    } catch (thrown) {
      options.signal?.throwIfAborted()
      if (codeOf(thrown) === 'protocol-violation') throw thrown
      log.debug(
        { peer: peer.toString(), reason: asError(thrown).message },
        'a pin request was interrupted',
      )
    }
    if (clock.monotonicMs() - progressMs > ASK_GIVE_UP_MS) return refused('unreachable')
    await clock.sleep(waitMs, { signal: options.signal })
    waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)
  }
}

/** Undefined when the stream ended before there was an answer. */
async function askOnce(
  needs: AskerNeeds,
  peer: PeerId,
  { root, bytes, order, untilMs }: PinRequest,
  options: AskOptions,
  heard: () => void,
): Promise<Kept | undefined> {
  const stream = await open(needs, peer, options)
  try {
    const shown = order === undefined ? undefined : encodeSignedPinOrder(order)
    await stream.send(encodePin({ kind: 'pin', root, bytes, order: shown, untilMs }), options)
    for (;;) {
      const answer = await next(stream, options)
      if (answer === undefined) return undefined
      heard()
      if (answer.kind === 'progress') {
        options.onProgress?.({ blocks: answer.blocks, bytes: answer.bytes })
      } else if (answer.kind === 'refused') {
        await stream.close()
        return refused(answer.reason)
      } else if (answer.kind === 'done') {
        await stream.close()
        if (order === undefined) return { ok: true, value: {} }
        const { countersignature } = answer
        const signer =
          countersignature === undefined
            ? undefined
            : pinOrderSigner(needs.ledger, { message: order.message, signature: countersignature })
        if (countersignature === undefined || signer !== stream.remoteAddress) {
          return refused('order-invalid')
        }
        return { ok: true, value: { countersignature } }
      }
    }
  } catch (thrown) {
    stream.abort(asError(thrown))
    throw thrown
  }
}

/** False when it had no pin of ours for that root, or cannot be reached. */
export async function askToUnpin(
  needs: AskerNeeds,
  peer: PeerId,
  root: CID,
  options: AskOptions,
): Promise<boolean> {
  needs.shares.remove(root, peer, 'asked')
  let stream: FramedStream | undefined
  try {
    stream = await open(needs, peer, options)
    await stream.send(encodePin({ kind: 'unpin', root }), options)
    const answer = await next(stream, options)
    await stream.close()
    return answer?.kind === 'unpinned' && answer.had
  } catch (thrown) {
    stream?.abort(asError(thrown))
    options.signal?.throwIfAborted()
    needs.log.debug(
      { peer: peer.toString(), reason: asError(thrown).message },
      'a friend could not be asked to unpin',
    )
    return false
  }
}

function open(needs: AskerNeeds, peer: PeerId, options: AskOptions): Promise<FramedStream> {
  const { multiaddrs = [], signal } = options
  return needs.network.open(peer, PIN_PROTOCOL, {
    signal,
    maxFrameBytes: MAX_PIN_FRAME_BYTES,
    ...(multiaddrs.length === 0 ? {} : { multiaddrs }),
  })
}

async function next(stream: FramedStream, options: AskOptions): Promise<PinAnswer | undefined> {
  const frame = await stream.receive(options)
  return frame === undefined ? undefined : decodePinAnswer(frame)
}
