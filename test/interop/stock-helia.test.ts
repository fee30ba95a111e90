/**
 * A Helia node as npm has it, with bitswap and nothing of ours, that was made a friend: it gets whole trees
 * that were shared with it, and nothing else. A stranger does not get past the handshake, and a peer that is
 * let in by a grant gets nothing over bitswap.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { createNode } from '@ioex/node'
import { MIB, silentLog, systemClock, systemRandom } from '@ioex/node/base'
import { createIdentity, generateSeed } from '@ioex/node/identity'
import { emptyNetworkFile, makeTree, type Tree } from '@ioex/node/testing'
import * as dagCbor from '@ipld/dag-cbor'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createHeliaLight } from 'helia'
import type { CID } from 'multiformats/cid'

const RAW = 0x55

const home = await mkdtemp(join(tmpdir(), 'ioex-stock-helia-'))
const node = await createNode(
  { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
  {
    home,
    role: 'peer',
    nospam: () => new Uint8Array(4),
    networkFile: emptyNetworkFile(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    quotaBytes: 256 * MIB,
    acceptPins: false,
  },
)
after(async () => {
  await node.stop()
  await rm(home, { recursive: true })
})

async function keep(tree: Tree): Promise<void> {
  const pin = await node.storage.pins.open(tree.root)
  await pin.add(tree.blocks)
  await pin.commit({ owner: 'test' })
}

async function stockHelia() {
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight({ codecs: [dagCbor] }), {
      addresses: { listen: [] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    }),
  )
  await helia.start()
  return helia
}
type Stock = Awaited<ReturnType<typeof stockHelia>>

async function walk(helia: Stock, root: CID, signal: AbortSignal): Promise<number> {
  let bytes = 0
  const rest = [root]
  for (let cid = rest.pop(); cid !== undefined; cid = rest.pop()) {
    for await (const part of helia.blockstore.get(cid, { signal })) {
      bytes += part.byteLength
      if (cid.code === RAW) continue
      const value: { tree?: CID[]; links?: CID[] } = dagCbor.decode(part)
      rest.push(...(value.tree ?? value.links ?? []))
    }
  }
  return bytes
}

test('a stock Helia node that is a friend gets a whole shared tree over bitswap, and no other', async () => {
  const tree = makeTree(64)
  const secret = makeTree(4)
  await keep(tree)
  await keep(secret)
  const stock = await stockHelia()
  try {
    node.friends.add(stock.libp2p.peerId, { name: 'stock' })
    node.exchange.share(tree.root, stock.libp2p.peerId)
    await stock.libp2p.dial([...node.network.addresses().direct])
    const bytes = await walk(stock, tree.root, AbortSignal.timeout(30_000))
    assert.equal(
      bytes,
      tree.blocks.reduce((sum, block) => sum + block.bytes.byteLength, 0),
    )
    await assert.rejects(walk(stock, secret.root, AbortSignal.timeout(2_000)))
  } finally {
    await stock.stop()
  }
})

test('a stock Helia node that is let in, but is no friend, gets nothing over bitswap', async () => {
  const tree = makeTree(4)
  await keep(tree)
  const stock = await stockHelia()
  try {
    node.gate.admit(stock.libp2p.peerId, systemClock.nowMs() + 60_000)
    node.exchange.share(tree.root, stock.libp2p.peerId)
    await stock.libp2p.dial([...node.network.addresses().direct])
    await assert.rejects(walk(stock, tree.root, AbortSignal.timeout(2_000)))
  } finally {
    await stock.stop()
  }
})

test('a stranger does not get past the handshake', async () => {
  const stock = await stockHelia()
  try {
    const isCut = (async () => {
      const connection = await stock.libp2p.dial([...node.network.addresses().direct])
      await connection.newStream('/ipfs/bitswap/1.2.0', { signal: AbortSignal.timeout(2_000) })
    })()
    await assert.rejects(isCut)
  } finally {
    await stock.stop()
  }
})

test('our Helia reads what a friend shares, by our broker', async () => {
  const tree = makeTree(8)
  const folder = await mkdtemp(join(tmpdir(), 'ioex-helia-friend-'))
  const friend = await createNode(
    { identity: createIdentity(generateSeed(systemRandom)), log: silentLog },
    {
      home: folder,
      role: 'peer',
      nospam: () => new Uint8Array(4),
      networkFile: emptyNetworkFile(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      quotaBytes: 64 * MIB,
      acceptPins: false,
    },
  )
  try {
    await keep(tree)
    const here = { name: 'here', multiaddrs: node.network.addresses().direct }
    friend.friends.add(node.identity.peerId, here)
    node.friends.add(friend.identity.peerId, { name: 'friend' })
    node.exchange.share(tree.root, friend.identity.peerId)
    const { helia } = friend
    assert.ok(helia !== undefined)
    for (const { cid, bytes } of tree.blocks.toReversed()) {
      const parts: Uint8Array[] = await Array.fromAsync(
        helia.blockstore.get(cid, { signal: AbortSignal.timeout(10_000) }),
      )
      assert.deepEqual(new Uint8Array(Buffer.concat(parts)), new Uint8Array(bytes))
    }
  } finally {
    await friend.stop()
    await rm(folder, { recursive: true })
  }
})
