import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import {
  type DemoDevice,
  publishFile,
  requestJson,
  settle,
  startProcess,
  watchDevice,
} from '@ioex/gateway/localnet'
import type { Release } from '@ioex/node/api'
import { firmwareLike, MIB, openStage, sha256Of, type Stage, writeImage } from './stage.ts'

const run = promisify(execFile)
const repository = join(import.meta.dirname, '../..')
const cli = join(repository, 'node/cli/ioex.ts')
/** A device that lost its server asks another one within this time. */
const FAILOVER_MS = 3_000

describe('killed without warning', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage({ seeds: 3 })
  })
  after(() => stage.close())

  async function publish(model: string, mib: number): Promise<{ release: Release; file: string }> {
    const file = await writeImage(join(stage.folder, `${model}.bin`), firmwareLike(mib * MIB))
    const { gatewayUrl } = stage.network
    const release = await publishFile(gatewayUrl, stage.vendor, { file, model, version: '1.0.0' })
    return { release, file }
  }

  /** The agent of a device that was killed, in its home. */
  async function again(device: DemoDevice): Promise<DemoDevice> {
    const process = await startProcess({
      name: `${device.name}-again`,
      logFolder: join(stage.folder, 'logs'),
      script: [
        ...[cli, 'device', 'run', '--home', join(stage.folder, device.name)],
        ...['--slot-dir', device.slotFolder, '--json'],
      ],
    })
    return { ...device, process }
  }

  test('a device in mid-download goes on, and fetches at most one verified block again', async (t) => {
    const device = await stage.device('killed', 'killed-box')
    const half = passing(device, 30)
    const { release, file } = await publish('killed-box', 48)
    await half
    await device.process.kill()
    const revived = await again(device)
    try {
      const done = await watchDevice(revived, '1.0.0', () => undefined).result
      assert.equal(done.sha256, await sha256Of(file))
      const surplus = done.fetchedBytes - release.sealedBytes
      t.diagnostic(`${done.fetchedBytes} of ${release.sealedBytes} bytes, ${surplus} more`)
      // Hedged duplicates count as fetched too: at the end of a download a few blocks are asked twice.
      assert.ok(surplus <= 8 * 256 * 1024, `${surplus} bytes were fetched again`)
    } finally {
      await revived.process.stop()
    }
  })

  test('a seed that is serving: the device goes on with the others within 3 s', async (t) => {
    const device = await stage.device('orphan', 'orphan-box')
    let lastMs = 0
    let longestMs = 0
    let killedAtMs = 0
    device.process.onLine((line) => {
      if (line.event !== 'progress' && line.event !== 'staged') return
      const nowMs = performance.now()
      if (killedAtMs > 0 && lastMs > 0) longestMs = Math.max(longestMs, nowMs - lastMs)
      lastMs = nowMs
    })
    const third = passing(device, 20)
    const { result } = watchDevice(device, '1.0.0', () => undefined)
    const { file } = await publish('orphan-box', 48)
    await third
    const [victim] = stage.network.seeds
    assert.ok(victim !== undefined)
    killedAtMs = performance.now()
    await victim.kill()
    const done = await result
    assert.equal(done.sha256, await sha256Of(file))
    t.diagnostic(`longest silence ${longestMs.toFixed(0)} ms`)
    assert.ok(longestMs < FAILOVER_MS, `nothing moved for ${longestMs.toFixed(0)} ms`)
  })

  test('the bridge during settlement: another one settles the same sum once', async () => {
    const { network, folder } = stage
    const receipts = await receiptBytes()
    // The settlement is asked for and cut off at once; what it had begun is in its journal or on the chain.
    const cut = fetch(`${network.bridgeUrl}/epoch`, { method: 'POST' }).catch(() => undefined)
    await new Promise((resume) => setTimeout(resume, 60))
    await network.bridge.kill()
    await cut
    const token = (await readFile(join(folder, 'gateway', 'bridge.token'), 'utf8')).trim()
    const bridge = await startProcess({
      name: 'bridge-again',
      logFolder: join(folder, 'logs'),
      script: [
        join(repository, 'contracts-bridge/bridge/serve.ts'),
        ...['--config', join(folder, 'bridge', 'config.json')],
      ],
      environment: { IOEX_BRIDGE_KEY: network.bridgeKey, IOEX_BRIDGE_TOKEN: token },
    })
    try {
      const { settlement, receipts: highest } = await settle(folder, network, receipts)
      const byGrant = Map.groupBy(highest, (receipt) => receipt.grantId)
      const owed = [...byGrant.values()].reduce((total, ofGrant) => {
        const bytes = ofGrant.reduce((sum, receipt) => sum + BigInt(receipt.serverBytes), 0n)
        return total + (bytes * BigInt(settlement.priceGas18)) / BigInt(settlement.unitBytes)
      }, 0n)
      assert.equal(settlement.gasBilled, String(owed))
    } finally {
      await bridge.stop()
    }
  })

  async function receiptBytes(): Promise<number> {
    // Receipts are handed in every two seconds.
    await new Promise((resume) => setTimeout(resume, 5_000))
    const status = await requestJson<{ receiptBytes: string }>(`${stage.network.bridgeUrl}/status`)
    return Number(status.receiptBytes)
  }
})

describe('npm start, with every process killed at once', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ioex-start-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('comes back with everything', async () => {
    const first = await start()
    const image = await writeImage(join(folder, 'image.bin'), firmwareLike(4 * MIB))
    const release = await publishFile(first.gateway, first.vendor, {
      file: image,
      model: 'box',
      version: '1.0.0',
    })
    await first.killAll()

    const second = await start()
    try {
      assert.deepEqual(second.vendor, first.vendor)
      const { token } = second.vendor
      const kept = await requestJson<Release>(`${second.gateway}/v1/releases/${release.id}`, {
        token,
      })
      assert.equal(kept.state, 'published')
      const { code } = await requestJson<{ code: string }>(`${second.gateway}/v1/enrollments`, {
        method: 'POST',
        token,
        json: { model: 'box', count: 1 },
      })
      const home = join(folder, 'device')
      const node = (...args: string[]) =>
        run(process.execPath, [cli, ...args, '--home', home, '--json'])
      await node('device', 'enroll', '--gateway', second.gateway, '--code', code)
      const { stdout } = await node('device', 'run', '--once', '--slot-dir', join(folder, 'slots'))
      const updated = JSON.parse(stdout) as { sha256: string }
      assert.equal(updated.sha256, await sha256Of(image))
    } finally {
      await second.stop()
    }
  })

  async function start() {
    const child = spawn(
      process.execPath,
      [join(repository, 'gateway/localnet/start.ts'), '--data', join(folder, 'net'), '--json'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const ready = await new Promise<{ gateway: string; vendor: { vendor: string; token: string } }>(
      (resolve, reject) => {
        createInterface({ input: child.stdout }).once('line', (line) =>
          resolve(
            JSON.parse(line) as { gateway: string; vendor: { vendor: string; token: string } },
          ),
        )
        void ended.then(() => reject(new Error('npm start ended before it was ready')))
      },
    )
    return {
      ...ready,
      stop: async () => {
        child.kill('SIGTERM')
        await ended
      },
      /** Every process of the network at once, the parent first so that it cannot stop the others cleanly. */
      killAll: async () => {
        const pids = [child.pid ?? 0, ...(await childrenOf(child.pid ?? 0))]
        for (const pid of pids) process.kill(pid, 'SIGKILL')
        await ended
      },
    }
  }
})

/** The processes that a process has started, by /proc. */
async function childrenOf(parent: number): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent)
      found.push(Number(name))
  }
  return found
}

/** Resolves once the device has passed that share of a download. */
function passing(device: DemoDevice, percent: number): Promise<void> {
  return new Promise((resolve) => {
    device.process.onLine((line) => {
      if (line.event === 'progress' && Number(line.percent) >= percent) resolve()
    })
  })
}
