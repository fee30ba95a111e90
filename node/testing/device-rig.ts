import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { createGatewayClient } from '../api/index.ts'
import {
  type Clock,
  silentLog,
  systemClock,
  systemRandom,
  toHex,
  unixSeconds,
} from '../base/index.ts'
import { treeBlocks } from '../chunks/index.ts'
import {
  createDeviceAgent,
  createGatewayReleases,
  createInstaller,
  type Conditions,
  createSlots,
  createSystemConditions,
  type DeviceAgent,
  type DeviceEvent,
  type DeviceNeeds,
  type Enrolled,
  enrollDevice,
  type InstallerOptions,
  type UpdatePolicy,
  readEnrollment,
  type Slots,
} from '../device/index.ts'
import { type RolloutPolicy, wrapReleaseKey } from '../firmware/index.ts'
import { createIdentity, generateSeed, type Identity } from '../identity/index.ts'
import { createRig, DOMAIN, type NodeSettings, type RigNode } from './exchange-rig.ts'
import { createFakeGateway, type FakeGateway } from './fake-gateway.ts'
import { createFakeVendor, type FakeVendor } from './fake-vendor.ts'
import { emptyNetworkFile } from './local-network.ts'

export const MODEL = 'pump-s3'

export interface DeviceFleet {
  readonly vendor: FakeVendor
  readonly signer: Identity
  readonly gateway: FakeGateway
  readonly folder: string
  /** A seed that keeps everything that is published from now on. */
  seed(settings?: NodeSettings): Promise<RigNode>
  publish(
    image: Uint8Array,
    version: string,
    options?: {
      readonly deltas?: boolean
      readonly rollout?: (root: CID) => RolloutPolicy
    },
  ): Promise<PublishedRelease>
  /** Of the one device that the fleet has. */
  readonly identity: Identity
  /** Enrolled, with a home of its own. Started again with the same settings it goes on where it was. */
  device(settings?: DeviceSettings): Promise<RigDevice>
  stop(): Promise<void>
}

interface PublishedRelease {
  readonly root: string
  readonly sealedBytes: number
  readonly sha256: string
}

export interface DeviceSettings extends InstallerOptions {
  readonly node?: NodeSettings
  readonly clock?: Clock
  readonly keepBlocks?: boolean
  readonly giveUpAfterMs?: number
  readonly policy?: UpdatePolicy
  readonly conditions?: Conditions
  readonly hooksFolder?: string
  /** Made in its home; folders when left out. */
  readonly slots?: (home: string) => Slots
  readonly onEvent?: (event: DeviceEvent) => void
  /** Changes a part on its way in. */
  readonly wrap?: (needs: DeviceNeeds) => DeviceNeeds
}

export interface RigDevice {
  /** Where its state is kept. */
  readonly home: string
  readonly node: RigNode
  readonly agent: DeviceAgent
  readonly slots: Slots
  readonly enrolled: Enrolled
  readonly events: DeviceEvent[]
  stop(): Promise<void>
}

/** A vendor, its gateway, seeds and devices: everything real but HTTP and the links between the nodes. */
export async function createDeviceFleet(): Promise<DeviceFleet> {
  const rig = await createRig()
  const folder = await mkdtemp(join(tmpdir(), 'ioex-fleet-'))
  const signer = createIdentity(generateSeed(systemRandom))
  const vendor = createFakeVendor({ clock: systemClock }, { name: 'fleet' })
  const gateway = createFakeGateway({
    clock: systemClock,
    vendor,
    signer,
    domain: DOMAIN,
    networkFile: emptyNetworkFile(),
  })
  gateway.codes.set('7F3K-92QD', MODEL)
  const seeds: RigNode[] = []
  const recipients = new Set<string>()
  const devices = new Set<RigDevice>()
  const identity = createIdentity(generateSeed(systemRandom))
  recipients.add(identity.ageRecipient)

  return {
    vendor,
    signer,
    gateway,
    folder,
    async seed(settings = {}) {
      const seed = await rig.node(settings)
      seeds.push(seed)
      gateway.sources.push(seed.source)
      return seed
    },
    identity,
    async publish(image, version, publishOptions = {}) {
      const before = new Set(vendor.blocks.keys())
      const { packed, target } = await vendor.publish(image, {
        model: MODEL,
        version,
        ...publishOptions,
      })
      const root = packed.root.toString()
      const digest = toHex(packed.root.multihash.digest)
      gateway.releases.set(root, {
        root,
        digest,
        sealedBytes: packed.sealedBytes + packed.rootBytes.byteLength,
        wrap: await wrapReleaseKey(packed.releaseKey, [...recipients]),
        deltas: target.deltas,
      })
      const untilS = unixSeconds(systemClock) + 3_600
      for (const seed of seeds) {
        await keepOn(seed, vendor, packed, before)
        seed.serverBook.trust(digest, [signer.evmAddress], untilS)
        for (const { deltaRoot } of target.deltas) {
          await keepAll(seed, vendor, deltaRoot)
          seed.serverBook.trust(toHex(deltaRoot.multihash.digest), [signer.evmAddress], untilS)
        }
      }
      return { root, sealedBytes: packed.sealedBytes, sha256: toHex(packed.imageHash) }
    },
    async device(settings = {}) {
      const home = join(folder, 'device')
      const node = await rig.node({
        serve: false,
        acceptPins: false,
        identity,
        folder: join(home, 'node'),
        ...settings.node,
      })
      const device = await createRigDevice({ gateway, node, home }, settings)
      const tracked = {
        ...device,
        async stop() {
          devices.delete(tracked)
          await device.agent.stop()
          await node.stop()
        },
      }
      devices.add(tracked)
      return tracked
    },
    async stop() {
      for (const device of devices) await device.stop()
      await rig.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The agent of a device on a node that runs, enrolled at first. */
export async function createRigDevice(
  parts: { readonly gateway: FakeGateway; readonly node: RigNode; readonly home: string },
  settings: DeviceSettings = {},
): Promise<Omit<RigDevice, 'stop'>> {
  const { gateway, node, home } = parts
  const clock = settings.clock ?? systemClock
  const api = createGatewayClient({ clock, fetch: gateway.fetch }, { gateway: gateway.url })
  const { identity } = node
  const enrolled =
    (await readEnrollment(home, { clock })) ??
    (await enrollDevice(
      { identity, api, clock },
      { folder: home, gateway: gateway.url, code: '7F3K-92QD' },
    ))
  const { enrollment } = enrolled
  const slots = settings.slots?.(home) ?? createSlots(join(home, 'slots'))
  const events: DeviceEvent[] = []
  const needs: DeviceNeeds = {
    identity,
    api,
    exchange: node.exchange,
    storage: node.storage,
    deviceBook: node.deviceBook,
    releases: createGatewayReleases({ api, clock, log: silentLog }, { folder: home, enrollment }),
    slots,
    installer: createInstaller({ slots, clock }, settings),
    clock,
    random: systemRandom,
    log: silentLog,
    conditions: settings.conditions ?? createSystemConditions({ clock }),
    onEvent(event) {
      events.push(event)
      settings.onEvent?.(event)
    },
  }
  const { keepBlocks, giveUpAfterMs, policy, hooksFolder } = settings
  const agent = await createDeviceAgent(settings.wrap?.(needs) ?? needs, {
    folder: home,
    vendor: enrollment.vendor,
    model: enrollment.model,
    ...(keepBlocks === undefined ? {} : { keepBlocks }),
    ...(giveUpAfterMs === undefined ? {} : { giveUpAfterMs }),
    ...(policy === undefined ? {} : { policy }),
    hooksFolder,
  })
  return { home, node, agent, slots, enrolled, events }
}

/** All blocks below a root, as whoever has no key for them finds them. */
async function keepAll(seed: RigNode, vendor: FakeVendor, root: CID): Promise<void> {
  const pin = await seed.storage.pins.open(root)
  const waiting = [root]
  for (let cid = waiting.pop(); cid !== undefined; cid = waiting.pop()) {
    const bytes = await vendor.getBlock(cid)
    await pin.add([{ cid, bytes }])
    if (cid.code === dagCbor.code) waiting.push(...linksOf(dagCbor.decode(bytes)))
  }
  await pin.commit({ owner: 'order:test' })
}

function linksOf(value: unknown): CID[] {
  const cid = CID.asCID(value)
  if (cid !== null) return [cid]
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return []
  return Object.values(value).flatMap(linksOf)
}

async function keepOn(
  seed: RigNode,
  vendor: FakeVendor,
  packed: Awaited<ReturnType<FakeVendor['publish']>>['packed'],
  before: ReadonlySet<string>,
): Promise<void> {
  const pin = await seed.storage.pins.open(packed.root)
  const fresh = [{ cid: packed.root, bytes: packed.rootBytes }]
  for await (const { cid } of treeBlocks(packed.tree, vendor.getBlock)) {
    if (before.has(cid.toString()) && (await pin.adopt(cid))) continue
    fresh.push({ cid, bytes: await vendor.getBlock(cid) })
  }
  await pin.add(fresh)
  await pin.commit({ owner: 'order:test' })
}
