import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A link that breaks: TCP handed on to a port of this machine, cut where a test says. */
export interface CuttingProxy {
  readonly url: string
  /** `Range` of every request that had one, in order. */
  readonly ranges: readonly string[]
  readonly cuts: number
  stop(): Promise<void>
}

/** Each of the first `times` connections that has carried so many bytes to the client is cut. */
export async function startCuttingProxy(
  target: string,
  options: { readonly afterBytes: number; readonly times: number },
): Promise<CuttingProxy> {
  const port = Number(new URL(target).port)
  const sockets = new Set<Socket>()
  const ranges: string[] = []
  let cuts = 0
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      // Cut by one side, it breaks on the other, which is what is wanted.
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.on('data', (bytes) => {
      for (const [, range] of bytes.toString('latin1').matchAll(/^range: (.+)\r$/gim)) {
        if (range !== undefined) ranges.push(range)
      }
      upstream.write(bytes)
    })
    let carried = 0
    upstream.on('data', (bytes: Buffer) => {
      if (client.destroyed) return
      carried += bytes.byteLength
      client.write(bytes)
      if (carried < options.afterBytes || cuts >= options.times) return
      cuts += 1
      client.resetAndDestroy()
    })
  })
  const listening = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', listening.resolve)
  await listening.promise
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ranges,
    get cuts() {
      return cuts
    },
    async stop() {
      const closed = Promise.withResolvers<void>()
      server.close(() => closed.resolve())
      for (const socket of sockets) socket.destroy()
      await closed.promise
    },
  }
}
