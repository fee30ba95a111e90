/**
 * A seed in a process of its own, for tests that kill it, measure it or have it misbehave. It keeps a tree that
 * it makes from the task's seed, tells its parent where it is, and answers `figures` with what it costs.
 */
import { createNode } from '@ioex/node'
import { GIB, silentLog, systemClock, systemRandom, toHex, unixSeconds } from '@ioex/node/base'
import { createIdentity, type EvmAddress } from '@ioex/node/identity'
import {
  EXCHANGE_WIRE,
  emptyNetworkFile,
  makeTree,
  seededRandom,
  type Tree,
} from '@ioex/node/testing'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Misbehaviour, misbehave } from './misbehaviour.ts'

export interface TreeTask {
  readonly name: string
  readonly chunks: number
  readonly chunkBytes: number
}

export interface SeedTask {
  readonly home: string
  readonly seedHex: string
  readonly vendor: EvmAddress
  readonly tree: TreeTask
  readonly misbehaviour?: Misbehaviour
  readonly maxUploadBytesPerSecond?: number
  /** PeerIds that are let in over both wires, as a knock would. */
  readonly admitted?: readonly string[]
}

/** What a knock over HTTP would have given: hexadecimal. */
export interface Pass {
  readonly session: string
  readonly key: string
}

export interface SeedFigures {
  readonly rssBytes: number
  readonly heapBytes: number
  /** Buffers outside of the heap. */
  readonly bufferBytes: number
  readonly served: { readonly blocks: number; readonly bytes: number; readonly streams: number }
  /** Of a misbehaving seed: streams opened to it, and bad answers given. */
  readonly streams: number
  readonly badAnswers: number
}

export function treeOf({ name, chunks, chunkBytes }: TreeTask): Tree {
  return makeTree(chunks, chunkBytes, seededRandom(name))
}

if (import.meta.main) {
  await runSeed(JSON.parse(process.argv[2] ?? '{}') as SeedTask)
}

async function runSeed(task: SeedTask): Promise<void> {
  const tree = treeOf(task.tree)
  const node = await createNode(
    { identity: createIdentity(Uint8Array.fromHex(task.seedHex)), log: silentLog },
    {
      home: task.home,
      role: 'seed',
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      httpListen: { host: '127.0.0.1', port: 0 },
      quotaBytes: GIB,
      acceptPins: false,
      ...(task.maxUploadBytesPerSecond === undefined
        ? {}
        : { maxUploadBytesPerSecond: task.maxUploadBytesPerSecond }),
    },
  )
  if ((await node.storage.pins.get(tree.root)) === undefined) {
    const pin = await node.storage.pins.open(tree.root)
    await pin.add(tree.blocks)
    await pin.commit({ owner: 'order:test' })
  }
  const until = unixSeconds(systemClock) + 3600
  node.serverBook.trust(toHex(tree.root.multihash.digest), [task.vendor], until)
  for (const peer of task.admitted ?? []) node.gate.admit(peerIdFromString(peer), until * 1000)
  const passes = Object.fromEntries(
    (task.admitted ?? []).map((peer) => {
      const key = systemRandom.bytes(32)
      const guest = { peerId: peerIdFromString(peer), key, endsMs: until * 1000 }
      const session = node.network.openHttpSession(guest)
      return [peer, { session: session?.toHex() ?? '', key: key.toHex() }]
    }),
  )
  const record = { streams: 0, badAnswers: 0 }
  if (task.misbehaviour !== undefined) {
    const contents = new Map(
      tree.blocks.map(({ cid, bytes }) => [cid.multihash.digest.toHex(), bytes]),
    )
    await node.network.handle(
      EXCHANGE_WIRE.protocol,
      EXCHANGE_WIRE,
      misbehave(task.misbehaviour, contents, record),
    )
  }
  process.on('message', (message: { figures?: { collect: boolean } }) => {
    if (message.figures === undefined) return
    if (message.figures.collect) globalThis.gc?.()
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
    const served = node.exchange.served()
    const figures: SeedFigures = {
      rssBytes: rss,
      heapBytes: heapUsed,
      bufferBytes: arrayBuffers,
      served,
      ...record,
    }
    process.send?.({ figures })
  })
  process.on('disconnect', () => process.exit(0))
  process.send?.({
    ready: {
      peerId: node.identity.peerId.toString(),
      http: node.network.httpUrl ?? '',
      multiaddrs: node.network.addresses().direct.map(String),
      passes,
    },
  })
}
