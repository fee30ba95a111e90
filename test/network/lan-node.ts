/**
 * A node in a process and a network namespace of its own, which does what it is told over the channel to its
 * parent: fetches of releases, and what it heard of on its network.
 */
import { createSocket } from 'node:dgram'
import { createNode, type IoexNode } from '@ioex/node'
import {
  KIB,
  type Log,
  MIB,
  silentLog,
  systemClock,
  systemRandom,
  toHex,
  unixSeconds,
} from '@ioex/node/base'
import type { FetchReport } from '@ioex/node/exchange'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import { serviceId, signGrant } from '@ioex/node/receipts'
import { emptyNetworkFile, makeTree, seededRandom, type Tree } from '@ioex/node/testing'
import { peerIdFromString } from '@libp2p/peer-id'

export interface Place {
  readonly peerId: string
  readonly publicKey: string
  readonly http: string
}

export type Task =
  | {
      readonly do: 'start'
      readonly role: 'seed' | 'device'
      readonly home: string
      readonly ip: string
      /** `deaf`: something else on its machine has the port of the beacons. */
      readonly lan: 'on' | 'off' | 'deaf'
    }
  /** A seed keeps them. */
  | { readonly do: 'keep'; readonly releases: readonly string[] }
  | { readonly do: 'fetch'; readonly release: string; readonly from: Place }
  | { readonly do: 'tell' }

export type Answer =
  | { readonly done: 'start'; readonly place: Place }
  /** Digests of their roots. */
  | { readonly done: 'keep'; readonly roots: readonly string[] }
  | { readonly done: 'fetch'; readonly ms: number; readonly sources: FetchReport['sources'] }
  /** PeerIds found on the local network, and what it complained about. */
  | {
      readonly done: 'tell'
      readonly found: readonly string[]
      readonly complaints: readonly string[]
    }

const RELEASE_BLOCKS = 128
const vendor = createIdentity(seededRandom('vendor').bytes(32))
const found: string[] = []
const complaints: string[] = []
const log: Log = {
  ...silentLog,
  debug({ peer }, message) {
    if (message === 'a fellow on the local network') found.push(String(peer))
  },
  info: (_fields, message) => complaints.push(message),
  warn: (_fields, message) => complaints.push(message),
  error: (_fields, message) => complaints.push(message),
  child: () => log,
}
let node: IoexNode | undefined

/** The same in every process. */
function releaseOf(name: string): Tree {
  return makeTree(RELEASE_BLOCKS, 64 * KIB, seededRandom(name))
}

async function start({ role, home, ip, lan }: Task & { do: 'start' }): Promise<Place> {
  if (lan === 'deaf') createSocket('udp4').bind(41_839)
  const identity = createIdentity(generateSeed(systemRandom))
  node = await createNode(
    { identity, log },
    {
      home,
      role,
      ...(lan === 'off' ? { lan: false } : {}),
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: [`/ip4/0.0.0.0/tcp/0`],
      httpListen: { host: '0.0.0.0', port: 0 },
      quotaBytes: 256 * MIB,
      acceptPins: false,
    },
  )
  const { port } = new URL(node.network.httpUrl ?? '')
  return {
    peerId: identity.peerId.toString(),
    publicKey: identity.publicKey.toHex(),
    http: `http://${ip}:${port}`,
  }
}

async function keep(running: IoexNode, releases: readonly string[]): Promise<string[]> {
  const roots: string[] = []
  for (const name of releases) {
    const { root, blocks } = releaseOf(name)
    const pin = await running.storage.pins.open(root)
    await pin.add(blocks)
    await pin.commit({ owner: 'order:test' })
    const until = unixSeconds(systemClock) + 3_600
    running.serverBook.trust(toHex(root.multihash.digest), [vendor.evmAddress], until)
    roots.push(root.multihash.digest.toHex())
  }
  return roots
}

async function fetch(running: IoexNode, release: string, from: Place) {
  const tree = releaseOf(release)
  const now = unixSeconds(systemClock)
  const grant = signGrant(vendor, emptyNetworkFile().ledger, {
    vendor: vendor.evmAddress,
    device: running.identity.evmAddress,
    root: toHex(tree.root.multihash.digest),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: BigInt(2 * tree.bytes + MIB),
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: now - 60,
    notAfter: now + 3_600,
    serial: 1n,
  })
  const startMs = performance.now()
  const pin = await running.storage.pins.open(tree.root)
  const session = running.exchange.openSession({
    root: tree.root,
    grant,
    sources: [{ peerId: peerIdFromString(from.peerId), multiaddrs: [], http: from.http }],
    pin,
    giveUpAfterMs: 20_000,
  })
  await session.get(tree.root)
  for (const held of await Promise.all(tree.blocks.map(({ cid }) => session.fetch(cid)))) {
    held?.release()
  }
  const ms = performance.now() - startMs
  await session.close()
  await pin.commit({ owner: 'install' })
  return { ms, sources: session.report().sources }
}

async function perform(task: Task): Promise<Answer> {
  if (task.do === 'start') return { done: 'start', place: await start(task) }
  if (task.do === 'tell') return { done: 'tell', found, complaints }
  if (node === undefined) throw new Error('it was not started')
  if (task.do === 'fetch') return { done: 'fetch', ...(await fetch(node, task.release, task.from)) }
  return { done: 'keep', roots: await keep(node, task.releases) }
}

process.on('message', (task: Task) => {
  void perform(task).then((answer) => process.send?.(answer))
})
// Nothing of it is needed again.
process.on('disconnect', () => process.exit())
