import type { PeerId } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { asError, codeOf, type Result, refused } from '../base/index.ts'
import type { Admission, Friends, Gate } from '../friends/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { FramedStream, Network } from '../network/index.ts'
import { encodeSignedGrant, type SignedGrant } from '../receipts/index.ts'
import {
  type ClientMessage,
  decodeServer,
  EXCHANGE_PROTOCOL,
  encodeClient,
  MAX_FRAME_BYTES,
  type ServerMessage,
} from './protocol.ts'
import type { Source, Wire } from './types.ts'
import { violation } from './violation.ts'
import type { WireChoice } from './wire-choice.ts'

/** An open stream with one source. */
export interface SourceLink {
  readonly server: EvmAddress
  readonly metered: boolean
  /** It fetches the root itself, and tells what it has of it. */
  readonly isFellow: boolean
  readonly wire: Wire
  /** Rejects when the stream is broken; `receive` tells of it too. */
  send(message: ClientMessage): Promise<void>
  /** Undefined at the end. Throws `protocol-violation` and what breaks streams. */
  receive(): Promise<ServerMessage | undefined>
  /** What is here already, without a promise; undefined tells nothing about the end. Throws `protocol-violation`. */
  receiveNow(): ServerMessage | undefined
  /** What has come of a message that is not whole yet. */
  readonly partialBytes: number
  /** Ends our side; what the server still says can be received. */
  close(): Promise<void>
  abort(reason: Error): void
}

export type LinkRefusal =
  /** Not with this grant or friendship. */
  | 'refused'
  /** It does not know the root yet, or has no stream to spare. */
  | 'not-now'
  | 'unreachable'
  | 'violation'

export interface LinkNeeds {
  readonly network: Pick<Network, 'open'>
  readonly friends: Pick<Friends, 'knock'>
  readonly gate: Pick<Gate, 'isFriend' | 'admit'>
  /** Who has let us in by a grant, shared by all sessions. */
  readonly knocked: Map<string, Admission>
}

export interface LinkOptions {
  readonly source: Source
  readonly root: CID
  readonly grant: SignedGrant | undefined
  readonly wires: WireChoice
  readonly signal: AbortSignal
}

/** Servers remembered as having let us in; forgetting one costs a knock. */
const MAX_KNOCKED = 1_000
/** Refusals that time may mend. */
const NOT_NOW = new Set([
  'busy',
  'not-shared',
  'grant-root-unknown',
  'grant-signer-unknown',
  'grant-not-yet-valid',
])

/** Over the wire that serves best, else over the other one. */
export async function openLink(
  needs: LinkNeeds,
  options: LinkOptions,
): Promise<Result<SourceLink, LinkRefusal>> {
  const { source, grant, signal } = options
  const knocksWith = grant !== undefined && !needs.gate.isFriend(source.peerId) ? grant : undefined
  let outcome: Result<SourceLink, LinkRefusal> = refused('unreachable')
  for (const wire of options.wires.order(source, knocksWith !== undefined)) {
    signal.throwIfAborted()
    const opened =
      wire === 'http' && knocksWith !== undefined
        ? await openHttp(needs, options, knocksWith)
        : await openLibp2p(needs, options, knocksWith)
    if (opened !== 'no-way') return opened
    outcome = refused('unreachable')
  }
  return outcome
}

/** `no-way`: this wire does not lead there, another one may. */
type Attempt = Result<SourceLink, LinkRefusal> | 'no-way'

async function openHttp(
  needs: LinkNeeds,
  options: LinkOptions,
  grant: SignedGrant,
): Promise<Attempt> {
  const { source, signal } = options
  if (source.http === undefined) return 'no-way'
  for (let attempt = 1; ; attempt++) {
    const isKnown = needs.knocked.has(admissionKey(source.peerId, grant))
    const admitted = await knock(needs, source, grant, signal)
    if (!admitted.ok) return admitted
    const { pass } = admitted.value
    if (pass === undefined) return 'no-way'
    try {
      const stream = await needs.network.open(source.peerId, EXCHANGE_PROTOCOL, {
        signal,
        maxFrameBytes: MAX_FRAME_BYTES,
        http: { url: source.http, pass },
      })
      return await greet(stream, 'http', options)
    } catch (thrown) {
      signal.throwIfAborted()
      if (codeOf(thrown) === 'protocol-violation') return refused('violation')
      // A session that was opened before may have been forgotten there, by a restart for example.
      const isStale = codeOf(thrown) === 'refused' && isKnown && attempt === 1
      if (codeOf(thrown) === 'refused') forget(needs, source.peerId, grant)
      if (!isStale) return 'no-way'
    }
  }
}

async function openLibp2p(
  needs: LinkNeeds,
  options: LinkOptions,
  grant: SignedGrant | undefined,
): Promise<Attempt> {
  const { source, signal } = options
  const { peerId } = source
  const admitted = grant === undefined ? undefined : await knock(needs, source, grant, signal)
  if (admitted?.ok === false) return admitted
  const multiaddrs = [...(admitted?.value.addresses ?? []), ...source.multiaddrs]
  try {
    const stream = await needs.network.open(peerId, EXCHANGE_PROTOCOL, {
      signal,
      maxFrameBytes: MAX_FRAME_BYTES,
      ...(multiaddrs.length === 0 ? {} : { multiaddrs }),
    })
    return await greet(stream, 'libp2p', options)
  } catch (thrown) {
    if (codeOf(thrown) === 'protocol-violation') return refused('violation')
    // What let us in may have been forgotten there, by a restart for example.
    if (codeOf(thrown) === 'refused') {
      const isStale = grant !== undefined && forget(needs, peerId, grant)
      return refused(isStale ? 'not-now' : 'refused')
    }
    return 'no-way'
  }
}

/** Says what is wanted and hears whether it is served. */
async function greet(
  stream: FramedStream,
  wire: Wire,
  { root, grant, signal }: LinkOptions,
): Promise<Result<SourceLink, LinkRefusal>> {
  const abortWith = () => stream.abort(asError(signal.reason))
  signal.addEventListener('abort', abortWith, { once: true })
  try {
    const shown = grant === undefined ? undefined : encodeSignedGrant(grant)
    await stream.send(encodeClient({ kind: 'open', root, grant: shown }), { signal })
    const frame = await stream.receive({ signal })
    const answer = frame === undefined ? undefined : decodeServer(frame)
    if (answer?.kind === 'opened') {
      return { ok: true, value: linkOver(stream, wire, answer) }
    }
    await stream.close()
    if (answer === undefined) return refused('unreachable')
    if (answer.kind !== 'refused') return refused('violation')
    return refused(NOT_NOW.has(answer.reason) ? 'not-now' : 'refused')
  } catch (thrown) {
    stream.abort(asError(thrown))
    throw thrown
  } finally {
    signal.removeEventListener('abort', abortWith)
  }
}

function linkOver(
  stream: FramedStream,
  wire: Wire,
  { metered, isFellow }: { readonly metered: boolean; readonly isFellow: boolean },
): SourceLink {
  const read = (frame: Uint8Array | undefined) => {
    if (frame === undefined) return undefined
    if (frame.byteLength === 0) throw violation('an empty frame')
    return decodeServer(frame)
  }
  return {
    server: stream.remoteAddress,
    metered,
    isFellow,
    wire,
    send: (message) => stream.send(encodeClient(message)),
    receive: async () => read(await stream.receive()),
    receiveNow: () => read(stream.receiveNow()),
    get partialBytes() {
      return stream.partialBytes
    },
    close: () => stream.close(),
    abort: (reason) => stream.abort(reason),
  }
}

function admissionKey(peerId: PeerId, grant: SignedGrant): string {
  return `${peerId.toString()} ${grant.signature}`
}

function forget(needs: LinkNeeds, peerId: PeerId, grant: SignedGrant): boolean {
  return needs.knocked.delete(admissionKey(peerId, grant))
}

async function knock(
  needs: LinkNeeds,
  source: Source,
  grant: SignedGrant,
  signal: AbortSignal,
): Promise<Result<Admission, LinkRefusal>> {
  const key = admissionKey(source.peerId, grant)
  const known = needs.knocked.get(key)
  if (known !== undefined) return { ok: true, value: known }
  try {
    const answer = await needs.friends.knock(source, grant, { signal })
    if (!answer.ok) {
      return refused(answer.reason === 'knock-unanswered' ? 'unreachable' : 'refused')
    }
    // Our own gate has to let the server in as well, for as long as it does the same for us.
    needs.gate.admit(source.peerId, grant.message.notAfter * 1_000)
    needs.knocked.set(key, answer.value)
    const [oldest] = needs.knocked.keys()
    if (needs.knocked.size > MAX_KNOCKED && oldest !== undefined) needs.knocked.delete(oldest)
    return answer
  } catch (thrown) {
    signal.throwIfAborted()
    if (codeOf(thrown) === undefined) throw thrown
    return refused('unreachable')
  }
}
