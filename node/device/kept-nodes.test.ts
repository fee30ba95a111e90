import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { MIB, silentLog } from '../base/index.ts'
import { type GetBlock, PROFILE_64K } from '../chunks/index.ts'
import { openRelease, packRelease } from '../firmware/index.ts'
import { createMemoryBlocks, inPieces, noise } from '../testing/memory-blocks.ts'
import { createSlots } from './slots.ts'
import type { InstalledRelease, SlotName } from './types.ts'
import { type BlockSource, writeImage } from './write-image.ts'

const DAG_CBOR_CODEC = 0x71
const folder = await mkdtemp(join(tmpdir(), 'ioex-kept-nodes-'))
after(() => rm(folder, { recursive: true, force: true }))

const image = noise(24 * MIB, 1)
const fixed = Uint8Array.from(image)
fixed.set(noise(100, 2), 5 * MIB)

const store = createMemoryBlocks()
const releaseOf = async (bytes: Uint8Array, version: string) => {
  const packed = await packRelease(inPieces(bytes), store.put, {
    vendor: '0x00000000000000000000000000000000000000aa',
    model: 'pump',
    version,
    contentSecret: new Uint8Array(32),
    zstdLevel: 1,
    profile: PROFILE_64K,
  })
  return openRelease(packed.rootBytes, packed.releaseKey)
}
const releases = { first: await releaseOf(image, '1'), second: await releaseOf(fixed, '2') }

const running = (slot: SlotName): InstalledRelease => ({
  ...{ root: '', version: '1', sequence: 1, releaseKeyHash: '0x', sha256: '0x' },
  ...{ imageBytes: image.byteLength, slot, sinceMs: 0 },
})

/** A fresh device with the first release takes the second one; what it asked for. */
async function update(
  name: string,
  options: Pick<BlockSource, 'onReused'> & { readonly damage?: (home: string) => Promise<void> },
) {
  const home = join(folder, name)
  const slots = createSlots(home)
  let nodes = 0
  let chunks = 0
  const get: GetBlock = (cid, abort) => {
    if (cid.code === DAG_CBOR_CODEC) nodes++
    else chunks++
    return store.get(cid, abort)
  }
  const { damage, ...more } = options
  const source: BlockSource = {
    get,
    fetch: () => Promise.resolve(undefined),
    storedBytes: 0,
    ...more,
  }
  const events = { onProgress: () => undefined, onStaged: () => undefined }
  const target = { root: '', version: '', sequence: 1, releaseKeyHash: '0x' } as const
  const first = {
    target,
    release: releases.first,
    slot: 'a',
    installed: null,
    folder: home,
  } as const
  await writeImage({ slots, log: silentLog }, source, first, events)
  const whole = { nodes, chunks }
  nodes = chunks = 0
  await damage?.(home)
  const second = { ...first, release: releases.second, slot: 'b', installed: running('a') } as const
  await writeImage({ slots, log: silentLog }, source, second, events)
  return { whole, nodes, chunks }
}

test('a release costs a device its changed nodes, when it has let go of its blocks', async () => {
  const { whole, nodes, chunks } = await update('kept', {})
  assert.ok(whole.nodes > 10, `${whole.nodes} nodes`)
  assert.ok(nodes >= 2 && nodes <= 4, `${nodes} nodes for one place that changed`)
  assert.ok(chunks <= 3, `${chunks} chunks`)
})

test('nodes that the disk has lost or damaged are fetched again', async () => {
  const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
    lost: (path) => rm(path),
    empty: (path) => writeFile(path, ''),
    other: (path) => writeFile(path, noise(100_000, 3)),
    turned: async (path) => {
      const bytes = await readFile(path)
      // The entries follow the nodes and stay as they were.
      bytes.fill(0, 16, Number(bytes.readBigUInt64LE(8)))
      await writeFile(path, bytes)
    },
  }
  for (const [name, damage] of Object.entries(damages)) {
    const made = await update(name, { damage: (home) => damage(join(home, 'nodes-a.bin')) })
    assert.equal(made.nodes, made.whole.nodes, name)
    assert.ok(made.chunks <= 3, name)
  }
})

test('a device that keeps its blocks has the nodes among them, and asks there', async () => {
  const { whole, nodes } = await update('serving', { onReused: () => Promise.resolve() })
  assert.ok(nodes > whole.nodes / 2)
})
