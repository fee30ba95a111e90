import type { PeerId } from '@libp2p/interface'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import {
  MIB,
  type Startable,
  silentLog,
  stopAll,
  systemClock,
  systemRandom,
  toHex,
  unixSeconds,
} from '../base/index.ts'
import { createIdentity, generateSeed, type Identity } from '../identity/index.ts'
import {
  createDeviceBook,
  createServerBook,
  type DeviceBook,
  type Grant,
  type LedgerDomain,
  type ServerBook,
  type SignedGrant,
  serviceId,
  signGrant,
} from '../receipts/index.ts'
import { createStorage, type FileLayer, type Storage } from '../storage/index.ts'
import type { Lan } from '../network/index.ts'
import {
  createExchange,
  type Exchange,
  type ExchangeOptions,
  type Source,
} from '../exchange/index.ts'
import { createMemoryNetwork, type MemoryLink, type MemoryNode } from './memory-network.ts'
import type { Tree } from './trees.ts'

export { blockOf, makeTree, type Tree } from './trees.ts'

export const DOMAIN: LedgerDomain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
}
export const vendor = createIdentity(generateSeed(systemRandom))

export interface RigNode {
  readonly identity: Identity
  readonly folder: string
  readonly net: MemoryNode
  readonly storage: Storage
  readonly serverBook: ServerBook
  readonly deviceBook: DeviceBook
  readonly exchange: Exchange
  readonly source: Source
  befriend(other: RigNode): void
  stop(): Promise<void>
}

export interface NodeSettings extends Partial<ExchangeOptions> {
  readonly link?: MemoryLink
  readonly quotaBytes?: number
  /** The disk; the system's when left out. */
  readonly files?: FileLayer
  /** With these a node starts again where it was. */
  readonly identity?: Identity
  readonly folder?: string
  readonly friends?: ReadonlySet<string>
  /** Whom it finds without a seed. */
  readonly lan?: Lan
}

/** Whole nodes over a memory network: real stores, real books, real exchange; gates that know friends. */
export async function createRig() {
  const parent = await mkdtemp(join(tmpdir(), 'ioex-exchange-'))
  const network = createMemoryNetwork({ clock: systemClock })
  const running = new Set<RigNode>()
  let count = 0

  const node = async (settings: NodeSettings = {}): Promise<RigNode> => {
    const { link, files, lan, quotaBytes = 256 * MIB, ...options } = settings
    const identity = settings.identity ?? createIdentity(generateSeed(systemRandom))
    const folder = settings.folder ?? join(parent, `node-${count++}`)
    const net = network.join(identity, link)
    const base = { clock: systemClock, log: silentLog }
    const storage = createStorage(
      { ...base, ...(files === undefined ? {} : { files }) },
      { folder: join(folder, 'blocks'), quotaBytes },
    )
    const serverBook = createServerBook({
      ...base,
      domain: DOMAIN,
      server: identity.evmAddress,
      folder: join(folder, 'server-book'),
    })
    const deviceBook = createDeviceBook({
      ...base,
      domain: DOMAIN,
      identity,
      folder: join(folder, 'device-book'),
    })
    const friends = new Map<string, PeerId>()
    const exchange = createExchange(
      {
        ...base,
        network: net,
        gate: { isFriend: (peer) => friends.has(peer.toString()), admit: () => undefined },
        friends: {
          knock: async () => ({ ok: true, value: { addresses: [] } }),
          list: () =>
            [...friends.values()].map((peerId) => ({
              peerId,
              name: peerId.toString(),
              sinceMs: 0,
              multiaddrs: [],
            })),
        },
        storage,
        serverBook,
        deviceBook,
        identity,
        domain: DOMAIN,
        lan,
        random: systemRandom,
        // Found by PeerId in the memory network.
        reach: () => ({ multiaddrs: [], http: undefined }),
      },
      { serve: true, acceptPins: true, ...options },
    )
    const started: Startable[] = []
    try {
      for (const part of [storage, serverBook, deviceBook, exchange]) {
        await part.start()
        started.unshift(part)
      }
    } catch (thrown) {
      // On a disk that fails: what has started holds files of it.
      await stopAll(started).catch(() => undefined)
      throw thrown
    }
    const made: RigNode & { readonly friends: Map<string, PeerId> } = {
      identity,
      folder,
      net,
      storage,
      serverBook,
      deviceBook,
      exchange,
      friends,
      source: { peerId: identity.peerId, multiaddrs: [] },
      befriend(other) {
        friends.set(other.identity.peerId.toString(), other.identity.peerId)
        const back = other as typeof made
        back.friends.set(identity.peerId.toString(), identity.peerId)
      },
      async stop() {
        running.delete(made)
        await exchange.stop()
        await serverBook.stop()
        await deviceBook.stop()
        await storage.stop()
      },
    }
    running.add(made)
    return made
  }
  return {
    network,
    node,
    /** A seed that keeps this tree and honours the vendor's grants for it. */
    async seed(tree: Tree, settings: NodeSettings = {}): Promise<RigNode> {
      const made = await node(settings)
      await keep(made, tree)
      return made
    },
    async stop() {
      for (const each of running) await each.stop()
      await rm(parent, { recursive: true, force: true })
    },
  }
}

export async function keep(node: RigNode, tree: Tree, owner = 'order:test'): Promise<void> {
  const pin = await node.storage.pins.open(tree.root)
  await pin.add(tree.blocks)
  await pin.commit({ owner })
  trust(node, tree)
}

export function trust(node: RigNode, tree: Pick<Tree, 'root'>): void {
  const until = unixSeconds(systemClock) + 3600
  node.serverBook.trust(digestOf(tree.root), [vendor.evmAddress], until)
}

export function digestOf(cid: CID): `0x${string}` {
  return toHex(cid.multihash.digest)
}

let serial = 0n

export function grantFor(
  device: RigNode,
  tree: Pick<Tree, 'root' | 'bytes'>,
  change: Partial<Grant> = {},
): SignedGrant {
  const now = unixSeconds(systemClock)
  return signGrant(vendor, DOMAIN, {
    vendor: vendor.evmAddress,
    device: device.identity.evmAddress,
    root: digestOf(tree.root),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(Math.ceil(1.1 * tree.bytes) + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3600,
    serial: serial++,
    ...change,
  })
}
