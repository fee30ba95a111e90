/**
 * Everything around one device: a vendor with two releases, a seed that keeps both, and homes of the device as they
 * are when an update begins. Plain files, so that each fault and each process meets the same.
 */
import { createCipheriv } from 'node:crypto'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KIB, systemClock, toHex, unixSeconds } from '@ioex/node/base'
import { treeBlocks } from '@ioex/node/chunks'
import { wrapReleaseKey } from '@ioex/node/firmware'
import { createIdentity, type EvmAddress } from '@ioex/node/identity'
import { emptyNetworkFile } from '@ioex/node/testing'
import {
  createFakeGateway,
  createFakeVendor,
  createRig,
  createRigDevice,
  DOMAIN,
  type FakeGateway,
  type FakeRelease,
  MODEL,
  type RigNode,
} from '@ioex/node/testing/devices'
import type { Scenario } from './plan.ts'

export const VERSIONS = ['1.0.0', '2.0.0'] as const
const CODE = '7F3K-92QD'

export interface World {
  readonly vendor: EvmAddress
  readonly initialRoot: string
  /** As it is when the release of that place is the newest. */
  readonly repositories: readonly Readonly<Record<string, string>>[]
  readonly releases: readonly (Omit<FakeRelease, 'wrap'> & { readonly wrap: string })[]
}

const signer = createIdentity(new Uint8Array(32).fill(1))
const seedIdentity = createIdentity(new Uint8Array(32).fill(2))
const deviceIdentity = createIdentity(new Uint8Array(32).fill(3))

const noise = (kib: number, key: number) =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, key), Buffer.alloc(16)).update(
    Buffer.alloc(kib * KIB),
  )

/** What stays, what is new, and a hole, as images have them. */
export function imageOf(version: (typeof VERSIONS)[number]): Uint8Array {
  const [first] = VERSIONS
  return Buffer.concat([
    noise(320, 9),
    Buffer.alloc(192 * KIB),
    noise(768, version === first ? 10 : 11),
  ])
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const fromBase64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))

export const homeOf = (folder: string, scenario: Scenario) =>
  join(folder, `home-${scenario.replace(' ', '-')}`)
const seedFolderOf = (folder: string) => join(folder, 'seed')

export async function makeWorld(folder: string): Promise<World> {
  await mkdir(folder, { recursive: true })
  const vendor = createFakeVendor({ clock: systemClock }, { name: 'power' })
  const rig = await createRig()
  const seed = await rig.node({ identity: seedIdentity, folder: seedFolderOf(folder) })
  const releases: World['releases'][number][] = []
  const repositories: World['repositories'][number][] = []
  for (const version of VERSIONS) {
    const { packed } = await vendor.publish(imageOf(version), { model: MODEL, version })
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
    const files = [...vendor.repository].map(([name, bytes]) => [name, base64(bytes)] as const)
    repositories.push(Object.fromEntries(files))
  }
  const initialRoot = base64(vendor.initialRoot)
  const world: World = { vendor: vendor.address, initialRoot, repositories, releases }
  await seed.stop()
  await rig.stop()
  await writeFile(join(folder, 'world.json'), JSON.stringify(world))
  await makeHomes(folder, world)
  return world
}

export async function readWorld(folder: string): Promise<World> {
  return JSON.parse(await readFile(join(folder, 'world.json'), 'utf8')) as World
}

async function makeHomes(folder: string, world: World): Promise<void> {
  const fresh = homeOf(folder, 'first install')
  const around = await startSurroundings(folder, world, { newest: 0 })
  const { gateway } = around
  const enrolled = await startDevice(around, fresh, { gateway })
  await enrolled.stop()
  await cp(fresh, homeOf(folder, 'update'), { recursive: true, verbatimSymlinks: true })
  const device = await startDevice(around, homeOf(folder, 'update'), { gateway })
  const { outcome } = await device.agent.update()
  await device.stop()
  await around.stop()
  if (outcome !== 'updated') throw new Error(`the first release ended as ${outcome}`)
}

export interface Surroundings {
  readonly rig: Awaited<ReturnType<typeof createRig>>
  readonly seed: RigNode
  readonly gateway: FakeGateway
  stop(): Promise<void>
}

/** A seed that has served nobody yet, from the folder, and a gateway. */
export async function startSurroundings(
  folder: string,
  world: World,
  options: { readonly newest: number; readonly bytesPerSecond?: number },
): Promise<Surroundings> {
  const { newest, bytesPerSecond } = options
  const rig = await createRig()
  const seed = await rig.node({
    identity: seedIdentity,
    folder: seedFolderOf(folder),
    ...(bytesPerSecond === undefined ? {} : { link: { bytesPerSecond } }),
  })
  for (const { digest } of world.releases) {
    seed.serverBook.trust(digest, [signer.evmAddress], unixSeconds(systemClock) + 3_600)
  }
  const repository = Object.entries(world.repositories[newest] ?? {})
  const gateway = createFakeGateway({
    clock: systemClock,
    vendor: {
      address: world.vendor,
      initialRoot: fromBase64(world.initialRoot),
      repository: new Map(repository.map(([name, text]) => [name, fromBase64(text)])),
    },
    signer,
    domain: DOMAIN,
    networkFile: emptyNetworkFile(),
    device: deviceIdentity.evmAddress,
  })
  gateway.codes.set(CODE, MODEL)
  gateway.sources.push(seed.source)
  for (const release of world.releases.slice(0, newest + 1)) {
    gateway.releases.set(release.root, { ...release, wrap: fromBase64(release.wrap) })
  }
  return { rig, seed, gateway, stop: () => rig.stop() }
}

/** The seed's folder as it was at first, for one fault alone. */
export async function copySeed(folder: string, to: string): Promise<void> {
  await cp(seedFolderOf(folder), seedFolderOf(to), { recursive: true })
}

export async function startDevice(
  { rig }: Pick<Surroundings, 'rig'>,
  home: string,
  settings: Parameters<typeof createRigDevice>[1] & { readonly gateway: FakeGateway },
) {
  const node = await rig.node({
    identity: deviceIdentity,
    folder: join(home, 'node'),
    serve: false,
    acceptPins: false,
  })
  const { gateway, ...rest } = settings
  try {
    const device = await createRigDevice({ gateway, node, home }, rest)
    return {
      ...device,
      async stop() {
        await device.agent.stop()
        await node.stop()
      },
    }
  } catch (thrown) {
    await node.stop()
    throw thrown
  }
}
