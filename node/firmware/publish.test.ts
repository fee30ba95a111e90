import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile as readBytes, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { Updater } from 'tuf-js'
import { silentLog } from '../base/index.ts'
import { readFile } from '../chunks/index.ts'
import { createFakeVendor, type FakeVendor } from '../testing/fake-vendor.ts'
import {
  acceptVendorMetadata,
  addRelease,
  consistentTargetPath,
  createMetadataFile,
  createTrustedReleases,
  type MetadataStore,
  metadataFiles,
  newestMetadata,
  type OfflineMetadata,
  openTrustedRelease,
  releasesOf,
  removeRelease,
  renewLine,
  rootOfTargetPath,
  rotateRoot,
  signOnline,
} from './index.ts'

const MODEL = 'pump-s3'
const DAY_MS = 86_400_000

function fakeClock() {
  let nowMs = Date.UTC(2026, 10, 24)
  return { nowMs: () => nowMs, pass: (ms: number) => void (nowMs += ms) }
}

function memoryStore(): MetadataStore & { saved: ReadonlyMap<string, Uint8Array> } {
  return {
    saved: new Map(),
    load() {
      return Promise.resolve(this.saved)
    },
    save(files) {
      this.saved = new Map(files)
      return Promise.resolve()
    },
  }
}

function deviceOf(
  vendor: FakeVendor,
  clock: { nowMs(): number },
  store: MetadataStore = memoryStore(),
  asked: string[] = [],
) {
  return createTrustedReleases(
    {
      store,
      clock,
      log: silentLog,
      fetchMetadata: (name) => {
        asked.push(name)
        return Promise.resolve(vendor.repository.get(name))
      },
    },
    { initialRoot: vendor.initialRoot, models: [MODEL] },
  )
}

describe('a published release', () => {
  test('is found, opened and read by a device that knows nothing but the first root', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    const image = randomBytes(500_000)
    const { packed } = await vendor.publish(image, { model: MODEL, version: '1.0.0' })
    const device = deviceOf(vendor, clock)
    assert.equal(device.newest(MODEL), undefined)
    assert.deepEqual(await device.refresh(), { ok: true, value: { changed: true } })
    const target = device.newest(MODEL)
    assert.ok(target !== undefined)
    assert.deepEqual([target.version, target.sequence], ['1.0.0', 1])
    assert.ok(target.root.equals(packed.root))
    const rootBytes = await vendor.getBlock(target.root)
    const release = openTrustedRelease(target, rootBytes, packed.releaseKey)
    const plain = await Array.fromAsync(readFile(release.treeRef, vendor.getBlock))
    assert.ok(Buffer.concat(plain).equals(image))
    assert.equal(device.newest('other'), undefined)

    // Bytes that are not those of the target, or a key that is not the one it names, go no further.
    const changed = Uint8Array.from(rootBytes)
    changed[20] = (changed[20] ?? 0) ^ 1
    const damaged = { code: 'release-damaged' }
    assert.throws(() => openTrustedRelease(target, changed, packed.releaseKey), damaged)
    const longer = Buffer.concat([rootBytes, Buffer.alloc(1)])
    assert.throws(() => openTrustedRelease(target, longer, packed.releaseKey), damaged)
    const foreign = randomBytes(32)
    const wrongKey = { code: 'release-key-wrong' }
    assert.throws(() => openTrustedRelease(target, rootBytes, foreign), wrongKey)
  })

  test('gives way to the next one and comes back when that is withdrawn', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    const device = deviceOf(vendor, clock)
    // Versions are names: which one is newer is decided by the order of publishing.
    for (const version of ['2.0.0', '10.0.0', '9.9.9']) {
      await vendor.publish(randomBytes(1000), { model: MODEL, version })
    }
    await vendor.publish(randomBytes(1000), { model: 'lamp', version: '77' })
    await device.refresh()
    assert.equal(device.newest(MODEL)?.version, '9.9.9')
    assert.deepEqual(
      device.current(MODEL).map((one) => [one.version, one.sequence]),
      [
        ['2.0.0', 1],
        ['10.0.0', 2],
        ['9.9.9', 3],
      ],
    )
    const line = [vendor.signers.line]
    const time = { nowMs: clock.nowMs() }
    vendor.serve(removeRelease(vendor.metadata, { model: MODEL, version: '9.9.9' }, line, time))
    await device.refresh()
    assert.equal(device.newest(MODEL)?.version, '10.0.0')
    const { target } = await vendor.publish(randomBytes(1000), { model: MODEL, version: '11' })
    assert.equal(target.sequence, 4, 'the sequence of a withdrawn release was given again')
    assert.equal(releasesOf(vendor.metadata, MODEL).length, 3)
  })

  test('asks for nothing but the timestamp when nothing changed, also after a restart', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    await vendor.publish(randomBytes(1000), { model: MODEL, version: '1' })
    const folder = await mkdtemp(join(tmpdir(), 'ioex-firmware-'))
    try {
      const path = join(folder, 'state', 'tuf')
      const asked: string[] = []
      await deviceOf(vendor, clock, createMetadataFile(path), asked).refresh()
      asked.length = 0
      const again = deviceOf(vendor, clock, createMetadataFile(path), asked)
      assert.deepEqual(await again.refresh(), { ok: true, value: { changed: false } })
      assert.deepEqual(asked, ['2.root.json', 'timestamp.json'])
      assert.equal(again.newest(MODEL)?.version, '1')

      // Torn or rotten: the device starts from its first root, and gets there again.
      const content = await readBytes(path)
      for (const torn of [
        content.subarray(0, content.length >> 1),
        Buffer.alloc(0),
        randomBytes(99),
      ]) {
        await writeFile(path, torn)
        const restarted = deviceOf(vendor, clock, createMetadataFile(path))
        assert.deepEqual(await restarted.refresh(), { ok: true, value: { changed: true } })
        assert.equal(restarted.newest(MODEL)?.version, '1')
      }
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('is found although what was stored is damaged, and with a newer root that came with the program', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    await vendor.publish(randomBytes(1000), { model: MODEL, version: '1' })
    const store = memoryStore()
    for (const stored of [
      randomBytes(100),
      createFakeVendor({ clock }, { name: 'x' }).metadata.timestamp,
    ]) {
      store.saved = new Map([
        ['root', stored],
        ['timestamp', stored],
        ['snapshot', stored],
      ])
      const device = deviceOf(vendor, clock, store)
      assert.equal((await device.refresh()).ok, true)
      assert.equal(device.newest(MODEL)?.version, '1')
    }
    const { root, targets } = vendor.signers
    const signers = { root: [root], targets: [targets] }
    const rotated = rotateRoot(vendor.metadata, vendor.roles, signers, { nowMs: clock.nowMs() })
    vendor.serve(rotated)
    vendor.repository.delete('2.root.json')
    const updated = deviceOf({ ...vendor, initialRoot: rotated.root }, clock, store)
    assert.equal((await updated.refresh()).ok, true)
    assert.deepEqual(store.saved.get('root'), rotated.root)
  })

  test('is no longer offered once its metadata has expired, until someone signs again', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    await vendor.publish(randomBytes(1000), { model: MODEL, version: '1' })
    const device = deviceOf(vendor, clock)
    await device.refresh()
    assert.equal(device.validUntilMs, clock.nowMs() + DAY_MS)
    clock.pass(DAY_MS)
    assert.equal(device.newest(MODEL), undefined)
    vendor.serve(vendor.metadata)
    assert.equal((await device.refresh()).ok, true)
    assert.equal(device.newest(MODEL)?.version, '1')

    // A line that its vendor renewed in time is valid beyond its first year.
    clock.pass(300 * DAY_MS)
    const line = [vendor.signers.line]
    vendor.serve(renewLine(vendor.metadata, MODEL, line, { nowMs: clock.nowMs() }))
    assert.equal((await device.refresh()).ok, true)
  })

  test('is downloaded by a stock TUF client, byte for byte the block of its CID', async () => {
    const clock = { nowMs: () => Date.now() }
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    const { packed, target } = await vendor.publish(randomBytes(1000), {
      model: MODEL,
      version: '1.0+rc',
    })
    const folder = await mkdtemp(join(tmpdir(), 'ioex-firmware-'))
    const server = createServer((request, response) => {
      const path = decodeURIComponent((request.url ?? '').slice(1))
      const root = path.startsWith('targets/') ? rootOfTargetPath(path.slice(8)) : undefined
      const body =
        root === undefined
          ? vendor.repository.get(path.slice('metadata/'.length))
          : vendor.blocks.get(root)
      response.writeHead(body === undefined ? 404 : 200).end(body)
    })
    try {
      await new Promise<void>((resume) => server.listen(0, '127.0.0.1', resume))
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      await writeFile(join(folder, 'root.json'), vendor.initialRoot)
      const stock = new Updater({
        metadataDir: folder,
        metadataBaseUrl: `${base}/metadata`,
        targetDir: folder,
        targetBaseUrl: `${base}/targets`,
      })
      await stock.refresh()
      const found = await stock.getTargetInfo(`${MODEL}/1.0+rc`)
      assert.ok(found !== undefined)
      assert.equal(found.custom['root'], packed.root.toString())
      assert.deepEqual(
        await readBytes(await stock.downloadTarget(found)),
        Buffer.from(packed.rootBytes),
      )
      assert.equal(rootOfTargetPath(consistentTargetPath(target)), packed.root.toString())
      assert.equal(await stock.getTargetInfo(`${MODEL}/2`), undefined)
    } finally {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    }
  })
})

describe('a repository', () => {
  test('is taken up again from its files, of which only the newest count', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    for (let n = 1; n <= 12; n++) {
      await vendor.publish(randomBytes(100), { model: MODEL, version: `${n}` })
    }
    const files = Array.from(vendor.repository, ([name, bytes]) => ({ name, bytes }))
    assert.deepEqual(newestMetadata(files), vendor.metadata)
    assert.deepEqual(newestMetadata(files.reverse()), vendor.metadata)
    assert.equal(newestMetadata(files.filter(({ name }) => name !== 'timestamp.json')), undefined)
  })

  test('signs a new snapshot only when something changed or it grows old', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    await vendor.publish(randomBytes(100), { model: MODEL, version: '1' })
    const versions = () => {
      const files = metadataFiles(vendor.metadata)
      return files.filter(({ name }) => /snapshot|timestamp/.test(name)).map((file) => file.version)
    }
    const [snapshot = 0, timestamp = 0] = versions()
    vendor.serve(vendor.metadata)
    assert.deepEqual(versions(), [snapshot, timestamp + 1])
    clock.pass(4 * DAY_MS)
    vendor.serve(vendor.metadata)
    assert.deepEqual(versions(), [snapshot + 1, timestamp + 2])
  })

  test('names the newest releases of a model when there have been too many', () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    const { line, targets } = vendor.signers
    const time = { nowMs: clock.nowMs() }
    let { metadata }: { metadata: OfflineMetadata } = vendor
    let before = metadata
    for (let n = 1; n <= 130; n++) {
      const release = {
        model: MODEL,
        version: `${n}`,
        root: CID.parse('bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'),
        rootBytes: 400,
        releaseKeyHash: `0x${'ab'.repeat(32)}` as const,
        deltas: [],
        announceSigner: vendor.address,
      }
      before = metadata
      metadata = addRelease(metadata, release, { line: [line], targets: [targets] }, time).metadata
    }
    const sequences = releasesOf(metadata, MODEL).map((release) => release.sequence)
    assert.deepEqual([sequences.length, sequences[0], sequences.at(-1)], [128, 3, 130])
    const options = { nowMs: time.nowMs, onlineKey: vendor.signers.online }
    assert.equal(acceptVendorMetadata(undefined, metadata, options).ok, true)
    const accepted = acceptVendorMetadata(before, { lines: metadata.lines }, options)
    assert.deepEqual(accepted.ok && [accepted.value.added.length, accepted.value.removed], [1, []])
  })

  test('refuses to be signed by keys that its root does not name', async () => {
    const clock = fakeClock()
    const vendor = createFakeVendor({ clock }, { name: 'acme' })
    const other = createFakeVendor({ clock }, { name: 'other' })
    await vendor.publish(randomBytes(100), { model: MODEL, version: '1' })
    const time = { nowMs: clock.nowMs() }
    const refused = { code: 'metadata-change-invalid', blame: 'caller' }
    assert.throws(() => signOnline(vendor.metadata, [other.signers.online], time), refused)
    assert.throws(() => renewLine(vendor.metadata, MODEL, [other.signers.line], time), refused)
    const gone = { model: MODEL, version: '2' }
    assert.throws(() => removeRelease(vendor.metadata, gone, [vendor.signers.line], time), refused)
    await assert.rejects(vendor.publish(randomBytes(9), { model: MODEL, version: '1' }), refused)
  })

  test('knows its own target paths and no others', () => {
    const digits = 'ab'.repeat(32)
    const cid = rootOfTargetPath(`pump/${digits}.1.0`)
    assert.equal(CID.parse(cid ?? '').multihash.digest.toHex(), digits)
    for (const path of [
      '',
      'pump',
      `pump/${digits}`,
      `${digits}.1`,
      `a/b/${digits}.1`,
      `pump/${digits}x.1`,
    ]) {
      assert.equal(rootOfTargetPath(path), undefined)
    }
  })
})
