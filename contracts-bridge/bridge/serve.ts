/**
 * The bridge as a process: `IOEX_BRIDGE_TOKEN=… IOEX_BRIDGE_KEY=0x… npm run -w contracts-bridge bridge -- --config FILE`.
 * Once it is ready it prints one line of JSON, `{"listening": "http://127.0.0.1:PORT"}`; there, on the loopback
 * interface only: `GET /status`, `POST /epoch` (settles now and answers with the status), `GET /healthz`.
 */
import { readFile } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { asError, createLog, fromHex, IoexError, systemClock, toHex } from '@ioex/node/base'
import { DeploymentSchema } from '../deploy/index.ts'
import { type Bridge, createBridge, createGateway } from './index.ts'

const ConfigSchema = z.object({
  /** The gateway's address. */
  gateway: z.url(),
  rpcUrl: z.url(),
  deployment: DeploymentSchema,
  /** Where the journal is kept. */
  folder: z.string().min(1),
  /** Of the status page on the loopback interface; 0 takes a free one. */
  port: z.int().min(0).max(65_535).default(0),
  pullEveryMs: z.int().min(10).optional(),
  epochEveryMs: z.int().min(10).optional(),
  confirmations: z.int().min(1).optional(),
  stuckAfterMs: z.int().min(100).optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
})

function usage(message: string, cause?: unknown): IoexError {
  return new IoexError('usage', message, {
    blame: 'caller',
    fix: 'usage: IOEX_BRIDGE_TOKEN=… IOEX_BRIDGE_KEY=0x… bridge --config FILE',
    cause,
  })
}

async function readConfig() {
  const { values } = parseArgs({ options: { config: { type: 'string' } } })
  if (values.config === undefined) throw usage('no --config was given')
  const parsed = ConfigSchema.safeParse(JSON.parse(await readFile(values.config, 'utf8')))
  if (!parsed.success) throw usage(`${values.config}: ${z.prettifyError(parsed.error)}`)
  const token = process.env['IOEX_BRIDGE_TOKEN'] ?? ''
  if (token === '') throw usage('IOEX_BRIDGE_TOKEN is not set')
  const key = fromHex(process.env['IOEX_BRIDGE_KEY'] ?? '')
  if (key?.byteLength !== 32) throw usage('IOEX_BRIDGE_KEY must hold 32 bytes as 0x and 64 digits')
  return { ...parsed.data, token, key: toHex(key) }
}

function answer(response: ServerResponse, status: number, content: unknown): void {
  const body = JSON.stringify(content, (_name, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)
}

function statusServer(bridge: Bridge): Server {
  const settle = async (response: ServerResponse) => {
    try {
      answer(response, 200, await bridge.settleNow())
    } catch (thrown) {
      const error = asError(thrown)
      const fix = error instanceof IoexError ? error.fix : undefined
      answer(response, 502, { code: 'not-settled', detail: error.message, fix })
    }
  }
  return createServer((request, response) => {
    // No endpoint reads a body.
    request.resume()
    const route = `${request.method} ${request.url}`
    if (route === 'GET /status') answer(response, 200, bridge.status())
    else if (route === 'GET /healthz') answer(response, 200, { ok: true })
    else if (route === 'POST /epoch') void settle(response)
    else answer(response, 404, { code: 'not-found', detail: `there is no ${route} here` })
  })
}

async function run(): Promise<void> {
  const config = await readConfig()
  const log = createLog({ name: 'bridge', level: config.logLevel })
  const { pullEveryMs, epochEveryMs, confirmations, stuckAfterMs } = config
  const gateway = createGateway(
    { clock: systemClock, fetch },
    { url: config.gateway, token: config.token },
  )
  const bridge = await createBridge(
    { source: gateway, signer: gateway, clock: systemClock, log },
    {
      ...{ folder: config.folder, rpcUrl: config.rpcUrl, deployment: config.deployment },
      senderKey: config.key,
      ...(pullEveryMs === undefined ? {} : { pullEveryMs }),
      ...(epochEveryMs === undefined ? {} : { epochEveryMs }),
      ...(confirmations === undefined ? {} : { confirmations }),
      ...(stuckAfterMs === undefined ? {} : { stuckAfterMs }),
    },
  )
  const server = statusServer(bridge)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(config.port, '127.0.0.1', resolve)
    })
  } catch (thrown) {
    await bridge.stop()
    throw thrown
  }
  await bridge.start()
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.port
  process.stdout.write(`${JSON.stringify({ listening: `http://127.0.0.1:${port}` })}\n`)

  const end = async (name: string) => {
    log.info({ name }, 'stopping')
    server.close()
    server.closeAllConnections()
    await bridge.stop()
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => void end(name))
}

try {
  await run()
} catch (thrown) {
  const error = asError(thrown)
  const fix = error instanceof IoexError && error.fix !== undefined ? `\n${error.fix}` : ''
  process.stderr.write(`${error.message}${fix}\n`)
  process.exitCode = error instanceof IoexError && error.code === 'usage' ? 2 : 1
}
