import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { asError, type Clock, codeOf, concat, free } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { raceSignal } from './deadline.ts'
import { networkError } from './errors.ts'
import { createFrameInbox, partsOf, prefixOf } from './frame-inbox.ts'
import { authorize, type HttpPass } from './http-auth.ts'
import { STREAM_PATH } from './http-server.ts'
import {
  HTTP_KEEP_ALIVE_MS,
  HTTP_OPEN_MS,
  MAX_POST_BYTES,
  POST_SOCKETS_PER_SERVER,
  READ_AHEAD_BYTES,
  STALLED_FRAME_MS,
} from './limits.ts'
import type { FramedStream } from './types.ts'

export interface HttpClient {
  /** Goes out with the first frame that is sent, or when something shall be received. */
  open(
    protocol: string,
    options: {
      readonly url: string
      readonly pass: HttpPass
      readonly remoteAddress: EvmAddress
      readonly maxFrameBytes: number
    },
  ): FramedStream
  stop(): void
}

const EMPTY = new Uint8Array()
const SENT = Promise.resolve()

export function createHttpClient(clock: Clock): HttpClient {
  const keep = { keepAlive: true, keepAliveMsecs: HTTP_KEEP_ALIVE_MS, maxFreeSockets: 1 }
  const agents = {
    // A stream takes a socket of its own, which ends with it.
    stream: { http: new Agent(), https: new TlsAgent() },
    post: {
      http: new Agent({ ...keep, maxSockets: POST_SOCKETS_PER_SERVER }),
      https: new TlsAgent({ ...keep, maxSockets: POST_SOCKETS_PER_SERVER }),
    },
  }
  const post = (
    url: URL,
    kind: 'stream' | 'post',
    asked: { readonly pass: HttpPass; readonly path: string; readonly body: Uint8Array },
  ): { readonly request: ClientRequest; readonly count: number } => {
    const { pass, path, body } = asked
    const count = pass.nextCount()
    const isTls = url.protocol === 'https:'
    const request = (isTls ? tlsRequest : plainRequest)({
      method: 'POST',
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      path: url.pathname.replace(/\/+$/, '') + path,
      agent: agents[kind][isTls ? 'https' : 'http'],
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': body.byteLength,
        authorization: authorize(pass, count, path, body),
      },
    })
    request.end(body)
    return { request, count }
  }
  return {
    open(protocol, options) {
      const url = new URL(options.url)
      return createOutbound(clock, options, {
        open: (body) =>
          post(url, 'stream', {
            pass: options.pass,
            path: `${STREAM_PATH}/${encodeURIComponent(protocol)}`,
            body,
          }),
        frames: (name, index, body, isLast) =>
          post(url, 'post', {
            pass: options.pass,
            path: `${STREAM_PATH}/${name}/${index}${isLast ? '/end' : ''}`,
            body,
          }).request,
      })
    },
    stop() {
      for (const kind of [agents.stream, agents.post]) {
        kind.http.destroy()
        kind.https.destroy()
      }
    },
  }
}

interface Ways {
  open(body: Uint8Array): { readonly request: ClientRequest; readonly count: number }
  frames(name: number, index: number, body: Uint8Array, isLast: boolean): ClientRequest
}

function createOutbound(
  clock: Clock,
  options: {
    readonly pass: HttpPass
    readonly remoteAddress: EvmAddress
    readonly maxFrameBytes: number
  },
  ways: Ways,
): FramedStream {
  const { maxFrameBytes } = options
  let failure: Error | undefined
  let opening: ClientRequest | undefined
  let posting: ClientRequest | undefined
  let response: IncomingMessage | undefined
  let name = 0
  let index = 1
  /** Frames that wait for the request before to be answered. */
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  let isEnding = false
  let isPumpDue = false
  /** Nothing we send is of interest any longer. */
  let isOver = false
  let room: PromiseWithResolvers<void> | undefined
  const ended = Promise.withResolvers<void>()

  const letIn = () => {
    room?.resolve()
    room = undefined
  }
  const over = () => {
    isOver = true
    waiting = []
    waitingBytes = 0
    letIn()
    ended.resolve()
  }
  const fail = (error: Error) => {
    failure ??= error
    inbox.fail(failure)
    over()
    opening?.destroy()
    posting?.destroy()
  }
  const broken = (message: string, cause?: unknown) =>
    fail(networkError('stream-broken', message, { blame: 'peer', cause }))
  const inbox = createFrameInbox(maxFrameBytes, () => {
    if (response?.isPaused() === true && inbox.heldBytes <= READ_AHEAD_BYTES / 2) response.resume()
  })

  const read = (body: IncomingMessage) => {
    response = body
    let before: Uint8Array | undefined
    body.on('data', (chunk: Uint8Array) => {
      // Several chunks are views of what was read from the socket at once; only with the next read it is dead.
      if (before !== undefined && before.buffer !== chunk.buffer) free(before)
      before = chunk
      try {
        inbox.push(chunk)
      } catch (thrown) {
        fail(asError(thrown))
        return
      }
      if (inbox.heldBytes > READ_AHEAD_BYTES) body.pause()
    })
    body.once('end', () => {
      inbox.end()
      over()
    })
    body.once('error', (cause) => broken('the stream broke', cause))
    body.once('close', () => {
      if (!body.complete) broken('the connection was closed before the stream ended')
    })
    body.socket.setTimeout(STALLED_FRAME_MS, () => {
      if (inbox.isInFrame && !body.isPaused()) broken('the stream stalled in the middle of a frame')
    })
  }
  const begin = (body: Uint8Array) => {
    const { request, count } = ways.open(body)
    opening = request
    name = count
    const cancel = clock.after(HTTP_OPEN_MS, () => {
      fail(networkError('unreachable', 'no answer came over HTTP', { blame: 'peer' }))
    })
    request.once('response', (answer) => {
      cancel()
      if (answer.statusCode === 200) {
        read(answer)
        pump()
        return
      }
      answer.resume()
      fail(refusal(`the server answered ${answer.statusCode ?? 0}`))
    })
    request.on('error', (cause) => {
      cancel()
      if (response !== undefined) broken('the stream broke', cause)
      else
        fail(
          isClosedSocket(cause)
            ? refusal('the server closed the connection', cause)
            : unreachable(cause),
        )
    })
  }
  /** Not at once: what was read from sockets in this round of the event loop is answered by one request. */
  const pumpSoon = () => {
    if (isPumpDue || posting !== undefined) return
    isPumpDue = true
    setImmediate(() => {
      isPumpDue = false
      pump()
    })
  }
  /** One request at a time, so that frames stay in order; what is sent meanwhile goes in the next. */
  const pump = () => {
    if (response === undefined || posting !== undefined || isOver) return
    if (waiting.length === 0 && !isEnding) return
    let bytes = 0
    let count = 0
    for (const frame of waiting) {
      if (count > 0 && bytes + frame.byteLength > MAX_POST_BYTES) break
      bytes += frame.byteLength
      count++
    }
    const body = concat(waiting.splice(0, count))
    waitingBytes -= bytes
    const isLast = isEnding && waiting.length === 0
    letIn()
    deliver(body, isLast, false)
  }
  const deliver = (body: Uint8Array, isLast: boolean, isRepeated: boolean) => {
    const request = ways.frames(name, index, body, isLast)
    posting = request
    request.once('response', (answer) => {
      answer.resume()
      if (answer.statusCode === 204) {
        // Only behind its end the socket is free again; before, the next request would open another one.
        answer.once('close', () => {
          posting = undefined
          index++
          if (isLast) over()
          else pumpSoon()
        })
      } else if (answer.statusCode === 410) over()
      else broken(`frames were answered by ${answer.statusCode ?? 0}`)
    })
    request.on('error', (cause) => {
      if (isOver) return
      // The server closed a socket that had rested; the index keeps frames from counting twice.
      if (!isRepeated && request.reusedSocket && isClosedSocket(cause)) deliver(body, isLast, true)
      else broken('frames could not be sent', cause)
    })
  }
  const hasRoom = async (signal: AbortSignal | undefined) => {
    while (waitingBytes > MAX_POST_BYTES) {
      room ??= Promise.withResolvers<void>()
      await (signal === undefined ? room.promise : raceSignal(room.promise, signal))
    }
    if (failure !== undefined) throw failure
  }

  return {
    remotePeer: options.pass.server,
    remoteAddress: options.remoteAddress,
    send(frame, sendOptions) {
      const parts = partsOf(frame)
      try {
        sendOptions?.signal?.throwIfAborted()
        const prefix = prefixOf(parts, maxFrameBytes)
        if (failure !== undefined) throw failure
        if (isOver || isEnding) {
          throw networkError('stream-broken', 'the stream has ended', { blame: 'peer' })
        }
        const bytes = concat([prefix, ...parts])
        if (opening === undefined) {
          begin(bytes)
          return SENT
        }
        waiting.push(bytes)
        waitingBytes += bytes.byteLength
        pumpSoon()
        return waitingBytes > MAX_POST_BYTES ? hasRoom(sendOptions?.signal) : SENT
      } catch (thrown) {
        return Promise.reject(asError(thrown))
      }
    },
    receive(receiveOptions) {
      if (opening === undefined && failure === undefined && !isEnding) begin(EMPTY)
      return inbox.receive(receiveOptions?.signal)
    },
    receiveNow: () => inbox.receiveNow(),
    get partialBytes() {
      return inbox.partialBytes
    },
    async close() {
      if (isEnding) return ended.promise
      isEnding = true
      if (opening === undefined) {
        inbox.end()
        over()
      }
      pump()
      const cancel = clock.after(STALLED_FRAME_MS, () => broken('its end was not taken'))
      await ended.promise
      cancel()
    },
    abort(reason) {
      const error = networkError('stream-broken', 'the stream was aborted here', {
        blame: 'local',
        cause: reason,
      })
      inbox.drop(error)
      fail(error)
    },
  }
}

function refusal(message: string, cause?: unknown) {
  return networkError('refused', message, {
    blame: 'peer',
    fix: 'Knock again: a session ends with its grant and with a restart of the server.',
    cause,
  })
}

function unreachable(cause: unknown) {
  return networkError('unreachable', 'the server cannot be reached over HTTP', {
    blame: 'peer',
    fix: 'Take another wire.',
    cause,
  })
}

/** The other side took the connection and closed it without an answer. */
function isClosedSocket(thrown: unknown): boolean {
  const code = codeOf(thrown)
  return code === 'ECONNRESET' || code === 'EPIPE'
}
