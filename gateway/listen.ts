import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Clock } from '@ioex/node/base'
import { SHUTDOWN_GRACE_MS } from './limits.ts'

/** Sockets of one gateway; each costs some 20 KiB. */
const MAX_CONNECTIONS = 10_000
/** Heads come at once or not at all. */
const HEADERS_TIMEOUT_MS = 20_000
/**
 * A socket without a byte in either direction for so long is closed. Longer than any wait within a request:
 * an upload is silent while seeds take their copies.
 */
const SOCKET_IDLE_MS = 15 * 60_000

export interface Listener {
  /** `http://host:port` as it really is. */
  readonly url: string
  /** Takes no more requests, lets those that run end for 10 s, then closes their sockets. May be called twice. */
  stop(): Promise<void>
}

export async function listen(
  needs: { readonly clock: Clock },
  app: { readonly fetch: Parameters<typeof createAdaptorServer>[0]['fetch'] },
  options: { readonly host: string; readonly port: number },
): Promise<Listener> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    hostname: options.host,
    // The limit on a whole request would cut long uploads; bodies have their own against standing still.
    serverOptions: { requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT_MS },
  })
  if ('maxConnections' in server) server.maxConnections = MAX_CONNECTIONS
  server.setTimeout(SOCKET_IDLE_MS)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  let stopped: Promise<void> | undefined
  return {
    url: `http://${host}:${port}`,
    stop() {
      stopped ??= new Promise<void>((resolve) => {
        const closeAll = () => {
          if ('closeAllConnections' in server) server.closeAllConnections()
        }
        const cancel = needs.clock.after(SHUTDOWN_GRACE_MS, closeAll)
        server.close(() => {
          cancel()
          resolve()
        })
        if ('closeIdleConnections' in server) server.closeIdleConnections()
      })
      return stopped
    },
  }
}
