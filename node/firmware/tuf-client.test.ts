import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { silentLog, utf8 } from '../base/index.ts'
import { createFakeTufRepository } from '../testing/fake-tuf-repository.ts'
import {
  createMetadataFolder,
  createTufClient,
  type TrustedFiles,
  type TufTarget,
  verifiedTarget,
} from './index.ts'

const DAY_MS = 86_400_000
const scratch = await mkdtemp(join(tmpdir(), 'ioex-tuf-client-'))
after(() => rm(scratch, { recursive: true }))

/** A repository, and a client of it that starts anew with every `start`, as processes do. */
async function scene() {
  let nowMs = Date.UTC(2026, 10, 24)
  const clock = { nowMs: () => nowMs, pass: (ms: number) => void (nowMs += ms) }
  const repository = createFakeTufRepository({ clock })
  const folder = await mkdtemp(join(scratch, 'trusted-'))
  const asked: string[] = []
  const start = (files: TrustedFiles = createMetadataFolder(folder)) =>
    createTufClient({
      files,
      clock,
      log: silentLog,
      fetchMetadata(name) {
        asked.push(name)
        return Promise.resolve(repository.files.get(`metadata/${name}`))
      },
    })
  const refresh = async () => {
    const refreshed = await start().refresh()
    return refreshed.ok ? 'ok' : refreshed.reason
  }
  const version = async (role: string) => {
    const file = await readFile(join(folder, `${role}.json`), 'utf8')
    return (JSON.parse(file) as { signed: { version: number } }).signed.version
  }
  assert.equal((await start().init(repository.initialRoot)).ok, true)
  return { clock, repository, folder, asked, start, refresh, version }
}

describe('a TUF client', () => {
  test('begins with a root and nothing else, and asks nobody for it', async () => {
    const { folder, repository, start, asked } = await scene()
    assert.deepEqual(asked, [])
    assert.deepEqual(await readdir(folder), ['root.json'])
    assert.equal((await start().init(repository.initialRoot)).ok, true)
    const other = createFakeTufRepository({ clock: { nowMs: () => Date.UTC(2026, 10, 25) } })
    assert.deepEqual(await start().init(other.initialRoot), { ok: false, reason: 'root-present' })
    const damaged = { code: 'metadata-damaged', blame: 'caller' }
    await assert.rejects(start().init(utf8('{"signed":{"_type":"root"}}')), damaged)
    const empty = start(new Map<string, Uint8Array>())
    assert.deepEqual(await empty.refresh(), { ok: false, reason: 'root-missing' })
  })

  test('keeps each role in a file of its own, byte for byte, and asks for no more than it needs', async () => {
    const { folder, repository, refresh, asked } = await scene()
    repository.delegate('targets', '../odd', ['odd/*'])
    repository.publish('../odd', 'targets', 'snapshot', 'timestamp')
    assert.equal(await refresh(), 'ok')
    assert.deepEqual(asked, ['2.root.json', 'timestamp.json', '2.snapshot.json', '2.targets.json'])
    const stored = await readFile(join(folder, 'targets.json'))
    assert.deepEqual(stored, Buffer.from(repository.files.get('metadata/2.targets.json') ?? []))
    asked.length = 0
    assert.equal(await refresh(), 'ok')
    assert.deepEqual(asked, ['2.root.json', 'timestamp.json'])
  })

  test('finds what a delegated role says, in the order of trust and until a role ends it', async () => {
    const { folder, repository, start, asked } = await scene()
    repository.delegate('targets', 'a', ['x/*'])
    repository.delegate('a', '../a/deep', ['x/*'], { terminating: true })
    repository.delegate('targets', 'b', ['x/*', 'y/*'])
    repository.addTarget('../a/deep', 'x/file', utf8('deep'))
    repository.addTarget('b', 'x/file', utf8('never seen'))
    repository.addTarget('b', 'x/other', utf8('never seen'))
    repository.addTarget('b', 'y/file', utf8('of b'))
    repository.publish('../a/deep', 'a', 'b', 'targets', 'snapshot', 'timestamp')
    const client = start()
    const found = await client.find('x/file')
    assert.ok(found.ok)
    assert.equal(found.value.bytes, 4)
    assert.match(found.value.repositoryPath, /^x\/[0-9a-f]{64}\.file$/)
    assert.deepEqual(asked.slice(4), ['1.a.json', '1...%2Fa%2Fdeep.json'])
    assert.deepEqual(await client.find('x/other'), { ok: false, reason: 'target-missing' })
    assert.equal((await client.find('y/file')).ok, true)
    assert.deepEqual(await client.find('constructor'), { ok: false, reason: 'target-missing' })
    asked.length = 0
    assert.equal((await start().find('x/file')).ok, true)
    assert.deepEqual(asked, ['2.root.json', 'timestamp.json'])
    assert.deepEqual((await readdir(folder)).sort(), [
      '..%2Fa%2Fdeep.json',
      'a.json',
      'b.json',
      'root.json',
      'snapshot.json',
      'targets.json',
      'timestamp.json',
    ])
  })

  test('verifies a role anew under each delegator, however good it was under another', async () => {
    const { repository, start } = await scene()
    repository.delegate('targets', 'a', ['a/*'])
    repository.delegate('targets', 'b', ['b/*'])
    repository.delegate('a', 'release', ['a/*'])
    const [keyOfB] = repository.delegate('b', 'release', ['b/*'])
    const release = repository.role('release')
    release.signers = release.signers.filter((signer) => signer !== keyOfB)
    repository.addTarget('release', 'a/file', utf8('trusted'))
    repository.addTarget('release', 'b/file', utf8('not for b to say'))
    repository.publish('release', 'a', 'b', 'targets', 'snapshot', 'timestamp')
    const client = start()
    assert.equal((await client.find('a/file')).ok, true)
    const untrusted = { ok: false, reason: 'metadata-untrusted' }
    assert.deepEqual(await client.find('b/file'), untrusted)
    assert.deepEqual(await start().find('b/file'), untrusted)
    assert.equal((await start().find('a/file')).ok, true)
  })

  test('ends in a chain of delegations that does not', async () => {
    const { repository, start, asked } = await scene()
    const names = Array.from({ length: 40 }, (_, n) => `r${n}`)
    for (const [n, name] of names.entries()) {
      repository.delegate(names[n - 1] ?? 'targets', name, ['*'])
      repository.delegate(name, names[0] ?? '', ['*'])
    }
    repository.publish(...names, 'targets', 'snapshot', 'timestamp')
    assert.deepEqual(await start().find('file'), { ok: false, reason: 'target-missing' })
    assert.equal(asked.length, 4 + 32)
  })

  test('climbs from root to root, each signed by the one before it', async () => {
    const { repository, refresh, version, asked } = await scene()
    for (let n = 2; n <= 6; n++) {
      repository.rotate('root')
      repository.publish('root')
    }
    assert.equal(await refresh(), 'ok')
    assert.equal(await version('root'), 6)
    assert.equal(asked.filter((name) => name.endsWith('root.json')).length, 6)

    repository.rotate('root')
    const root = repository.role('root')
    root.signers = root.signers.slice(1)
    repository.publish('root')
    assert.equal(await refresh(), 'metadata-untrusted')
    assert.equal(await version('root'), 6)
  })

  for (const role of ['timestamp', 'snapshot', 'targets']) {
    test(`refuses a ${role} that is older than what was seen`, async () => {
      const { repository, refresh, version } = await scene()
      repository.publish('targets', 'snapshot', 'timestamp')
      repository.publish('targets', 'snapshot', 'timestamp')
      assert.equal(await refresh(), 'ok')
      repository.role(role).version = 1
      const order = ['targets', 'snapshot', 'timestamp']
      repository.publish(...order.slice(order.indexOf(role)))
      assert.equal(await refresh(), 'metadata-rolled-back')
      assert.equal(await version(role), 3)
    })
  }

  for (const role of ['root', 'timestamp', 'snapshot', 'targets']) {
    test(`refuses a ${role} that has expired`, async () => {
      const { clock, repository, refresh } = await scene()
      repository.role(role).expiresMs = clock.nowMs() + DAY_MS
      repository.publish('root', 'targets', 'snapshot', 'timestamp')
      assert.equal(await refresh(), 'ok')
      clock.pass(DAY_MS)
      assert.equal(await refresh(), 'metadata-expired')
      repository.role(role).expiresMs = clock.nowMs() + DAY_MS
      repository.publish('root', 'targets', 'snapshot', 'timestamp')
      assert.equal(await refresh(), 'ok')
    })
  }

  for (const [fast, rotated] of [
    ['timestamp', ['timestamp']],
    ['snapshot', ['snapshot', 'timestamp']],
    // The timestamp's key stays: what it said of the snapshot's version counts no longer, either.
    ['snapshot', ['snapshot']],
    ['targets', ['snapshot']],
  ] as const) {
    test(`forgets a ${fast} of version 1,000,000 when the key of ${rotated.join(' and ')} is replaced`, async () => {
      const { repository, refresh, version } = await scene()
      repository.role(fast).version = 999_999
      repository.publish('targets', 'snapshot', 'timestamp')
      assert.equal(await refresh(), 'ok')
      repository.role(fast).version = 1
      repository.publish('targets', 'snapshot', 'timestamp')
      assert.equal(await refresh(), 'metadata-rolled-back')
      for (const role of rotated) repository.rotate(role)
      repository.publish('root', 'targets', 'snapshot', 'timestamp')
      assert.equal(await refresh(), 'ok')
      assert.equal(await version(fast), repository.role(fast).version)
      assert.ok(repository.role(fast).version < 10)
    })
  }

  test('refuses to go on when a file is torn, as it would forget what was seen', async () => {
    const { folder, refresh } = await scene()
    assert.equal(await refresh(), 'ok')
    for (const role of ['root', 'timestamp', 'snapshot', 'targets']) {
      const path = join(folder, `${role}.json`)
      const whole = await readFile(path)
      for (const bytes of [0, whole.byteLength >> 1, whole.byteLength - 1]) {
        await truncate(path, bytes)
        const torn = { code: 'metadata-damaged', blame: 'local', message: /torn/ }
        await assert.rejects(refresh(), torn, `${role} of ${bytes} bytes`)
        await writeFile(path, whole)
      }
    }
    assert.equal(await refresh(), 'ok')
  })

  test('goes on from wherever it was stopped, before or after any write', async () => {
    for (const isWritten of [false, true]) {
      let stops = 0
      for (let isDone = false; !isDone; stops++) {
        const { repository, folder, start, refresh, version } = await scene()
        assert.equal(await refresh(), 'ok')
        repository.delegate('targets', 'a', ['*'])
        repository.addTarget('a', 'file', utf8('file'))
        repository.rotate('snapshot')
        repository.role('snapshot').version = 0
        repository.publish('root', 'a', 'targets', 'snapshot', 'timestamp')
        isDone = await start(stopping(createMetadataFolder(folder), stops, isWritten))
          .find('file')
          .then(
            ({ ok }) => ok,
            (thrown: Error) => {
              assert.equal(thrown.message, 'stopped')
              return false
            },
          )
        assert.equal((await start().find('file')).ok, true)
        assert.deepEqual(
          await Promise.all(['root', 'timestamp', 'snapshot', 'targets', 'a'].map(version)),
          [2, 2, 1, 2, 1],
        )
      }
      // Two that are dropped and five that are written: each was the last one once.
      assert.equal(stops, 8)
    }
  })
})

/** Files of a process that ends at its n-th change. */
function stopping(files: TrustedFiles, after: number, isWritten: boolean): TrustedFiles {
  let changes = 0
  const change = async (work: () => unknown) => {
    const isLast = changes++ === after
    if (!isLast || isWritten) await work()
    if (isLast) throw new Error('stopped')
  }
  return {
    get: (role) => files.get(role),
    set: (role, bytes) => change(() => files.set(role, bytes)),
    delete: (role) => change(() => files.delete(role)),
  }
}

describe('the bytes of a target', () => {
  const target = async (): Promise<TufTarget> => {
    const { repository, start } = await scene()
    repository.addTarget('targets', 'file', utf8('content'))
    repository.publish('targets', 'snapshot', 'timestamp')
    const found = await start().find('file')
    assert.ok(found.ok)
    return found.value
  }
  const read = async (of: TufTarget, ...parts: string[]) =>
    Buffer.concat(
      await Array.fromAsync(
        verifiedTarget(
          of,
          (async function* () {
            for (const part of parts) yield await Promise.resolve(utf8(part))
          })(),
        ),
      ),
    ).toString()

  test('are those that were signed, or an error', async () => {
    const file = await target()
    assert.equal(await read(file, 'con', 'tent'), 'content')
    const damaged = { code: 'target-damaged', blame: 'peer' }
    for (const parts of [['contenT'], ['conten'], ['content', '!'], []]) {
      await assert.rejects(read(file, ...parts), damaged)
    }
    await assert.rejects(read({ ...file, hashes: {} }, 'content'), damaged)
    const { sha256 = '' } = file.hashes
    await assert.rejects(read({ ...file, hashes: { sha256, md5: 'ab' } }, 'content'), damaged)
  })

  test('are read no further than the first one too many', async () => {
    const file = await target()
    let passed = 0
    const endless = async function* () {
      for (;;) yield await Promise.resolve(utf8('content'))
    }
    await assert.rejects(
      async () => {
        for await (const part of verifiedTarget(file, endless())) passed += part.byteLength
      },
      { code: 'target-damaged' },
    )
    assert.equal(passed, 7)
  })
})
