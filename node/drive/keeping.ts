import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import type { PeerId } from '@libp2p/interface'
import { CID } from 'multiformats/cid'
import { type AbortOptions, asError, type Clock, equalBytes, type Log } from '../base/index.ts'
import type { Friends } from '../friends/index.ts'
import type { FramedStream, Network } from '../network/index.ts'
import { readHeadRecord } from './head-record.ts'
import type { Block, Storage } from '../storage/index.ts'
import { DRIVE_ANSWER_MS, DRIVE_FRAME_MAX_BYTES, DRIVE_MAX_STREAMS } from './limits.ts'

/**
 * `/ioex/drive/1.0.0`: what friends do for a drive beside keeping its blocks. One frame each way:
 *
 * - `{op: 'put', record}`: keep my head; `{ok: true}` once it is durable. It replaces a lower sequence number only.
 * - `{op: 'get'}`: my head; `{record}` or `{record: null}`.
 * - `{op: 'prove', root, cid, nonce}`: do you still have this block of mine? `{proof}` = SHA-256(nonce || block),
 *   read from disk and checked, or `{proof: null}`.
 *
 * A friend sees and touches only what is his.
 */
const DRIVE_PROTOCOL = '/ioex/drive/1.0.0'
const TABLE = 'drive-heads'
/** So that nobody can answer from proofs that he stored instead of the blocks. */
export const NONCE_BYTES = 32

export interface KeepingNeeds {
  readonly network: Pick<Network, 'handle' | 'unhandle' | 'open'>
  readonly friends: Pick<Friends, 'list'>
  readonly storage: Pick<Storage, 'records' | 'blocks' | 'pins'>
  readonly clock: Clock
  readonly log: Log
}

/** Answers friends that keep their heads here. */
export async function keepHeads(needs: KeepingNeeds): Promise<() => Promise<void>> {
  await needs.network.handle(
    DRIVE_PROTOCOL,
    { maxFrameBytes: DRIVE_FRAME_MAX_BYTES, maxInboundStreams: DRIVE_MAX_STREAMS },
    async (stream) => {
      const answer = await answerOf(stream, needs)
      if (answer === undefined) {
        stream.abort(new Error('no friend, or no request of this protocol'))
        return
      }
      await stream.send(dagCbor.encode(answer))
      await stream.close()
    },
  )
  return () => needs.network.unhandle(DRIVE_PROTOCOL)
}

async function answerOf(
  stream: FramedStream,
  needs: KeepingNeeds,
): Promise<Record<string, unknown> | undefined> {
  const friend = needs.friends.list().find((one) => one.peerId.equals(stream.remotePeer))
  if (friend === undefined) return undefined
  const limit = deadline(needs.clock, undefined)
  const frame = await stream.receive({ signal: limit.signal }).finally(limit.clear)
  const request = frame === undefined ? undefined : fieldsOf(frame)
  const name = friend.peerId.toString()
  if (request?.op === 'get') return { record: needs.storage.records.get(TABLE, name) ?? null }
  if (request?.op === 'prove') return { proof: await proofOf(request, name, needs) }
  if (request?.op !== 'put' || !(request.record instanceof Uint8Array)) return undefined
  const offered = readHeadRecord(request.record, friend.peerId)
  if (offered === undefined) return { ok: false }
  const kept = needs.storage.records.get(TABLE, name)
  const before = kept === undefined ? undefined : readHeadRecord(kept, friend.peerId)
  if (before !== undefined && before.sequence > offered.sequence) return { ok: false }
  // Two heads of one number come from two machines with one identity; neither may push out the other.
  const isOther = kept !== undefined && !equalBytes(kept, request.record)
  if (isOther && before?.sequence === offered.sequence) return { ok: false }
  needs.storage.records.put(TABLE, name, request.record)
  return { ok: true }
}

async function proofOf(
  request: Record<string, unknown>,
  friend: string,
  needs: KeepingNeeds,
): Promise<Uint8Array | null> {
  const root = CID.asCID(request.root)
  const cid = CID.asCID(request.cid)
  const { nonce } = request
  if (root === null || cid === null || !(nonce instanceof Uint8Array)) return null
  if (nonce.byteLength !== NONCE_BYTES) return null
  const pin = await needs.storage.pins.get(root)
  const his = pin?.owners.some(({ owner }) => owner === `friend:${friend}`) ?? false
  if (!his || !(await needs.storage.pins.contains(root, cid))) return null
  const block = await needs.storage.blocks.get(cid)
  return block === undefined ? null : possessionProof(nonce, block)
}

function possessionProof(nonce: Uint8Array, block: Uint8Array): Uint8Array {
  return createHash('sha256').update(nonce).update(block).digest()
}

/** Whether a friend still has a block that we have too; undefined when he does not answer. */
export async function hasBlock(
  needs: KeepingNeeds,
  peer: PeerId,
  root: CID,
  block: Block,
  nonce: Uint8Array,
  options: AbortOptions,
): Promise<boolean | undefined> {
  const answer = await ask(needs, peer, { op: 'prove', root, cid: block.cid, nonce }, options)
  if (answer === undefined) return undefined
  return (
    answer.proof instanceof Uint8Array &&
    equalBytes(answer.proof, possessionProof(nonce, block.bytes))
  )
}

/** Hands our head to a friend; false when he did not take it. */
export async function putHead(
  needs: KeepingNeeds,
  peer: PeerId,
  record: Uint8Array,
  options: AbortOptions,
): Promise<boolean> {
  const answer = await ask(needs, peer, { op: 'put', record }, options)
  return answer?.ok === true
}

/** What a friend says he has of us, unchecked; undefined when he does not answer. */
export async function getHead(
  needs: KeepingNeeds,
  peer: PeerId,
  options: AbortOptions,
): Promise<{ readonly record: Uint8Array | undefined } | undefined> {
  const answer = await ask(needs, peer, { op: 'get' }, options)
  if (answer === undefined) return undefined
  return { record: answer.record instanceof Uint8Array ? answer.record : undefined }
}

function deadline(clock: Clock, outer: AbortSignal | undefined) {
  const controller = new AbortController()
  const clear = clock.after(DRIVE_ANSWER_MS, () => controller.abort(new Error('no answer in time')))
  const signal =
    outer === undefined ? controller.signal : AbortSignal.any([outer, controller.signal])
  return { signal, clear }
}

async function ask(
  needs: KeepingNeeds,
  peer: PeerId,
  request: Record<string, unknown>,
  options: AbortOptions,
): Promise<Record<string, unknown> | undefined> {
  const { signal, clear } = deadline(needs.clock, options.signal)
  const friend = needs.friends.list().find((one) => one.peerId.equals(peer))
  try {
    const stream = await needs.network.open(peer, DRIVE_PROTOCOL, {
      maxFrameBytes: DRIVE_FRAME_MAX_BYTES,
      signal,
      ...(friend === undefined ? {} : { multiaddrs: friend.multiaddrs }),
    })
    await stream.send(dagCbor.encode(request), { signal })
    const frame = await stream.receive({ signal })
    await stream.close()
    return frame === undefined ? undefined : fieldsOf(frame)
  } catch (thrown) {
    options.signal?.throwIfAborted()
    needs.log.info(
      { peer: peer.toString(), error: asError(thrown) },
      'a friend did not answer for the drive',
    )
    return undefined
  } finally {
    clear()
  }
}

function fieldsOf(frame: Uint8Array): Record<string, unknown> | undefined {
  const value: unknown = dagCbor.decode(frame)
  return typeof value === 'object' && value !== null ? { ...value } : undefined
}
