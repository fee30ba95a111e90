import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { asError, type Log } from '../base/index.ts'
import { createDdiFace, type DdiFleet } from '../ddi/index.ts'

/** Sockets: every client has one or two. */
const CONNECTIONS_MAX = 256
/** Heads come at once or not at all. */
const HEADERS_TIMEOUT_MS = 20_000
/** Without a byte in either direction; an installer that streams may erase flash for minutes. */
const SOCKET_IDLE_MS = 15 * 60_000

export interface DdiListenerOptions {
  readonly host: string
  readonly port: number
  readonly tls: { readonly cert: Uint8Array; readonly key: Uint8Array } | undefined
  readonly pollS: number
}

/** hawkBit's DDI on a port of this machine, for clients next to it. */
export async function listenDdi(
  { fleet, log }: { readonly fleet: DdiFleet; readonly log: Log },
  options: DdiListenerOptions,
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { host, tls } = options
  const face = createDdiFace({ fleet, log }, { basePath: '', pollS: options.pollS })
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS }
  const fetch = async (request: Request) => {
    try {
      return await face.answer(request, { source: 'client', origin: new URL(request.url).origin })
    } catch (thrown) {
      log.error({ error: asError(thrown) }, 'a DDI call failed')
      return new Response(null, { status: 500 })
    }
  }
  const server =
    tls === undefined
      ? createAdaptorServer({ fetch, hostname: host, serverOptions: limits })
      : createAdaptorServer({
          fetch,
          hostname: host,
          createServer: createTlsServer,
          serverOptions: {
            ...limits,
            cert: Buffer.from(tls.cert),
            key: Buffer.from(tls.key),
            minVersion: 'TLSv1.2',
          },
        })
  if ('maxConnections' in server) server.maxConnections = CONNECTIONS_MAX
  server.setTimeout(SOCKET_IDLE_MS)
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen(options.port, host, listening.resolve)
  await listening.promise
  const { port } = server.address() as AddressInfo
  const name = host.includes(':') ? `[${host}]` : host
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${name}:${port}`,
    async stop() {
      const closed = Promise.withResolvers<void>()
      server.close(() => closed.resolve())
      if ('closeAllConnections' in server) server.closeAllConnections()
      await closed.promise
    },
  }
}
