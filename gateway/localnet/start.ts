/**
 * `npm start`: leaves a whole network running on this machine: bootstraps, seeds, gateway with the console,
 * bridge and a development chain. Ctrl-C stops it cleanly; the next start comes back with all its data.
 * Options: `--data DIR` (default `.data`), `--bootstraps N`, `--seeds N`, `--json`.
 */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { IoexError, writeFileDurably } from '@ioex/node/base'
import { buildConsole } from './console-build.ts'
import { startLocalNetwork } from './network.ts'
import { keepVendor } from './vendor.ts'

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: join(import.meta.dirname, '../../.data') },
    bootstraps: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
})
const say = (line: string) => process.stderr.write(`${line}\n`)
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopping.abort())

try {
  say('Starting a network on this machine …')
  await buildConsole()
  const network = await startLocalNetwork({
    folder: values.data,
    bootstraps: Number(values.bootstraps),
    seeds: Number(values.seeds),
    onStep: (what) => say(`  ${what}`),
  })
  try {
    const vendor = await keepVendor(values.data, network)
    const endpoints = {
      ready: true,
      gateway: network.gatewayUrl,
      console: `${network.gatewayUrl}/`,
      vendor,
      operatorToken: network.operatorToken,
      chain: network.chainUrl,
      bridge: network.bridgeUrl,
      networkFile: network.networkFile,
      data: values.data,
    }
    const path = join(values.data, 'endpoints.json')
    await writeFileDurably(path, JSON.stringify(endpoints, null, 2), { mode: 0o600 })
    process.stdout.write(
      values.json
        ? `${JSON.stringify(endpoints)}\n`
        : [
            '',
            `Console   ${endpoints.console}`,
            `Token     ${vendor.token}`,
            `Vendor    ${vendor.vendor}`,
            `API       ${endpoints.gateway}/docs`,
            `Chain     ${endpoints.chain}`,
            `Data      ${endpoints.data}`,
            '',
            'Ctrl-C stops it; "npm start" brings it back with everything.',
            '',
          ].join('\n'),
    )
    if (!stopping.signal.aborted) await once(stopping.signal, 'abort')
    say('Stopping …')
    await rm(path, { force: true })
  } finally {
    await network.stop()
  }
} catch (thrown) {
  const error = thrown instanceof IoexError ? thrown : undefined
  say(`error: ${error?.message ?? String(thrown)}`)
  if (error?.fix !== undefined) say(`       ${error.fix}`)
  process.exitCode = 1
}
