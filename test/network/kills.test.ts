/** A device process that is killed over and over in one download, and what each kill costs. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { createNode } from '@ioex/node'
import {
  GIB,
  KIB,
  MIB,
  silentLog,
  systemClock,
  systemRandom,
  toHex,
  unixSeconds,
} from '@ioex/node/base'
import type { FetchReport } from '@ioex/node/exchange'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import { serviceId, signedGrantToJson, signGrant } from '@ioex/node/receipts'
import { createStorage } from '@ioex/node/storage'
import { emptyNetworkFile, makeTree, seededRandom } from '@ioex/node/testing'
import type { DeviceTask } from './exchange-device.ts'

const isSmall = process.env['IOEX_SHAPE'] === 'small'
const KILLS = isSmall ? 10 : 50
const SIZE = (isSmall ? 16 : 64) * MIB
const CHUNK_BYTES = 64 * KIB
/** The line of the issue: what a kill may cost on the wire. */
const MAX_WASTED_PER_KILL_BYTES = MIB
/** A kill comes anywhere between two blocks, or a few of them. */
const MAX_KILL_DELAY_MS = 20
/** 16 MiB/s: with what is faster than that, more than 1 MiB is under way at any moment. */
const UPLOAD_BYTES_PER_SECOND = 16 * MIB

const home = await mkdtemp(join(tmpdir(), 'ioex-kills-'))
const children = new Set<ChildProcess>()
const vendor = createIdentity(generateSeed(systemRandom))
const tree = makeTree(SIZE / CHUNK_BYTES, CHUNK_BYTES)
const seed = await createNode(
  { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
  {
    home: join(home, 'seed'),
    role: 'seed',
    nospam: () => new Uint8Array(4),
    networkFile: emptyNetworkFile(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    httpListen: { host: '127.0.0.1', port: 0 },
    quotaBytes: GIB,
    acceptPins: false,
    maxUploadBytesPerSecond: UPLOAD_BYTES_PER_SECOND,
  },
)
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await seed.stop()
  await rm(home, { recursive: true, force: true })
})

test(`${KILLS} kills in one download of ${SIZE / MIB} MiB cost at most 1 MiB each, and the digest is right`, {
  timeout: 280_000,
}, async (t) => {
  const pin = await seed.storage.pins.open(tree.root)
  await pin.add(tree.blocks)
  await pin.commit({ owner: 'order:test' })
  const now = unixSeconds(systemClock)
  const root = toHex(tree.root.multihash.digest)
  seed.serverBook.trust(root, [vendor.evmAddress], now + 3600)
  const deviceSeed = generateSeed(systemRandom)
  const grant = signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device: createIdentity(deviceSeed).evmAddress,
    root,
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(tree.bytes + KILLS * 8 * MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3600,
    serial: 1n,
  })
  const task: DeviceTask = {
    home: join(home, 'device'),
    seedHex: deviceSeed.toHex(),
    root: tree.root.toString(),
    grant: signedGrantToJson(grant),
    sources: [
      {
        peerId: seed.identity.peerId.toString(),
        multiaddrs: seed.network.addresses().direct.map(String),
        http: seed.network.httpUrl ?? '',
      },
    ],
  }

  // The points lie all over the download, and anywhere between two durable blocks.
  const random = seededRandom(process.env['IOEX_SEED'] ?? 'kills 1')
  const share = Math.floor(tree.blocks.length / (KILLS + 1))
  const points = Array.from({ length: KILLS }, (_, at) => (at + 1) * share - random.int(share >> 1))
  const wasted: number[] = []
  const again: number[] = []
  let said = 0
  let inVainBefore = 0
  for (const point of points) {
    const killAt = { blocks: point, afterMs: random.int(MAX_KILL_DELAY_MS) }
    const run = await runDevice({ ...task, killAt })
    assert.equal(run.report, undefined, 'it was done before it could be killed')
    const kept = await durableBytes(join(home, 'device'))
    // What it said it had is there: nothing that was verified and told is fetched again.
    again.push(Math.max(0, run.blocks - kept.blocks))
    said = Math.max(said, run.blocks)
    const inVain = seed.exchange.served().bytes - kept.bytes
    wasted.push(inVain - inVainBefore)
    inVainBefore = inVain
  }
  const last = await runDevice(task)
  assert.ok(last.report !== undefined)
  assert.ok(last.report.reusedBlocks >= said)
  assert.equal(last.report.reusedBlocks + last.report.fetchedBlocks, tree.blocks.length)
  const mib = (bytes: number) => (bytes / MIB).toFixed(2)
  const total = seed.exchange.served().bytes - tree.bytes
  const sorted = wasted.toSorted((a, b) => a - b)
  t.diagnostic(
    `sent in vain per kill: median ${mib(sorted[KILLS >> 1] ?? 0)}, most ${mib(sorted.at(-1) ?? 0)} MiB; ` +
      `${mib(total)} MiB in ${KILLS} kills; blocks again: most ${Math.max(...again)}`,
  )
  await checkDigest(join(home, 'device'))
  assert.ok(Math.max(...again) <= 1, 'more than one block that was there is fetched again')
  const most = sorted.at(-1) ?? 0
  assert.ok(most <= MAX_WASTED_PER_KILL_BYTES, `${most} bytes were sent in vain for one kill`)
})

/** Runs the device until it is done or has killed itself. */
async function runDevice(device: DeviceTask) {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'exchange-device.ts'), JSON.stringify(device)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  children.add(child)
  let blocks = 0
  let report: FetchReport | undefined
  for await (const line of createInterface(child.stdout)) {
    const told = JSON.parse(line) as { blocks?: number; report?: FetchReport }
    blocks = told.blocks ?? blocks
    report = told.report ?? report
  }
  children.delete(child)
  return { blocks, report }
}

/** What a dead device has of the tree, read from its folder. */
async function durableBytes(folder: string) {
  return withStorage(folder, async (storage) => {
    const kept = { blocks: 0, bytes: 0 }
    for (const { cid, bytes } of tree.blocks) {
      if (!(await storage.blocks.has(cid))) continue
      kept.blocks++
      kept.bytes += bytes.byteLength
    }
    return kept
  })
}

async function checkDigest(folder: string): Promise<void> {
  await withStorage(folder, async (storage) => {
    const here = createHash('sha256')
    const wanted = createHash('sha256')
    for (const { cid, bytes } of tree.blocks) {
      here.update((await storage.blocks.get(cid)) ?? new Uint8Array())
      wanted.update(bytes)
    }
    assert.equal(here.digest('hex'), wanted.digest('hex'))
  })
}

async function withStorage<T>(
  folder: string,
  run: (storage: ReturnType<typeof createStorage>) => Promise<T>,
): Promise<T> {
  const storage = createStorage(
    { clock: systemClock, log: silentLog },
    { folder: join(folder, 'storage'), quotaBytes: 256 * MIB },
  )
  await storage.start()
  try {
    return await run(storage)
  } finally {
    await storage.stop()
  }
}
