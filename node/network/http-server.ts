import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { PeerId } from '@libp2p/interface'
import { asError, type Clock, type Log } from '../base/index.ts'
import { type HttpProof, isBodyOf, isProven, readProof } from './http-auth.ts'
import { createHttpInbound, type HttpInbound } from './http-inbound.ts'
import {
  bodyLength,
  type HttpListener,
  type HttpOutcome,
  listenForHttp,
  readBody,
} from './http-listener.ts'
import type { HttpSession, HttpSessions } from './http-sessions.ts'
import {
  FIRST_FRAME_MS,
  HTTP_SWEEP_MS,
  IDLE_HTTP_STREAM_MS,
  KNOCK_BODY_MS,
  MAX_HTTP_BODY_BYTES,
  MAX_HTTP_BODY_BYTES_PER_PEER,
  MAX_HTTP_STREAMS,
  MAX_HTTP_STREAMS_PER_PEER,
  MAX_KNOCK_BYTES,
  MAX_POST_BYTES,
} from './limits.ts'
import type { FramedStream, StreamLimits } from './types.ts'

const KNOCK_PATH = '/knock'
/**
 * `<path>/<protocol, escaped>` opens a stream: the answer's endless body is what the server says. Its name is
 * the count of that request. `<path>/<name>/<index>` brings frames, `<path>/<name>/<index>/end` the last ones.
 */
export const STREAM_PATH = '/ioex/stream'

type KnockOverHttp = (sealed: Uint8Array, ip: string) => Promise<Uint8Array | undefined>

interface Served {
  readonly limits: StreamLimits
  readonly serve: (stream: FramedStream) => Promise<void>
}

export interface HttpServer {
  handle(protocol: string, served: Served): void
  unhandle(protocol: string): void
  onKnock(answer: KnockOverHttp): void
  readonly url: string | undefined
  start(): Promise<void>
  stop(): Promise<void>
}

/** Answers knocks and the requests of sessions, and nobody else. */
export function createHttpServer(
  needs: { readonly self: PeerId; readonly clock: Clock; readonly log: Log },
  sessions: HttpSessions,
  listen: { readonly host: string; readonly port: number },
): HttpServer {
  const { clock, log, self } = needs
  const protocols = new Map<string, Served>()
  const resting = new WeakSet<Socket>()
  let listener: HttpListener | undefined
  let answerKnock: KnockOverHttp = async () => undefined
  let cancelSweep: () => void = () => undefined
  /** In the order of opening. */
  const streams = new Set<HttpInbound>()
  const streamsOf = createTally()
  let bodyBytes = 0
  const bodyBytesOf = createTally()

  const onKnock = async (
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<HttpOutcome> => {
    const length = bodyLength(request, MAX_KNOCK_BYTES)
    if (length === undefined || length === 0) return 'silence'
    const cancel = clock.after(KNOCK_BODY_MS, () => request.socket.destroy())
    const sealed = await readBody(request, length).finally(cancel)
    const reply = await answerKnock(sealed, request.socket.remoteAddress ?? '')
    if (reply === undefined) return 'silence'
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': reply.byteLength,
      connection: 'close',
    })
    response.end(reply)
    return 'answered'
  }

  const serveStream = async (served: Served, session: HttpSession, inbound: HttpInbound) => {
    const { stream } = inbound
    try {
      await served.serve(stream)
      await stream.close()
    } catch (thrown) {
      log.debug(
        { peer: session.peerId.toString(), reason: asError(thrown).message },
        'a stream failed',
      )
      stream.abort(asError(thrown))
    }
  }
  const open = async (
    protocol: string,
    asked: { readonly session: HttpSession; readonly name: number; readonly body: Uint8Array },
    response: ServerResponse,
  ): Promise<HttpOutcome> => {
    const { session, name } = asked
    const served = protocols.get(protocol)
    if (served === undefined) return say(response, 404)
    const same = session.streams.values().filter((each) => each.protocol === protocol)
    const peer = session.peerId.toString()
    if (
      streamsOf.get(peer) >= MAX_HTTP_STREAMS_PER_PEER ||
      [...same].length >= served.limits.maxInboundStreams
    ) {
      return say(response, 503)
    }
    if (streams.size >= MAX_HTTP_STREAMS) {
      const silent = streams.values().find(({ isFresh }) => isFresh)
      if (silent === undefined) return say(response, 503)
      silent.abort('nothing came over it, and others need its place')
    }
    const socket = response.socket
    response.writeHead(200, { 'content-type': 'application/octet-stream', connection: 'close' })
    response.flushHeaders()
    const inbound = createHttpInbound(clock, response, {
      protocol,
      remotePeer: session.peerId,
      remoteAddress: session.address,
      maxFrameBytes: served.limits.maxFrameBytes,
    })
    streams.add(inbound)
    streamsOf.add(peer, 1)
    session.streams.set(name, inbound)
    if (socket !== null) resting.add(socket)
    response.once('close', () => {
      streams.delete(inbound)
      streamsOf.add(peer, -1)
      session.streams.delete(name)
      if (socket !== null) resting.delete(socket)
    })
    const taken = inbound.take(asked.body, 0, false)
    await Promise.all([serveStream(served, session, inbound), taken])
    return 'answered'
  }

  const onFrames = async (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    proven: () => void,
  ): Promise<HttpOutcome> => {
    const proof = readProof(request.headers.authorization)
    const session = proof === undefined ? undefined : sessions.find(proof.session)
    if (proof === undefined || session === undefined) return 'silence'
    if (!isProven(session.key, self, path, proof) || !session.counts.take(proof.count)) {
      return 'silence'
    }
    proven()
    const body = await readProven(request, proof, session.peerId.toString())
    if (body === undefined) return 'silence'
    const [first = '', index, last] = path.slice(STREAM_PATH.length + 1).split('/')
    if (index === undefined) {
      const protocol = tryUnescape(first)
      return open(protocol, { session, name: proof.count, body }, response)
    }
    const inbound = session.streams.get(Number(first))
    if (inbound === undefined) return say(response, 410)
    const isTaken = await inbound.take(body, Number(index), last === 'end')
    return isTaken ? say(response, 204) : say(response, 410)
  }
  const readProven = async (
    request: IncomingMessage,
    proof: HttpProof,
    peer: string,
  ): Promise<Uint8Array | undefined> => {
    const length = bodyLength(request, MAX_POST_BYTES + maxFrameBytes())
    if (length === undefined || bodyBytes + length > MAX_HTTP_BODY_BYTES) return undefined
    if (bodyBytesOf.get(peer) + length > MAX_HTTP_BODY_BYTES_PER_PEER) return undefined
    bodyBytes += length
    bodyBytesOf.add(peer, length)
    try {
      const body = await readBody(request, length)
      return isBodyOf(proof, body) ? body : undefined
    } finally {
      bodyBytes -= length
      bodyBytesOf.add(peer, -length)
    }
  }
  const maxFrameBytes = () =>
    Math.max(0, ...protocols.values().map(({ limits }) => limits.maxFrameBytes))

  const sweep = () => {
    const nowMs = clock.monotonicMs()
    const wallMs = clock.nowMs()
    sessions.end(({ endsMs }) => endsMs <= wallMs)
    for (const session of sessions.all()) {
      for (const inbound of [...session.streams.values()]) {
        const idleMs = nowMs - inbound.activeMs
        if (inbound.isFresh && idleMs > FIRST_FRAME_MS) inbound.abort('nothing came over it')
        else if (idleMs > IDLE_HTTP_STREAM_MS) inbound.abort('nothing went over it for long')
      }
    }
    cancelSweep = clock.after(HTTP_SWEEP_MS, sweep)
  }

  return {
    handle: (protocol, served) => protocols.set(protocol, served),
    unhandle: (protocol) => protocols.delete(protocol),
    onKnock(answer) {
      answerKnock = answer
    },
    get url() {
      return listener?.url
    },
    async start() {
      listener = await listenForHttp(listen, {
        log,
        mayRest: (socket) => resting.has(socket),
        async serve(request, response, proven) {
          const { method, url = '' } = request
          if (method !== 'POST') return 'silence'
          if (url === KNOCK_PATH) return onKnock(request, response)
          if (!url.startsWith(`${STREAM_PATH}/`)) return 'silence'
          return onFrames(request, response, url, proven)
        },
      })
      sweep()
    },
    async stop() {
      cancelSweep()
      sessions.end(() => true)
      const open = listener
      listener = undefined
      await open?.close()
    },
  }
}

/** What each peer holds of something that is scarce; nobody who holds nothing is remembered. */
function createTally() {
  const held = new Map<string, number>()
  const get = (peer: string) => held.get(peer) ?? 0
  return {
    get,
    add(peer: string, count: number) {
      const sum = get(peer) + count
      if (sum === 0) held.delete(peer)
      else held.set(peer, sum)
    },
  }
}

function say(response: ServerResponse, status: 204 | 404 | 410 | 503): HttpOutcome {
  response.writeHead(status, { 'content-length': 0 })
  response.end()
  return 'answered'
}

function tryUnescape(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
