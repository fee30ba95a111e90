/**
 * What stock Helia 7.1.15 with @helia/bitswap 4.0.19 does, and why blocks are not fetched with it here. Each
 * test fails once upstream has mended the fault; node/exchange can then be weighed against it again. The same
 * situations pass with our exchange: node/exchange/faults.test.ts and serving.test.ts.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { concat, KIB, systemClock } from '@ioex/node/base'
import { blockOf, makeTree } from '@ioex/node/testing'
import * as dagCbor from '@ipld/dag-cbor'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { MemoryBlockstore } from 'blockstore-core'
import { createHeliaLight } from 'helia'
import type { CID } from 'multiformats/cid'

const RAW = 0x55
const SEEDS = 4

async function stockNode() {
  let served = 0
  class CountingBlockstore extends MemoryBlockstore {
    override get(...args: Parameters<MemoryBlockstore['get']>) {
      served++
      return super.get(...args)
    }
  }
  const blockstore = new CountingBlockstore()
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight({ blockstore, codecs: [dagCbor] }), {
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionManager: { inboundConnectionThreshold: 1_000 },
      services: { identify: identify() },
    }),
  )
  await helia.start()
  return { helia, blockstore, served: () => served }
}
type Stock = Awaited<ReturnType<typeof stockNode>>

/** Seeds that all have every block, and a client that is connected with each. */
async function swarm(blocks: ReturnType<typeof makeTree>['blocks']) {
  const seeds = await Promise.all(Array.from({ length: SEEDS }, stockNode))
  for (const { blockstore } of seeds) {
    for (const { cid, bytes } of blocks) await blockstore.put(cid, bytes)
  }
  const client = await stockNode()
  for (const { helia } of seeds) await client.helia.libp2p.dial(helia.libp2p.getMultiaddrs())
  // Bitswap hears of a peer once identify has told its protocols.
  await systemClock.sleep(500)
  const stop = async () => {
    for (const { helia } of [client, ...seeds]) await helia.stop()
  }
  return { seeds, client, stop }
}

async function get(store: Pick<Stock['helia']['blockstore'], 'get'>, cid: CID, waitMs: number) {
  const parts = store.get(cid, { signal: AbortSignal.timeout(waitMs) })
  return Buffer.concat(await Array.fromAsync(parts))
}

test('upstream: a session of Helia breaks with its first peer, although three others have every block', async () => {
  const tree = makeTree(16)
  const { seeds, client, stop } = await swarm(tree.blocks)
  try {
    const session = client.helia.blockstore.createSession(tree.root, {
      providers: seeds.map(({ helia }) => helia.libp2p.peerId.toCID()),
      minProviders: SEEDS,
      maxProviders: SEEDS,
    })
    await get(session, tree.root, 5_000)
    const before = seeds.map((seed) => seed.served())
    for (const cid of tree.leaves.slice(0, 4)) await get(session, cid, 5_000)
    const busiest = seeds.toSorted((a, b) => {
      const since = (seed: Stock) => seed.served() - (before[seeds.indexOf(seed)] ?? 0)
      return since(b) - since(a)
    })[0]
    await busiest?.helia.stop()
    await assert.rejects(
      Promise.all(tree.leaves.slice(4).map((cid) => get(session, cid, 5_000))),
      'Helia sessions survive the loss of a peer now (abstract-session.ts used to evict all others)',
    )
  } finally {
    await stop()
  }
})

test('upstream: without a session every peer of Helia sends every block', async () => {
  const tree = makeTree(16)
  const { seeds, client, stop } = await swarm(tree.blocks)
  try {
    for (const { cid } of tree.blocks) await get(client.helia.blockstore, cid, 5_000)
    await systemClock.sleep(500)
    const served = seeds.reduce((sum, seed) => sum + seed.served(), 0)
    assert.ok(
      served >= 2 * tree.blocks.length,
      `${served} blocks were sent for ${tree.blocks.length}: Helia no longer asks everybody for everything`,
    )
  } finally {
    await stop()
  }
})

test('upstream: a block that is asked of Helia before it is stored does not come when it is', async () => {
  const { cid, bytes } = blockOf(new Uint8Array(64 * KIB).fill(7), RAW)
  const { seeds, client, stop } = await swarm([])
  try {
    const asking = get(client.helia.blockstore, cid, 4_000)
    const isLate = assert.rejects(
      asking,
      'Helia sends what was asked for before it was stored now (storage.ts announced before it put)',
    )
    await systemClock.sleep(500)
    for (const { helia } of seeds) await helia.blockstore.put(cid, bytes)
    await isLate
  } finally {
    await stop()
  }
})

test('upstream: bitswap reads everything that a peer wants into memory at once, whether it reads or not', async () => {
  const tree = makeTree(200, 64 * KIB)
  const { seeds, client, stop } = await swarm(tree.blocks)
  const [seed] = seeds
  try {
    assert.ok(seed !== undefined)
    const before = seed.served()
    const entries = tree.leaves.map((cid) => field(1, concat([field(1, cid.bytes), ANY_PRIORITY])))
    const message = field(1, concat(entries))
    const [connection] = client.helia.libp2p.getConnections(seed.helia.libp2p.peerId)
    const stream = await connection?.newStream('/ipfs/bitswap/1.2.0')
    // From now on it takes no stream of the answer.
    await client.helia.libp2p.unhandle('/ipfs/bitswap/1.2.0')
    stream?.send(concat([varint(message.byteLength), message]))
    await systemClock.sleep(2_000)
    const read = seed.served() - before
    assert.ok(
      read >= tree.leaves.length,
      `${read} of ${tree.leaves.length} blocks were read: bitswap answers in pieces now (ledger.ts used to build ` +
        'one message of all wants); BITSWAP_MAX_WANTS of node/exchange/limits.ts may grow',
    )
  } finally {
    await stop()
  }
})

/** The protocol buffers of bitswap: a field with a length, and a priority of 1. */
const ANY_PRIORITY = new Uint8Array([16, 1])

function field(number: number, bytes: Uint8Array): Uint8Array {
  return concat([new Uint8Array([(number << 3) | 2]), varint(bytes.byteLength), bytes])
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest >>= 7) bytes.push((rest & 127) | 128)
  return new Uint8Array([...bytes, rest])
}
