/**
 * Kills a device with SIGKILL at each of its transitions, again and again in one update. The processes that
 * are killed are this same file, started with the world that the test has made for them.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MIB, systemClock, toHex, unixSeconds } from '../base/index.ts'
import { treeBlocks } from '../chunks/index.ts'
import { wrapReleaseKey } from '../firmware/index.ts'
import { createIdentity, type EvmAddress } from '../identity/index.ts'
import { createRigDevice, MODEL } from '../testing/device-rig.ts'
import { createRig, DOMAIN } from '../testing/exchange-rig.ts'
import { createFakeGateway, type FakeGateway, type FakeRelease } from '../testing/fake-gateway.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import { emptyNetworkFile } from '../testing/local-network.ts'
import type { DeviceEvent } from './index.ts'

/** Everything outside the device, as plain data, so that each process meets the same. */
interface World {
  readonly vendor: EvmAddress
  readonly initialRoot: string
  readonly repository: Readonly<Record<string, string>>
  readonly releases: readonly (Omit<FakeRelease, 'wrap'> & { readonly wrap: string })[]
}

const IMAGE_BYTES = 6 * MIB
const BLOCK_MAX_BYTES = 257 * 1024
/** What one kill may cost: blocks on their way and not yet durable, within the seed's window for a new device. */
const IN_FLIGHT_MAX_BYTES = MIB
/** Slow enough that a kill finds blocks on their way. */
const LINK = { bytesPerSecond: 12 * MIB }
const signer = createIdentity(new Uint8Array(32).fill(1))
const seedIdentity = createIdentity(new Uint8Array(32).fill(2))
const deviceIdentity = createIdentity(new Uint8Array(32).fill(3))
const imageOf = (seed: number) =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16)).update(
    Buffer.alloc(IMAGE_BYTES),
  )
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const seedFolder = (folder: string) => join(folder, 'seed')
const deviceHome = (folder: string) => join(folder, 'device')

/** One world for each version, as it is when that one is the newest. */
async function makeWorlds(folder: string, versions: readonly string[]): Promise<World[]> {
  const vendor = createFakeVendor({ clock: systemClock }, { name: 'crash' })
  const rig = await createRig()
  const seed = await rig.node({ identity: seedIdentity, folder: seedFolder(folder) })
  const releases: World['releases'][number][] = []
  const worlds: World[] = []
  for (const [index, version] of versions.entries()) {
    const { packed } = await vendor.publish(imageOf(index), { model: MODEL, version })
    const pin = await seed.storage.pins.open(packed.root)
    const blocks = [{ cid: packed.root, bytes: packed.rootBytes }]
    for await (const { cid } of treeBlocks(packed.tree, vendor.getBlock)) {
      blocks.push({ cid, bytes: await vendor.getBlock(cid) })
    }
    await pin.add(blocks)
    await pin.commit({ owner: 'order:test' })
    releases.push({
      root: packed.root.toString(),
      digest: toHex(packed.root.multihash.digest),
      sealedBytes: packed.sealedBytes,
      wrap: base64(await wrapReleaseKey(packed.releaseKey, [deviceIdentity.ageRecipient])),
    })
    const files = [...vendor.repository].map(([name, bytes]): [string, string] => [
      name,
      base64(bytes),
    ])
    worlds.push({
      vendor: vendor.address,
      initialRoot: base64(vendor.initialRoot),
      repository: Object.fromEntries(files),
      releases: [...releases],
    })
  }
  await rig.stop()
  return worlds
}

function gatewayOf(world: World): FakeGateway {
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
  const gateway = createFakeGateway({
    clock: systemClock,
    vendor: {
      address: world.vendor,
      initialRoot: bytes(world.initialRoot),
      repository: new Map(Object.entries(world.repository).map(([n, text]) => [n, bytes(text)])),
    },
    signer,
    domain: DOMAIN,
    networkFile: emptyNetworkFile(),
    device: deviceIdentity.evmAddress,
  })
  gateway.codes.set('7F3K-92QD', MODEL)
  for (const release of world.releases) {
    gateway.releases.set(release.root, { ...release, wrap: bytes(release.wrap) })
  }
  return gateway
}

/** One life of the device: a whole update, or as far as the event at which it has to die. */
async function live(folder: string, dieAt: string, healthCommand: string): Promise<void> {
  const world = JSON.parse(await readFile(join(folder, 'world.json'), 'utf8')) as World
  const gateway = gatewayOf(world)
  const rig = await createRig()
  const seed = await rig.node({ identity: seedIdentity, folder: seedFolder(folder), link: LINK })
  for (const { digest } of world.releases) {
    seed.serverBook.trust(digest, [signer.evmAddress], unixSeconds(systemClock) + 3_600)
  }
  gateway.sources.push(seed.source)
  const home = deviceHome(folder)
  const node = await rig.node({
    identity: deviceIdentity,
    folder: join(home, 'node'),
    serve: false,
    acceptPins: false,
  })
  const tell = (line: object) =>
    appendFileSync(join(folder, 'lives.jsonl'), `${JSON.stringify(line)}\n`)
  const onEvent = (event: DeviceEvent) => {
    const name =
      event.name === 'progress' ? `progress-${Math.floor(event.percent / 30)}` : event.name
    if (name !== dieAt) return
    tell({ diedAt: name, servedBytes: seed.exchange.served().bytes })
    process.kill(process.pid, 'SIGKILL')
  }
  const options = { onEvent, healthCommand, healthWithinMs: 200 }
  const { agent } = await createRigDevice({ gateway, node, home }, options)
  const { outcome, installed, totals } = await agent.update()
  const reports = gateway.reports.map(({ event }) => event)
  const servedBytes = seed.exchange.served().bytes
  tell({ outcome, version: installed?.version, totals, reports, servedBytes })
  await agent.stop()
  await rig.stop()
}

function lifeOf(
  folder: string,
  dieAt: string,
  healthCommand: string,
): Promise<NodeJS.Signals | null> {
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env
  const child = spawn(
    process.execPath,
    [import.meta.filename, 'live', folder, dieAt, healthCommand],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env,
    },
  )
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) =>
      code === 0 || signal !== null ? resolve(signal) : reject(new Error(`it ended with ${code}`)),
    )
  })
}

interface Told {
  readonly diedAt?: string
  readonly servedBytes: number
  readonly outcome?: string
  readonly version?: string
  readonly totals?: { readonly fetchedBytes: number; readonly receiptedBytes: number }
  readonly reports?: readonly string[]
}

async function livesOf(folder: string): Promise<Told[]> {
  const text = await readFile(join(folder, 'lives.jsonl'), 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Told)
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ioex-crash-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const enter = (folder: string, world: World | undefined) =>
  writeFile(join(folder, 'world.json'), JSON.stringify(world))
const currentImage = (folder: string) =>
  readFile(join(deviceHome(folder), 'slots', 'current', 'image'))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

if (process.argv[2] === 'live') {
  const [folder = '', dieAt = '', healthCommand = ''] = process.argv.slice(3)
  await live(folder, dieAt, healthCommand)
  process.exit(0)
}

test('a device that is killed again and again in one update still ends with the whole release', () =>
  withFolder(async (folder) => {
    const [world] = await makeWorlds(folder, ['1.0.0'])
    await enter(folder, world)
    for (const point of ['progress-1', 'staged', 'switched', 'trying']) {
      assert.equal(await lifeOf(folder, point, 'true'), 'SIGKILL', point)
    }
    assert.equal(await lifeOf(folder, 'never', 'true'), null)
    assert.equal(sha256(await currentImage(folder)), sha256(imageOf(0)))
    const lives = await livesOf(folder)
    const last = lives.at(-1)
    assert.deepEqual([last?.outcome, last?.version], ['updated', '1.0.0'])
    const told = last?.reports?.filter((event) => event !== 'downloading')
    assert.deepEqual(told, ['written', 'confirmed'])
    const sealedBytes = world?.releases[0]?.sealedBytes ?? 0
    assert.ok((last?.totals?.receiptedBytes ?? 0) <= sealedBytes + BLOCK_MAX_BYTES)
    const servedBytes = lives.reduce((sum, life) => sum + life.servedBytes, 0)
    const againBytes = servedBytes - sealedBytes
    assert.ok(againBytes <= IN_FLIGHT_MAX_BYTES, `${againBytes} bytes were served again`)
  }))

test('a device that is killed while it falls back runs the release before', () =>
  withFolder(async (folder) => {
    const [first, second] = await makeWorlds(folder, ['1.0.0', '2.0.0'])
    await enter(folder, first)
    assert.equal(await lifeOf(folder, 'never', 'true'), null)
    await enter(folder, second)
    assert.equal(await lifeOf(folder, 'falling-back', 'false'), 'SIGKILL')
    assert.equal(sha256(await currentImage(folder)), sha256(imageOf(1)))
    assert.equal(await lifeOf(folder, 'never', 'false'), null)
    assert.equal(sha256(await currentImage(folder)), sha256(imageOf(0)))
    const last = (await livesOf(folder)).at(-1)
    assert.deepEqual([last?.outcome, last?.version], ['fell-back', '1.0.0'])
  }))
