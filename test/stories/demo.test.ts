import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { DemoResult } from '@ioex/gateway/localnet'
import { firmwareLike, MIB, sha256Of, shape } from './stage.ts'
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'

const run = promisify(execFile)
const repository = join(import.meta.dirname, '../..')
const folder = await mkdtemp(join(tmpdir(), 'ioex-demo-story-'))
after(() => rm(folder, { recursive: true, force: true }))

/** The reward's share of what is burned, in ten thousandths: a term of the deployment. */
const REWARD_BPS = 9_500n
/** 10 GAS of 18 decimals for an ioeX of 8: what a fresh deployment sells them for. */
const GAS18_PER_IOEX_UNIT = 10n ** 11n

async function demo(image: string, devices: number): Promise<DemoResult> {
  const { stdout } = await run(
    process.execPath,
    [
      join(repository, 'gateway/localnet/demo.ts'),
      ...['--json', '--firmware', image, '--devices', String(devices)],
    ],
    { maxBuffer: 64 * MIB },
  )
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as DemoResult
}

/** What the receipts come to, by the formula of the design, with no code of the product. */
function billOf(result: DemoResult) {
  const price = BigInt(result.settlement.priceGas18)
  const unit = BigInt(result.settlement.unitBytes)
  const byGrant = Map.groupBy(result.receipts.highest, (receipt) => receipt.grantId)
  let gas = 0n
  const ofServer = new Map<string, bigint>()
  for (const receipts of byGrant.values()) {
    const bytes = receipts.reduce((total, receipt) => total + BigInt(receipt.serverBytes), 0n)
    gas += (bytes * price) / unit
    // A server's part: the difference of the amounts with and without it, in the order of addresses.
    let before = 0n
    for (const { server, serverBytes } of receipts.toSorted((a, b) =>
      a.server < b.server ? -1 : 1,
    )) {
      const upTo = before + BigInt(serverBytes)
      const part = (upTo * price) / unit - (before * price) / unit
      ofServer.set(server, (ofServer.get(server) ?? 0n) + part)
      before = upTo
    }
  }
  const burned = gas / GAS18_PER_IOEX_UNIT
  const reward = (burned * REWARD_BPS) / 10_000n
  const paid = [...ofServer.values()].reduce((total, part) => total + (reward * part) / gas, 0n)
  return { gas, burned, paid }
}

async function checked(image: string, devices: number): Promise<DemoResult> {
  const result = await demo(image, devices)
  const sha256 = await sha256Of(image)
  assert.equal(result.devices.length, devices)
  for (const device of result.devices) {
    assert.equal(device.sha256, sha256)
    assert.equal(device.installed, true)
    assert.ok(
      device.peakRssMiB === null || device.peakRssMiB < 300,
      `a device took ${device.peakRssMiB} MiB`,
    )
  }
  const fetched = result.devices.reduce((total, device) => total + device.fetchedBytes, 0)
  assert.equal(result.receipts.bytes, fetched)
  const { gas, burned, paid } = billOf(result)
  assert.equal(result.settlement.gasBilled, String(gas))
  assert.equal(result.settlement.burnedIoex, String(burned))
  assert.equal(result.settlement.ioexPaid, String(paid))
  assert.equal(result.costFor5MillionDevices.cloudUsd, 24_414)
  assert.ok(result.release.addresses.length >= 3)
  assert.equal(result.backup.restoredEqual, true)
  return result
}

describe('npm run demo', () => {
  test('brings an image of one byte to its devices, with a bill that follows from the receipts', async (t) => {
    const image = join(folder, 'one-byte.bin')
    await writeFile(image, 'x')
    const result = await checked(image, 2)
    t.diagnostic(`${result.seconds.toFixed(0)} s`)
  })

  test('brings random bytes, which do not shrink', async (t) => {
    const mib = shape === 'small' ? 16 : 64
    const image = join(folder, 'random.bin')
    await writeFile(image, randomBytes(mib * MIB))
    const result = await checked(image, shape === 'small' ? 2 : 3)
    const rss = result.devices.map((device) => device.peakRssMiB)
    t.diagnostic(`${mib} MiB in ${result.seconds.toFixed(0)} s, devices ${rss.join(', ')} MiB RSS`)
  })

  if (shape === 'full') {
    test('brings 700 MiB without more memory in a device', async (t) => {
      const image = join(folder, 'large.bin')
      const file = await open(image, 'w')
      for (let written = 0; written < 700; written += 70) await file.write(firmwareLike(70 * MIB))
      await file.close()
      await truncate(image, 700 * MIB)
      const result = await checked(image, 3)
      const rss = result.devices.map((device) => device.peakRssMiB)
      t.diagnostic(`${result.seconds.toFixed(0)} s, devices ${rss.join(', ')} MiB RSS`)
    })
  }
})
