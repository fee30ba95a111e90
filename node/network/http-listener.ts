import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { asError, type Log } from '../base/index.ts'
import {
  HTTP_KEEP_ALIVE_MS,
  HTTP_REQUEST_MS,
  HTTP_WRITE_BUFFER_BYTES,
  KNOCK_BODY_MS,
  MAX_HTTP_HEADER_BYTES,
  MAX_HTTP_SOCKETS,
  MAX_UNPROVEN_SOCKETS,
  STALLED_SOCKET_MS,
} from './limits.ts'

export interface HttpListener {
  /** Base URL, without a slash at its end. */
  readonly url: string
  close(): Promise<void>
}

/** What a request is answered with; `silence` closes its socket without a byte. */
export type HttpOutcome = 'silence' | 'answered'

/**
 * An HTTP server that says nothing to those whom `serve` does not know: their socket is closed without a byte,
 * whatever they send, so that a scanner learns no more than that a port is open. A socket that `proven` was
 * not called for counts among few.
 */
export async function listenForHttp(
  listen: { readonly host: string; readonly port: number },
  parts: {
    readonly serve: (
      request: IncomingMessage,
      response: ServerResponse,
      proven: () => void,
    ) => Promise<HttpOutcome>
    /** Whether nothing to say is no reason to close this socket. */
    readonly mayRest: (socket: Socket) => boolean
    readonly log: Log
  },
): Promise<HttpListener> {
  const { log } = parts
  const unproven = new Set<Socket>()
  const server = createServer({
    maxHeaderSize: MAX_HTTP_HEADER_BYTES,
    headersTimeout: KNOCK_BODY_MS,
    requestTimeout: HTTP_REQUEST_MS,
    connectionsCheckingInterval: KNOCK_BODY_MS / 2,
    keepAliveTimeout: HTTP_KEEP_ALIVE_MS,
    keepAlive: true,
    keepAliveInitialDelay: HTTP_KEEP_ALIVE_MS,
    highWaterMark: HTTP_WRITE_BUFFER_BYTES,
    // Node would answer 400 to a request without Host by itself.
    requireHostHeader: false,
  })
  server.maxConnections = MAX_HTTP_SOCKETS
  server.timeout = STALLED_SOCKET_MS
  server.on('timeout', (socket: Socket) => {
    // A write that gets on keeps this from being called; what is left are readers that do not read.
    if (socket.writableLength > 0 || !parts.mayRest(socket)) socket.destroy()
  })
  server.on('connection', (socket) => {
    socket.on('error', (error) => log.debug({ reason: error.message }, 'a socket broke'))
    // A knock takes a moment, so the oldest is the one that most likely only holds its place.
    const [oldest] = unproven
    if (unproven.size >= MAX_UNPROVEN_SOCKETS) oldest?.destroy()
    unproven.add(socket)
    socket.once('close', () => unproven.delete(socket))
  })
  // Each of these Node would answer by itself: 400, 408, 417, 100, 101, 405.
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('checkExpectation', (request: IncomingMessage) => request.socket.destroy())
  server.on('checkContinue', (request: IncomingMessage) => request.socket.destroy())
  server.on('upgrade', (_request, socket) => socket.destroy())
  server.on('connect', (_request, socket) => socket.destroy())
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    parts
      .serve(request, response, () => unproven.delete(socket))
      .then((outcome) => {
        if (outcome === 'silence') socket.destroy()
      })
      .catch((thrown: unknown) => {
        log.debug({ reason: asError(thrown).message }, 'a request failed')
        socket.destroy()
      })
  })
  const port = await bind(server, listen)
  const reachable = hostToTell(listen.host)
  const host = reachable.includes(':') ? `[${reachable}]` : reachable
  return {
    url: `http://${host}:${port}`,
    async close() {
      const closed = Promise.withResolvers<void>()
      server.close(() => closed.resolve())
      server.closeAllConnections()
      await closed.promise
    },
  }
}

async function bind(
  server: Server,
  listen: { readonly host: string; readonly port: number },
): Promise<number> {
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(listen.port, listen.host, listening.resolve)
  await listening.promise
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : listen.port
}

/** The length that a request announces, if it is one that a body can be read by. */
export function bodyLength(request: IncomingMessage, maxBytes: number): number | undefined {
  const length = Number(request.headers['content-length'])
  const isPlain =
    request.headers['transfer-encoding'] === undefined &&
    Number.isSafeInteger(length) &&
    length >= 0 &&
    length <= maxBytes
  return isPlain ? length : undefined
}

export async function readBody(request: IncomingMessage, length: number): Promise<Uint8Array> {
  const body = new Uint8Array(length)
  let at = 0
  // Node's parser ends the body at content-length; a shorter one is an error of the stream.
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    body.set(chunk, at)
    at += chunk.byteLength
  }
  return body.subarray(0, at)
}

/** "Everywhere" is no address that another could use: the first of the machine that is not the loopback one. */
function hostToTell(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const outward = addresses.find(({ internal, family }) => !internal && family === 'IPv4')
  return outward?.address ?? '127.0.0.1'
}
