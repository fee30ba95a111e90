/**
 * The bridge as a real process for tests: a gateway over HTTP, and a door before the chain's JSON-RPC that lets a
 * test kill the bridge at one exact moment, such as between sending a transaction and noting it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { EvmAddress } from '@ioex/node/identity'
import type { ProvingGround } from './proving-ground.ts'

/** Called with a moment's name before it happens (`before:…`) and after (`after:…`), the answer not sent yet. */
type Watch = (moment: string) => void

export interface Doors {
  readonly gatewayUrl: string
  readonly rpcUrl: string
  watch: Watch
  /** Hangs up on everybody who calls the chain. */
  isChainSilent: boolean
  close(): Promise<void>
}

export async function openDoors(ground: ProvingGround): Promise<Doors> {
  const doors: { watch: Watch; isChainSilent: boolean } = {
    watch: () => undefined,
    isChainSilent: false,
  }
  const gateway = createServer((request, response) => {
    void serveGateway(ground, request, response, (moment) => doors.watch(moment))
  })
  const rpc = createServer((request, response) => {
    if (doors.isChainSilent) {
      request.destroy()
      return
    }
    void forward(ground.anvil.url, request, response, (moment) => doors.watch(moment))
  })
  return Object.assign(doors, {
    gatewayUrl: await listen(gateway),
    rpcUrl: await listen(rpc),
    async close() {
      for (const server of [gateway, rpc]) {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      }
    },
  })
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}

async function serveGateway(
  { gateway, voucherSigner }: ProvingGround,
  request: IncomingMessage,
  response: ServerResponse,
  watch: Watch,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://gateway')
  const body = await bodyOf(request)
  watch(`before:${url.pathname}`)
  const send = (status: number, content: unknown) => {
    watch(`after:${url.pathname}`)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content))
  }
  if (url.pathname === '/v1/receipts') {
    const after = Number(url.searchParams.get('after'))
    const items = await gateway.pull(after, Number(url.searchParams.get('limit')), {})
    send(200, { items, next: items.at(-1)?.cursor ?? after })
  } else if (url.pathname === '/v1/billing/epochs') {
    const wanted = JSON.parse(body) as {
      vendor: EvmAddress
      epoch: number
      totalCumulativeGas18: string
      root: `0x${string}`
      throughCursor: number
    }
    const signed = await gateway.sign(
      { ...wanted, totalCumulativeGas18: BigInt(wanted.totalCumulativeGas18) },
      { leaves: [] },
      {},
    )
    if (signed.ok)
      send(201, { ...wanted, signer: voucherSigner.evmAddress, signature: signed.value })
    else send(409, { code: signed.reason })
  } else {
    send(200, { stored: true })
  }
}

async function forward(
  to: string,
  request: IncomingMessage,
  response: ServerResponse,
  watch: Watch,
): Promise<void> {
  const body = await bodyOf(request)
  const { method } = JSON.parse(body) as { method: string }
  watch(`before:${method}`)
  const answer = await fetch(to, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  const text = await answer.text()
  watch(`after:${method}`)
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
}

export interface BridgeProcess {
  readonly child: ChildProcess
  readonly url: string
  readonly exited: Promise<unknown>
}

export async function startBridgeProcess(
  ground: ProvingGround,
  doors: Doors,
  folder: string,
): Promise<BridgeProcess> {
  const config = join(folder, 'config.json')
  await writeFile(
    config,
    JSON.stringify({
      ...{ gateway: doors.gatewayUrl, rpcUrl: doors.rpcUrl, deployment: ground.deployment },
      ...{ folder: join(folder, 'journal'), pullEveryMs: 50, epochEveryMs: 50, confirmations: 1 },
      logLevel: 'silent',
    }),
  )
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'serve.ts'), '--config', config],
    {
      env: { ...process.env, IOEX_BRIDGE_TOKEN: 'token', IOEX_BRIDGE_KEY: ground.senderKey },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const exited = once(child, 'exit')
  const ready = (async () => {
    let text = ''
    for await (const part of child.stdout) {
      text += String(part)
      if (text.includes('\n')) break
    }
    return text
  })()
  const line = await Promise.race([ready, exited.then(() => '')])
  const url = line === '' ? '' : (JSON.parse(line) as { listening: string }).listening
  return { child, url, exited }
}
