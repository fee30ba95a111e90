import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import type { CID } from 'multiformats/cid'
import { KIB, MIB, silentLog } from '../base/index.ts'
import { type ChunkRef, PROFILE_64K, walkTree } from '../chunks/index.ts'
import { openRelease, packDelta, type PackedRelease, packRelease } from '../firmware/index.ts'
import { createMemoryBlocks, inPieces, noise } from '../testing/memory-blocks.ts'
import { createChunkIndex, openLocalChunks } from './chunk-index.ts'
import { openPatchSource } from './patch-source.ts'

const CONTENT_SECRET = new Uint8Array(32).fill(7)
const FIRST = noise(6 * MIB, 1)
/** No chunk is as it was, and none has changed much. */
const SECOND = FIRST.map((byte, at) => (at % 3_000 === 1_000 ? byte ^ 0x55 : byte))

const folder = await mkdtemp(join(tmpdir(), 'ioex-patch-source-'))
after(() => rm(folder, { recursive: true, force: true }))

const store = createMemoryBlocks()
const base = await pack(FIRST, '1')
const next = await pack(SECOND, '2')
const delta = await packDelta({ base: endOf(base), next: endOf(next) }, store, {
  contentSecret: CONTENT_SECRET,
  releaseKey: next.releaseKey,
  zstdLevel: 3,
})
/** The chunks of the second image, and where each begins. */
const chunks: { readonly chunk: number; readonly ref: ChunkRef; readonly offset: number }[] = []
for await (const ref of walkTree(next.tree, store.get)) {
  const { offset, ref: before } = chunks.at(-1) ?? { offset: 0, ref: { plainBytes: 0 } }
  chunks.push({ chunk: chunks.length, ref, offset: offset + before.plainBytes })
}

function pack(image: Uint8Array, version: string): Promise<PackedRelease> {
  return packRelease(inPieces(image), store.put, {
    vendor: '0x00000000000000000000000000000000000000be',
    model: 'pump-s3',
    version,
    contentSecret: CONTENT_SECRET,
    zstdLevel: 1,
    profile: PROFILE_64K,
  })
}

function endOf({ root, rootBytes, releaseKey }: PackedRelease) {
  return { root, release: openRelease(rootBytes, releaseKey) }
}

/** The image as a device has it, `installed` being what its index was made of. */
async function localChunks(image: Uint8Array, installed: Uint8Array) {
  const path = join(folder, 'image')
  await writeFile(path, image)
  const index = createChunkIndex()
  for (let offset = 0; offset < installed.byteLength; offset += 64 * KIB) {
    const plain = installed.subarray(offset, offset + 64 * KIB)
    const plainHash = createHash('sha256').update(plain).digest()
    index.add({ offset, bytes: plain.byteLength, plainHash })
    index.note(index.length - 1, crc32(plain))
  }
  await index.save(`${path}.idx`)
  const local = await openLocalChunks(path, `${path}.idx`)
  assert.ok(local !== undefined)
  return local
}

/** Makes what can be made of that image; tells the chunks that cannot, and what was fetched. */
async function made(image: Uint8Array, installed = image) {
  assert.ok(delta !== undefined)
  const { signal } = new AbortController()
  const fetched = new Map<string, number>()
  const get = async (cid: CID) => {
    const bytes = await store.get(cid)
    fetched.set(cid.toString(), bytes.byteLength)
    return Uint8Array.from(bytes)
  }
  const local = await localChunks(image, installed)
  const missing: number[] = []
  try {
    const source = await openPatchSource(
      { blocks: { get, fetch: get }, local, log: silentLog },
      {
        root: delta.root,
        ends: { base: base.root, release: next.root },
        releaseKey: next.releaseKey,
      },
      { signal },
    )
    for (const to of chunks) {
      const plain = (await source.fetch(to.chunk, signal))
        ? await source.make(to, signal)
        : undefined
      if (plain === undefined) missing.push(to.chunk)
      else {
        const wanted = SECOND.subarray(to.offset, to.offset + to.ref.plainBytes)
        assert.ok(Buffer.from(plain.bytes).equals(wanted))
        plain.release()
      }
    }
  } finally {
    await local.close()
  }
  return { missing, fetchedBytes: fetched.values().reduce((sum, bytes) => sum + bytes, 0) }
}

const changedAt = (image: Uint8Array, ...places: readonly number[]) => {
  const changed = Uint8Array.from(image)
  for (const at of places) changed[at] = (changed[at] ?? 0) ^ 1
  return changed
}

describe('the patches of a device', () => {
  test('make every chunk of the image that they lead from', async () => {
    const { missing, fetchedBytes } = await made(FIRST)
    assert.deepEqual(missing, [])
    assert.equal(fetchedBytes, delta?.deltaBytes)
  })

  test('that make other bytes count once each, however many chunks they make', async () => {
    // The index agrees with these images: they are other ones than the publisher had.
    const { missing } = await made(changedAt(FIRST, 100 * KIB, 150 * KIB, 2 * MIB))
    assert.ok(missing.length >= 2, `${missing.length} chunks are to be fetched`)
    const everywhere = Array.from({ length: 12 }, (_, index) => index * 512 * KIB + 200)
    await assert.rejects(made(changedAt(FIRST, ...everywhere)), { code: 'delta-useless' })
  })

  test('are left alone where the image is not as it was installed, before they are fetched', async () => {
    const { missing } = await made(changedAt(FIRST, 3 * MIB), FIRST)
    assert.ok(missing.length > 0 && missing.length < chunks.length)
    const everywhere = Array.from({ length: 12 }, (_, index) => index * 512 * KIB + 200)
    const damaged = await made(changedAt(FIRST, ...everywhere), FIRST)
    assert.equal(damaged.missing.length, chunks.length)
    assert.ok(damaged.fetchedBytes < 0.01 * SECOND.byteLength, 'the lists only')
    const short = await made(FIRST.subarray(0, 5 * MIB), FIRST)
    assert.ok(short.missing.length > 0 && short.missing.length < chunks.length)
  })
})
