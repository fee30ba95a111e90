import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { bech32 } from '@scure/base'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { MIB, systemRandom } from '../base/index.ts'
import { PROFILE_64K, readFile, treeBlocks } from '../chunks/index.ts'
import { createIdentity } from '../identity/index.ts'
import { createMemoryBlocks, inPieces, noise } from '../testing/memory-blocks.ts'
import {
  collectKnown,
  decodeKnownChunks,
  openRelease,
  type PackOptions,
  packRelease,
  parseReleaseRoot,
  RELEASE_ROOT_MAX_BYTES,
  releaseKeyHash,
  unwrapCheckedReleaseKey,
  unwrapReleaseKey,
  WRAP_MAX_BYTES,
  WRAP_MAX_RECIPIENTS,
  wrapReleaseKey,
} from './index.ts'

const VENDOR = createIdentity(new Uint8Array(32).fill(1)).evmAddress
const OPTIONS = {
  vendor: VENDOR,
  model: 'pump-s3',
  version: '1.5.0',
  contentSecret: new Uint8Array(32).fill(2),
  zstdLevel: 1,
  profile: PROFILE_64K,
} satisfies PackOptions

const damaged = { code: 'release-damaged', blame: 'peer' }

describe('a packed release', () => {
  test('opens with its key to the same image, and tells others only what its root says', async () => {
    const store = createMemoryBlocks()
    const image = noise(3 * MIB, 1)
    const packed = await packRelease(inPieces(image), store.put, OPTIONS)
    const rootBytes = await store.get(packed.root)
    assert.deepEqual(rootBytes, packed.rootBytes)

    const opened = openRelease(rootBytes, packed.releaseKey)
    const plain = Buffer.concat(await Array.fromAsync(readFile(opened.treeRef, store.get)))
    assert.ok(plain.equals(image))
    assert.deepEqual(Buffer.from(opened.imageHash), createHash('sha256').update(image).digest())
    assert.equal(opened.imageBytes, image.byteLength)

    const seen = parseReleaseRoot(rootBytes)
    const { treeRef, imageHash, ...openFields } = opened
    assert.deepEqual(seen, openFields)
    assert.deepEqual([seen.vendor, seen.model, seen.version], [VENDOR, 'pump-s3', '1.5.0'])
    const hidden = [imageHash, treeRef.key, packed.releaseKey, OPTIONS.contentSecret]
    for (const secret of hidden) assert.equal(Buffer.from(rootBytes).indexOf(secret), -1)

    const tree = await Array.fromAsync(treeBlocks(opened.treeRef, store.get))
    const stored = tree.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0)
    assert.equal(packed.sealedBytes, stored)
    assert.equal(tree.filter(({ kind }) => kind === 'chunk').length, packed.chunks)
    assert.equal(store.blocks.size, tree.length + 1)
  })

  test('has a new key each time, and the same root when the same key is given', async () => {
    const pack = (options: Partial<PackOptions> = {}) =>
      packRelease(inPieces(noise(1000, 2)), createMemoryBlocks().put, { ...OPTIONS, ...options })
    const [one, other] = [await pack(), await pack()]
    assert.notDeepEqual(one.releaseKey, other.releaseKey)
    assert.deepEqual(one.tree, other.tree)
    const again = await pack({ releaseKey: one.releaseKey })
    assert.deepEqual(again, one)
    assert.throws(() => openRelease(one.rootBytes, other.releaseKey), { code: 'release-key-wrong' })
    assert.throws(() => openRelease(one.rootBytes, new Uint8Array(1)), {
      code: 'release-key-wrong',
    })
  })

  test('is refused when its root was changed in any byte', async () => {
    const { rootBytes, releaseKey } = await packRelease(
      inPieces(noise(100, 3)),
      createMemoryBlocks().put,
      OPTIONS,
    )
    const honest = openRelease(rootBytes, releaseKey)
    for (let at = 0; at < rootBytes.byteLength; at++) {
      const changed = Uint8Array.from(rootBytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      try {
        // Outside the sealed head the CID protects, which the device compares first (openTrustedRelease).
        assert.notDeepEqual(openRelease(changed, releaseKey), honest)
      } catch (thrown) {
        assert.match(String((thrown as { code?: string }).code), /^release-(damaged|key-wrong)$/)
      }
    }
  })

  test('that does not have the form, or claims what cannot be, is refused', async () => {
    const { rootBytes } = await packRelease(
      inPieces(noise(100, 4)),
      createMemoryBlocks().put,
      OPTIONS,
    )
    const good: Record<string, unknown> = dagCbor.decode(rootBytes)
    assert.equal(parseReleaseRoot(dagCbor.encode(good)).imageBytes, 100)
    const { tree: _, ...treeless } = good
    const raw = CID.createV1(0x55, Digest.create(0x12, new Uint8Array(32)))
    const wrong: unknown[] = [
      null,
      [],
      treeless,
      { ...good, more: 1 },
      { ...good, v: 2 },
      { ...good, vendor: VENDOR },
      { ...good, vendor: new Uint8Array(19) },
      { ...good, model: '../x' },
      { ...good, model: 7 },
      { ...good, version: '' },
      { ...good, imageBytes: -1 },
      { ...good, imageBytes: 0.5 },
      { ...good, imageBytes: Number.MAX_SAFE_INTEGER },
      { ...good, sealedBytes: '1' },
      { ...good, tree: raw },
      { ...good, sealedHead: new Uint8Array(28) },
      { ...good, model: 'x'.repeat(RELEASE_ROOT_MAX_BYTES) },
    ]
    for (const value of wrong) assert.throws(() => parseReleaseRoot(dagCbor.encode(value)), damaged)
    assert.throws(() => parseReleaseRoot(new Uint8Array()), damaged)
    assert.throws(() => parseReleaseRoot(rootBytes.subarray(0, -1)), damaged)
  })

  test('refuses names and keys that are out of bounds, and stores nothing', async () => {
    const store = createMemoryBlocks()
    const wrong: Partial<PackOptions>[] = [
      { model: 'a b' },
      { version: '' },
      { releaseKey: new Uint8Array(16) },
    ]
    for (const options of wrong) {
      const packing = packRelease(inPieces(noise(10, 1)), store.put, { ...OPTIONS, ...options })
      await assert.rejects(packing, { code: 'release-options-invalid', blame: 'caller' })
    }
    const nobody = packRelease(inPieces(noise(10, 1)), store.put, { ...OPTIONS, vendor: '0x12' })
    await assert.rejects(nobody, { code: 'address-invalid', blame: 'caller' })
    assert.equal(store.blocks.size, 0)
  })
})

describe('the second release', () => {
  test('stores only what changed, from a memory of the first that was kept in a file', async () => {
    const store = createMemoryBlocks()
    const image = noise(4 * MIB, 5)
    const first = await packRelease(inPieces(image), store.put, OPTIONS)
    const collected = await collectKnown([first.tree], store.get)
    const known = decodeKnownChunks(collected.encode())
    assert.equal(known.size, first.chunks)

    const changed = Uint8Array.from(image)
    changed.set(noise(100, 6), 2 * MIB)
    const second = await packRelease(inPieces(changed), store.put, {
      ...OPTIONS,
      version: '1.6.0',
      zstdLevel: 3,
      known,
    })
    assert.ok(second.newChunks <= 2, `${second.newChunks} new chunks`)
    const opened = openRelease(second.rootBytes, second.releaseKey)
    const plain = Buffer.concat(await Array.fromAsync(readFile(opened.treeRef, store.get)))
    assert.ok(plain.equals(changed))
  })

  test('never trusts a memory that was damaged', async () => {
    const store = createMemoryBlocks()
    const { tree } = await packRelease(inPieces(noise(MIB, 7)), store.put, OPTIONS)
    const bytes = (await collectKnown([tree], store.get)).encode()
    const wrong = { code: 'known-chunks-damaged', blame: 'local' }
    for (const at of [0, 20, 100, bytes.byteLength - 1]) {
      const changed = Uint8Array.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      assert.throws(() => decodeKnownChunks(changed), wrong)
    }
    assert.throws(() => decodeKnownChunks(bytes.subarray(104)), wrong)
    assert.throws(() => decodeKnownChunks(new Uint8Array()), wrong)
    assert.equal(decodeKnownChunks((await collectKnown([], store.get)).encode()).size, 0)
  })
})

describe('a wrapped release key', () => {
  const key = randomBytes(32)
  const device = createIdentity(systemRandom.bytes(32))
  const other = createIdentity(systemRandom.bytes(32))
  const stranger = createIdentity(systemRandom.bytes(32))

  test('opens for every device of the cohort and for nobody else', async () => {
    const wrap = await wrapReleaseKey(key, [device.ageRecipient, other.ageRecipient])
    for (const one of [device, other]) {
      const opened = await unwrapCheckedReleaseKey(wrap, one.ageIdentity, releaseKeyHash(key))
      assert.deepEqual(Buffer.from(opened), key)
    }
    const refused = { code: 'wrap-invalid', blame: 'peer' }
    await assert.rejects(unwrapReleaseKey(wrap, stranger.ageIdentity), refused)
  })

  test('is refused when it is damaged, too large, of another release, or no key at all', async () => {
    const wrap = await wrapReleaseKey(key, [device.ageRecipient])
    const refused = { code: 'wrap-invalid', blame: 'peer' }
    for (const at of [3, 60, wrap.byteLength >> 1, wrap.byteLength - 1]) {
      const changed = Uint8Array.from(wrap)
      changed[at] = (changed[at] ?? 0) ^ 1
      await assert.rejects(unwrapReleaseKey(changed, device.ageIdentity), refused)
    }
    await assert.rejects(unwrapReleaseKey(new Uint8Array(), device.ageIdentity), refused)
    const huge = new Uint8Array(WRAP_MAX_BYTES + 1)
    await assert.rejects(unwrapReleaseKey(huge, device.ageIdentity), refused)
    const foreign = releaseKeyHash(randomBytes(32))
    const wrongKey = { code: 'release-key-wrong' }
    await assert.rejects(unwrapCheckedReleaseKey(wrap, device.ageIdentity, foreign), wrongKey)
  })

  test('is not made for nobody, for too many, or for what is no recipient', async () => {
    const refused = { code: 'wrap-invalid', blame: 'caller' }
    await assert.rejects(wrapReleaseKey(key, []), refused)
    await assert.rejects(wrapReleaseKey(key, ['age1nonsense']), refused)
    const many = Array.from({ length: WRAP_MAX_RECIPIENTS + 1 }, (_, index) => `age1${index}`)
    await assert.rejects(wrapReleaseKey(key, many), refused)
    await assert.rejects(wrapReleaseKey(new Uint8Array(31), [device.ageRecipient]), refused)
  })

  test('fits its limit for a full cohort', async (t) => {
    // Any 32 bytes are a public key of X25519.
    const recipients = Array.from({ length: WRAP_MAX_RECIPIENTS - 1 }, () =>
      bech32.encodeFromBytes('age', randomBytes(32)),
    )
    const startedMs = performance.now()
    const wrap = await wrapReleaseKey(key, [...recipients, device.ageRecipient])
    const wrappedMs = performance.now()
    assert.ok(wrap.byteLength < WRAP_MAX_BYTES)
    assert.deepEqual(Buffer.from(await unwrapReleaseKey(wrap, device.ageIdentity)), key)
    t.diagnostic(
      `${wrap.byteLength} bytes, wrapped in ${Math.round(wrappedMs - startedMs)} ms, ` +
        `opened by the last of the cohort in ${Math.round(performance.now() - wrappedMs)} ms`,
    )
  })
})
