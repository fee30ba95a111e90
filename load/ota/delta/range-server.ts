import { once } from 'node:events'
import { open, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const LOOPBACK = '127.0.0.1'
const BOUNDARY = 'ioex-bench-part'

export interface RangeServer {
  readonly url: string
  /** Bytes of the file that were sent: neither HTTP headers nor the heads of parts. */
  sentBytes(): number
  close(): Promise<void>
}

/** One file under any path over HTTP, whole or in ranges, several of them in one answer too. */
export async function serveRanges(path: string): Promise<RangeServer> {
  const { size } = await stat(path)
  const file = await open(path, 'r')
  let sent = 0
  const read = async (from: number, to: number): Promise<Buffer> => {
    const bytes = Buffer.alloc(to - from + 1)
    await file.read(bytes, 0, bytes.byteLength, from)
    sent += bytes.byteLength
    return bytes
  }
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const ranges = rangesOf(request.headers.range, size)
    response.setHeader('accept-ranges', 'bytes')
    if (ranges.length === 0) {
      response.end(await read(0, size - 1))
      return
    }
    const [[from, to] = [0, 0]] = ranges
    response.statusCode = 206
    if (ranges.length === 1) {
      response.setHeader('content-range', `bytes ${from}-${to}/${size}`)
      response.end(await read(from, to))
      return
    }
    const parts: Buffer[] = []
    for (const [start, end] of ranges) {
      const head = `\r\n--${BOUNDARY}\r\ncontent-range: bytes ${start}-${end}/${size}\r\n\r\n`
      parts.push(Buffer.from(head), await read(start, end))
    }
    parts.push(Buffer.from(`\r\n--${BOUNDARY}--\r\n`))
    const body = Buffer.concat(parts)
    response.setHeader('content-type', `multipart/byteranges; boundary=${BOUNDARY}`)
    response.setHeader('content-length', body.byteLength)
    response.end(body)
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((thrown: unknown) => response.destroy(thrown as Error))
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${LOOPBACK}:${port}`,
    sentBytes: () => sent,
    async close() {
      server.closeAllConnections()
      await new Promise<unknown>((resume) => server.close(resume))
      await file.close()
    },
  }
}

/** As `bytes=0-99,200-299` names them, the last byte included; none when the whole file is asked for. */
function rangesOf(
  header: string | undefined,
  size: number,
): readonly (readonly [number, number])[] {
  const [, list = ''] = /^bytes=(.+)$/.exec(header ?? '') ?? []
  return [...list.matchAll(/(\d+)-(\d*)/g)].map(([, from, to]) => [
    Number(from),
    Math.min(to === '' ? size - 1 : Number(to), size - 1),
  ])
}
