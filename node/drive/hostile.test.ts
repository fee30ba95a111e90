import assert from 'node:assert/strict'
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { codeOf, systemRandom, utf8 } from '../base/index.ts'
import { type GetBlock, PROFILE_64K, type PutBlock, sealFile, sealNode } from '../chunks/index.ts'
import { createIdentity, generateSeed } from '../identity/index.ts'
import { entryToValue, type Entry } from './entry.ts'
import { readHeadRecord, signHeadRecord } from './head-record.ts'
import { openHead, sealHead } from './head.ts'
import { type NodeRef, sealIndex } from './index-tree.ts'
import { restoreInto } from './restore.ts'
import { openCatalog, sealCatalog } from './snapshot.ts'

const top = await mkdtemp(join(tmpdir(), 'ioex-hostile-'))
after(() => rm(top, { recursive: true, force: true }))
const secret = systemRandom.bytes(32)
let count = 0

type Line = Pick<Entry, 'path' | 'kind'> & Partial<Entry>

/** A snapshot as only whoever has the keys can make one, with any lines that he likes. */
async function snapshotOf(lines: readonly Line[]): Promise<{ index: NodeRef; get: GetBlock }> {
  const blocks = new Map<string, Uint8Array>()
  const put: PutBlock = async ({ cid, bytes }) => void blocks.set(cid.toString(), bytes)
  const content = async function* () {
    yield utf8('evil')
  }
  const { tree } = await sealFile(content(), put, { profile: PROFILE_64K, secret, zstdLevel: 1 })
  const entries = lines.map((line) =>
    entryToValue({
      mode: line.kind === 'folder' ? 0o777 : 0o644,
      mtimeNs: 1_000_000_000n,
      size: line.kind === 'file' ? 4 : 0,
      ...(line.kind === 'file' ? { content: { at: 'bundle', offset: 0 } } : {}),
      ...line,
    }),
  )
  const payload = dagCbor.encode({ entries, bundle: [tree.cid, tree.key] })
  const page = await sealNode({ links: [tree.cid], payload }, secret)
  await put(page)
  const pages = async function* () {
    yield { cid: page.cid, key: page.key }
  }
  const index = await sealIndex(pages(), put, secret)
  return {
    index,
    async get(cid) {
      const bytes = blocks.get(cid.toString())
      assert.ok(bytes !== undefined)
      return bytes
    },
  }
}

/** Restores the lines beside a folder that nothing may touch; resolves to the code of the refusal. */
async function attack(
  lines: (outside: string) => readonly Line[],
  prepare: (destination: string, outside: string) => Promise<void> = async () => undefined,
): Promise<string | undefined> {
  const folder = join(top, String(count++))
  const outside = join(folder, 'outside')
  const destination = join(folder, 'destination')
  await mkdir(outside, { recursive: true, mode: 0o755 })
  await mkdir(destination)
  await writeFile(join(outside, 'mine'), 'good')
  await prepare(destination, outside)
  const before = await stat(outside, { bigint: true })
  const { index, get } = await snapshotOf(lines(outside))
  const thrown: unknown = await restoreInto(destination, index, get, {}).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.deepEqual(await readdir(outside), ['mine'])
  assert.equal(await readFile(join(outside, 'mine'), 'utf8'), 'good')
  const now = await stat(outside, { bigint: true })
  assert.deepEqual([now.mode, now.mtimeNs], [before.mode, before.mtimeNs])
  assert.deepEqual((await readdir(folder)).sort(), ['destination', 'outside'])
  return codeOf(thrown)
}

test('a path that leads out of the folder is refused, however it is written', async () => {
  const paths = ['../evil', '/evil', 'a/../../evil', '..', '.', '', 'a//b', 'a/./b', 'nul\0', 'a/']
  for (const path of paths) {
    for (const kind of ['file', 'folder', 'link'] as const) {
      const code = await attack(() => [{ path, kind, ...(kind === 'link' ? { target: 'x' } : {}) }])
      assert.equal(code, 'path-unsafe', JSON.stringify([path, kind]))
    }
  }
})

test('nothing is written through a link that the snapshot brings', async () => {
  const link = (outside: string): Line => ({ path: 'a', kind: 'link', target: outside })
  const codes = [
    await attack((outside) => [link(outside), { path: 'a/evil', kind: 'file' }]),
    await attack((outside) => [
      link(outside),
      { path: 'a/evil', kind: 'link', target: '/etc/passwd' },
    ]),
    await attack((outside) => [link(outside), { path: 'a/evil', kind: 'folder' }]),
    await attack((outside) => [{ path: 'a', kind: 'folder' }, link(outside)]),
    await attack((outside) => [link(outside), { path: 'a', kind: 'folder' }]),
  ]
  assert.deepEqual(codes, [
    'snapshot-damaged',
    'destination-occupied',
    'snapshot-damaged',
    'destination-occupied',
    'destination-occupied',
  ])
})

test('nothing is written through a link that lies in the destination', async () => {
  const lines = (path: string, kind: Line['kind']) => () => [
    { path, kind, ...(kind === 'link' ? { target: 'x' } : {}) },
  ]
  const toFolder = (destination: string, outside: string) =>
    symlink(outside, join(destination, 'a'))
  const toFile = (destination: string, outside: string) =>
    symlink(join(outside, 'mine'), join(destination, 'a'))
  for (const kind of ['file', 'folder', 'link'] as const) {
    assert.equal(await attack(lines('a/evil', kind), toFolder), 'destination-occupied', kind)
    assert.equal(await attack(lines('a/b/evil', kind), toFolder), 'destination-occupied', kind)
    assert.equal(await attack(lines('a', kind), toFolder), 'destination-occupied', kind)
    assert.equal(await attack(lines('a', kind), toFile), 'destination-occupied', kind)
  }
})

test('a file that claims another size than it has is refused and leaves nothing', async () => {
  const destination = join(top, 'sizes')
  for (const size of [1, 3, 5, 1_000_000]) {
    const { index, get } = await snapshotOf([{ path: 'a', kind: 'file', size }])
    const restoring = restoreInto(destination, index, get, {})
    if (size > 4) {
      await assert.rejects(restoring, (thrown) => codeOf(thrown) === 'snapshot-damaged')
      assert.deepEqual(await readdir(destination), [])
    } else {
      await restoring
      await rm(join(destination, 'a'))
    }
  }
})

test('folders are closed to others until they have their own mode', async () => {
  const destination = join(top, 'modes')
  const { index, get } = await snapshotOf([
    { path: 'locked', kind: 'folder', mode: 0o500 },
    { path: 'locked/file', kind: 'file', mode: 0o400 },
  ])
  await restoreInto(destination, index, get, {})
  assert.equal((await lstat(join(destination, 'locked'))).mode & 0o7777, 0o500)
  const again = await restoreInto(destination, index, get, {})
  assert.deepEqual(again, { files: 1, bytes: 4, kept: 1 })
  assert.equal((await lstat(join(destination, 'locked'))).mode & 0o7777, 0o500)
})

test('a head or catalog in which one bit is turned is nobody’s', async () => {
  const identity = createIdentity(generateSeed(systemRandom))
  const key = systemRandom.bytes(32)
  const node = await sealCatalog([], secret)
  const head = { catalog: { cid: node.cid, key: node.key }, peers: [identity.publicKey] }
  const sealed = sealHead(head, key, systemRandom)
  const record = signHeadRecord(identity, { sequence: 7, value: sealed })
  assert.equal(readHeadRecord(record, identity.peerId)?.sequence, 7)
  assert.equal(openHead(sealed, systemRandom.bytes(32)), undefined)
  const stranger = createIdentity(generateSeed(systemRandom))
  assert.equal(readHeadRecord(record, stranger.peerId), undefined)
  for (let at = 0; at < record.byteLength; at++) {
    const turned = record.slice()
    turned[at] = (turned[at] ?? 0) ^ 1
    // The last byte names the signature's form, of which there are two ways to write each.
    const read = readHeadRecord(turned, identity.peerId)
    assert.ok(read === undefined || (read.sequence === 7 && at === record.byteLength - 1))
  }
  for (let at = 0; at < sealed.byteLength; at++) {
    const turned = sealed.slice()
    turned[at] = (turned[at] ?? 0) ^ 1
    assert.equal(openHead(turned, key), undefined)
  }
  for (let at = 0; at < node.bytes.byteLength; at++) {
    const turned = node.bytes.slice()
    turned[at] = (turned[at] ?? 0) ^ 1
    assert.throws(() => openCatalog(turned, node.key))
  }
})
