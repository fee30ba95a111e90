import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { MIB, silentLog, systemClock } from '@ioex/node/base'
import { createHeliaBlockstore, createStorage } from '@ioex/node/storage'
import * as dagCbor from '@ipld/dag-cbor'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'

interface Dag {
  readonly leaf: CID
  readonly a: CID
  readonly b: CID
  readonly blocks: readonly { readonly cid: CID; readonly bytes: Uint8Array }[]
}

/** Two roots that share one leaf. */
async function sharedLeaf(): Promise<Dag> {
  const leafBytes = new TextEncoder().encode('a leaf that two roots share')
  const leaf = CID.createV1(raw.code, await sha256.digest(leafBytes))
  const roots = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const bytes = dagCbor.encode({ name, links: [leaf] })
      return { cid: CID.createV1(dagCbor.code, await sha256.digest(bytes)), bytes }
    }),
  )
  const [a, b] = roots
  assert.ok(a !== undefined && b !== undefined)
  return { leaf, a: a.cid, b: b.cid, blocks: [...roots, { cid: leaf, bytes: leafBytes }] }
}

describe("Helia's own pins and garbage collection, beside ours", () => {
  test('upstream: stock Helia 7.1.15 deletes a leaf of a pinned root', async () => {
    const { leaf, a, b, blocks } = await sharedLeaf()
    const helia = createHeliaLight({ codecs: [dagCbor] })
    await helia.start()
    try {
      for (const { cid, bytes } of blocks) await helia.blockstore.put(cid, bytes)
      await Array.fromAsync(helia.pins.add(a))
      await Array.fromAsync(helia.pins.add(b))
      await Array.fromAsync(helia.pins.rm(a))
      await Array.fromAsync(helia.pins.add(a))
      await Array.fromAsync(helia.pins.rm(a))
      await helia.gc()
      const pinned = await Array.fromAsync(helia.pins.ls(), ({ cid }) => cid.toString())
      assert.deepEqual(pinned, [b.toString()])
      assert.equal(
        await helia.blockstore.has(leaf),
        false,
        'Helia has mended its pins: `rm` used to keep the entries it should take away (helia/src/pins.ts, ' +
          '`pinnedBy.filter`). The pin set of node/storage may then be weighed against it again.',
      )
    } finally {
      await helia.stop()
    }
  })

  test('our pin set keeps it, with Helia reading through our blockstore', async () => {
    const { leaf, a, b, blocks } = await sharedLeaf()
    const folder = await mkdtemp(join(tmpdir(), 'ioex-helia-pins-'))
    const storage = createStorage(
      { clock: systemClock, log: silentLog },
      { folder, quotaBytes: 16 * MIB },
    )
    await storage.start()
    const helia = createHeliaLight({
      blockstore: createHeliaBlockstore(storage.blocks),
      codecs: [dagCbor],
    })
    await helia.start()
    try {
      const add = async (root: CID) => {
        const session = await storage.pins.open(root)
        await session.add(blocks.filter(({ cid }) => cid.equals(root) || cid.equals(leaf)))
        await session.commit({ owner: 'me' })
      }
      await add(a)
      await add(b)
      await storage.pins.remove(a, 'me')
      await add(a)
      await storage.pins.remove(a, 'me')
      const { deletedBlocks } = await storage.collectGarbage()
      assert.equal(deletedBlocks, 1, 'the root a, and nothing else')
      const [read] = await Array.fromAsync(helia.blockstore.get(leaf))
      assert.deepEqual(read, blocks.at(-1)?.bytes)
      await assert.rejects(Array.fromAsync(helia.blockstore.get(a, { offline: true })), {
        name: 'BlockNotFoundWhileOfflineError',
      })
    } finally {
      await helia.stop()
      await storage.stop()
      await rm(folder, { recursive: true, force: true })
    }
  })
})
