import * as dagCbor from '@ipld/dag-cbor'
import type { Connection, PeerId } from '@libp2p/interface'
import { peerIdFromMultihash } from '@libp2p/peer-id'
import type { Libp2p } from 'libp2p'
import * as Digest from 'multiformats/hashes/digest'
import { z } from 'zod'
import { asError, type Clock, KIB, type Log } from '../base/index.ts'
import { ipOf, isLoopback } from './addresses.ts'
import { within } from './deadline.ts'
import {
  KNOCK_ANSWER_MS,
  KNOCKS_PER_SOURCE,
  KNOCKS_PER_SOURCE_IP,
  KNOCKS_PER_TARGET,
  MAX_KNOCK_BYTES,
  MAX_RATE_KEYS,
} from './limits.ts'
import { createRateLimit } from './rate.ts'
import type { FramedStream } from './types.ts'

export const KNOCK_RELAY_PROTOCOL = '/ioex/knock-relay/1.0.0'
export const KNOCK_PROTOCOL = '/ioex/knock/1.0.0'
/** The message and the few words around it. */
export const MAX_KNOCK_FRAME_BYTES = MAX_KNOCK_BYTES + KIB / 4

const bytes = z.instanceof(Uint8Array)
const message = bytes.refine((value) => value.byteLength <= MAX_KNOCK_BYTES)
/** To a bootstrap: whom to carry what. */
const request = z.strictObject({ to: bytes, message })
/** Back: whether that peer is connected there, and its answer if it gave one. */
const response = z.strictObject({ here: z.boolean(), answer: z.exactOptional(message) })
/** From a bootstrap to the peer. */
const delivery = z.strictObject({ from: bytes, message })

type OpenStream = (
  connection: Connection,
  protocol: string,
  signal: AbortSignal,
) => Promise<FramedStream>

/** A bootstrap's side: carries one message to a connected peer and brings its one answer back. */
export function createKnockRelay(
  needs: { readonly clock: Clock; readonly log: Log },
  parts: { readonly libp2p: () => Libp2p; readonly openStream: OpenStream },
) {
  const limit = (rate: { readonly count: number; readonly perMs: number }) =>
    createRateLimit(needs.clock, { ...rate, maxKeys: MAX_RATE_KEYS })
  const perSource = limit(KNOCKS_PER_SOURCE)
  const perIp = limit(KNOCKS_PER_SOURCE_IP)
  const perTarget = limit(KNOCKS_PER_TARGET)

  const isWithinRate = (from: PeerId, to: PeerId): boolean => {
    const ips = parts
      .libp2p()
      .getConnections(from)
      .map(({ remoteAddr }) => ipOf(remoteAddr))
      .filter((ip) => ip !== undefined && !isLoopback(ip))
    return (
      perSource.take(from.toString()) &&
      ips.every((ip) => perIp.take(ip ?? '')) &&
      perTarget.take(to.toString())
    )
  }

  return async (stream: FramedStream): Promise<void> => {
    await within(needs.clock, KNOCK_ANSWER_MS, undefined, async (signal) => {
      const asked = decode(request, await stream.receive({ signal }))
      const to = asked === undefined ? undefined : peerFromBytes(asked.to)
      if (asked === undefined || to === undefined || !isWithinRate(stream.remotePeer, to)) return
      const [connection] = parts.libp2p().getConnections(to)
      if (connection === undefined) {
        await stream.send(dagCbor.encode({ here: false }), { signal })
        return
      }
      const answer = await ask(connection, stream.remotePeer, asked.message, signal)
      await stream.send(
        dagCbor.encode(answer === undefined ? { here: true } : { here: true, answer }),
        { signal },
      )
    }).catch((thrown: unknown) => {
      needs.log.debug({ reason: asError(thrown).message }, 'a knock could not be carried')
      stream.abort(asError(thrown))
    })
  }

  async function ask(
    connection: Connection,
    from: PeerId,
    text: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const stream = await parts.openStream(connection, KNOCK_PROTOCOL, signal)
    try {
      await stream.send(dagCbor.encode({ from: from.toMultihash().bytes, message: text }), {
        signal,
      })
      const answer = await stream.receive({ signal })
      await stream.close()
      return answer !== undefined && answer.byteLength <= MAX_KNOCK_BYTES ? answer : undefined
    } catch (thrown) {
      stream.abort(asError(thrown))
      throw thrown
    }
  }
}

export type KnockAnswer = (message: Uint8Array, from: PeerId) => Promise<Uint8Array | undefined>

/** A peer's side: only bootstraps may deliver. */
export function createKnockDoor(
  needs: { readonly clock: Clock },
  parts: {
    readonly isBootstrap: (peer: PeerId) => boolean
    readonly answer: () => KnockAnswer | undefined
  },
) {
  return async (stream: FramedStream): Promise<void> => {
    const answer = parts.answer()
    if (answer === undefined || !parts.isBootstrap(stream.remotePeer)) return
    await within(needs.clock, KNOCK_ANSWER_MS, undefined, async (signal) => {
      const delivered = decode(delivery, await stream.receive({ signal }))
      const from = delivered === undefined ? undefined : peerFromBytes(delivered.from)
      if (delivered === undefined || from === undefined) return
      const reply = await answer(delivered.message, from)
      if (reply !== undefined) await stream.send(reply, { signal })
    })
  }
}

/** One knock over an open stream to a bootstrap. */
export async function knockOver(
  stream: FramedStream,
  to: PeerId,
  text: Uint8Array,
  signal: AbortSignal,
): Promise<{ readonly here: boolean; readonly answer: Uint8Array | undefined }> {
  try {
    await stream.send(dagCbor.encode({ to: to.toMultihash().bytes, message: text }), { signal })
    const reply = decode(response, await stream.receive({ signal }))
    await stream.close()
    return { here: reply?.here ?? false, answer: reply?.answer }
  } catch (thrown) {
    stream.abort(asError(thrown))
    throw thrown
  }
}

function decode<T>(schema: z.ZodType<T>, frame: Uint8Array | undefined): T | undefined {
  if (frame === undefined) return undefined
  try {
    return schema.parse(dagCbor.decode(frame))
  } catch {
    // Strangers' bytes: malformed is answered as nothing.
    return undefined
  }
}

function peerFromBytes(multihash: Uint8Array): PeerId | undefined {
  try {
    return peerIdFromMultihash(Digest.decode(multihash))
  } catch {
    return undefined
  }
}
