/**
 * `npm run bench:polls`: 50,000 devices poll one gateway once a minute (k6, open model), the gateway's process on
 * one core and the load on another; then how many polls a second it can answer beside how many times a second a
 * Hono route that does nothing answers on the same core (wrk). A whole network of real processes is running; the
 * fleet is laid into the gateway's database. Linux with two cores, `wrk` and `taskset`.
 * IOEX_SHAPE=small: 2,000 devices at a quarter of the rate, for a look at whether it works.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { keepVendor, publishFile, startLocalNetwork } from '@ioex/gateway/localnet'
import { enrolMany } from '@ioex/gateway/testing'
import { systemClock, systemRandom } from '@ioex/node/base'
import { budgets, type Shape, shapes } from '../budgets.ts'
import { findK6, runScript } from '../rig/k6.ts'
import type { Fixture } from '../scenarios/fixture.ts'
import { saturate } from './wrk.ts'

const GATEWAY_CORE = 0
const LOAD_CORE = 1
const MODEL = 'fleet-box'
/** Of a do-nothing route, at saturation. */
const MIN_SHARE = 0.6
const MAX_TRANSACTIONS_PER_SECOND = 1

const isSmall = process.env.IOEX_SHAPE === 'small'
const shape: Shape = isSmall ? 'glance' : 'minute'
const devices = isSmall ? 2_000 : 50_000
const saturationSeconds = isSmall ? 2 : 10
const rounds = isSmall ? 1 : 3

const run = promisify(execFile)
const say = (line: string) => process.stderr.write(`bench:polls: ${line}\n`)

if (cpus().length < 2)
  throw new Error('this bench needs two cores: one for the gateway, one for the load')
for (const tool of ['wrk', 'taskset']) {
  await run('which', [tool]).catch((cause: unknown) => {
    throw new Error(`${tool} is missing; install the package wrk or util-linux`, { cause })
  })
}
const k6 = await findK6(say)
const folder = await mkdtemp(join(tmpdir(), 'ioex-bench-polls-'))
say('starting a network')
const network = await startLocalNetwork({ folder, bootstraps: 1, seeds: 3, onStep: say })
const nothing = spawn(process.execPath, [join(import.meta.dirname, 'nothing.ts')], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
try {
  const [nothingUrl] = (await once(createInterface({ input: nothing.stdout }), 'line')) as [string]
  const fixture = await layFleet()
  const tokensFile = join(folder, 'tokens.txt')
  await writeFile(tokensFile, fixture.deviceTokens.join('\n'), { mode: 0o600 })
  for (const pid of [network.gateway.pid, nothing.pid]) await pin(pid, GATEWAY_CORE)
  for (const { pid } of [...network.seeds, ...network.bootstraps, network.bridge]) {
    await pin(pid, LOAD_CORE)
  }

  const rate = Math.round(budgets.fleet.ratePerSecond * shapes[shape].rateFactor)
  say(`${devices} devices, ${rate} polls a second for ${shapes[shape].seconds} s`)
  const before = await measure()
  const code = await pollAsFleet(fixture)
  const after = await measure()
  const seconds = (after.atMs - before.atMs) / 1_000
  const transactionsPerSecond = (after.transactions - before.transactions) / seconds

  const polls: number[] = []
  const nothings: number[] = []
  const how = { tokensFile, seconds: saturationSeconds, core: LOAD_CORE, folder }
  for (let round = 1; round <= rounds; round++) {
    const url = `${network.gatewayUrl}/v1/devices/me/poll?version=1.0.0`
    const ours = await saturate(url, how)
    const bare = await saturate(`${nothingUrl}/nothing`, how)
    if (ours.errors + bare.errors > 0) throw new Error('some requests were not answered')
    say(`round ${round}: ${ours.perSecond.toFixed(0)} polls, ${bare.perSecond.toFixed(0)} nothings`)
    polls.push(ours.perSecond)
    nothings.push(bare.perSecond)
  }
  const share = median(polls) / median(nothings)
  const rows: [string, string, boolean | undefined][] = [
    [
      `p99 under ${budgets.fleet.p99Ms} ms, no error (k6, above)`,
      code === 0 ? 'yes' : 'no',
      code === 0,
    ],
    [
      `write transactions a second, at most ${MAX_TRANSACTIONS_PER_SECOND}`,
      transactionsPerSecond.toFixed(2),
      transactionsPerSecond <= MAX_TRANSACTIONS_PER_SECOND,
    ],
    [
      'CPU of the gateway at this rate',
      `${((100 * (after.cpuS - before.cpuS)) / seconds).toFixed(0)} %`,
      undefined,
    ],
    ['RSS of the gateway', `${(after.rssBytes / 2 ** 20).toFixed(0)} MiB`, undefined],
    ['polls a second at saturation', median(polls).toFixed(0), undefined],
    ['of a Hono route that only says {"ok":true}', median(nothings).toFixed(0), undefined],
    [`share, at least ${MIN_SHARE * 100} %`, `${(100 * share).toFixed(0)} %`, share >= MIN_SHARE],
  ]
  for (const [what, value, holds] of rows) {
    const verdict = holds === undefined ? '' : holds ? 'reached' : 'NOT REACHED'
    process.stdout.write(`${what.padEnd(56)} ${value.padStart(10)}  ${verdict}\n`)
  }
} finally {
  nothing.stdin.end()
  await network.stop()
  await rm(folder, { recursive: true, force: true })
}

async function layFleet(): Promise<Fixture> {
  const vendor = await keepVendor(folder, network)
  const firmware = join(folder, 'firmware.bin')
  await writeFile(firmware, systemRandom.bytes(256 * 1024))
  say('publishing a release')
  const release = await publishFile(network.gatewayUrl, vendor, {
    file: firmware,
    model: MODEL,
    version: '1.0.0',
  })
  say(`enrolling ${devices} devices`)
  const deviceTokens = await enrolMany(
    { clock: systemClock, random: systemRandom },
    {
      database: join(folder, 'gateway', 'gateway.sqlite'),
      vendor: vendor.vendor,
      model: MODEL,
      count: devices,
    },
  )
  return {
    gateway: network.gatewayUrl,
    vendor: vendor.vendor,
    vendorToken: vendor.token,
    deviceTokens,
    release: release.id,
    model: MODEL,
    receiptBatches: [],
  }
}

async function pollAsFleet(fixture: Fixture): Promise<number> {
  const file = join(folder, 'fixture.json')
  await writeFile(file, JSON.stringify(fixture), { mode: 0o600 })
  const script = join(import.meta.dirname, '../scenarios/poll.ts')
  return runScript(k6, script, {
    IOEX_LOAD_FIXTURE: file,
    IOEX_LOAD_SHAPE: shape,
    IOEX_LOAD_FLEET: 'yes',
    GOMAXPROCS: '1',
  })
}

/** All threads of a process; V8's own as well. */
async function pin(pid: number | undefined, core: number): Promise<void> {
  await run('taskset', ['-a', '-c', '-p', String(core), String(pid)])
}

async function measure() {
  const metrics = await (await fetch(`${network.gatewayUrl}/metrics`)).text()
  const value = (name: string) => {
    const found = new RegExp(`^${name} ([0-9.e+]+)$`, 'm').exec(metrics)?.[1]
    if (found === undefined) throw new Error(`the gateway has no metric ${name}`)
    return Number(found)
  }
  const stat = await readFile(`/proc/${network.gateway.pid}/stat`, 'utf8')
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number)
  return {
    atMs: systemClock.monotonicMs(),
    transactions: value('ioex_gateway_write_transactions_total'),
    rssBytes: value('process_resident_memory_bytes'),
    // Clock ticks, 100 a second on every Linux.
    cpuS: (user + system) / 100,
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
