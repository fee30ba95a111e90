import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { fromUtf8, silentLog, utf8 } from '../base/index.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import {
  forge,
  nameInSnapshot,
  newestFile,
  type SignedPart,
  tamper,
} from '../testing/tuf-forgery.ts'
import {
  createTrustedReleases,
  createTufSigner,
  metadataFiles,
  type MetadataStore,
  type ReleaseTarget,
  rotateRoot,
  signFile,
  signOnline,
  type TrustedReleases,
} from './index.ts'

const MODEL = 'pump-s3'
const DAY_MS = 86_400_000

/** A vendor with one release, a device that trusts it, and an attacker who stands between the two. */
async function scene() {
  let nowMs = Date.UTC(2026, 10, 24)
  const clock = { nowMs: () => nowMs, pass: (ms: number) => void (nowMs += ms) }
  const vendor = createFakeVendor({ clock }, { name: 'acme' })
  await vendor.publish(randomBytes(100), { model: MODEL, version: '1' })
  let saved: ReadonlyMap<string, Uint8Array> = new Map()
  const store: MetadataStore = {
    load: () => Promise.resolve(saved),
    save: (files) => Promise.resolve(void (saved = new Map(files))),
  }
  const start = () =>
    createTrustedReleases(
      {
        store,
        clock,
        log: silentLog,
        fetchMetadata: (name) => Promise.resolve(vendor.repository.get(name)),
      },
      { initialRoot: vendor.initialRoot, models: [MODEL] },
    )
  const device = start()
  assert.equal((await device.refresh()).ok, true)
  return { clock, vendor, device, restarted: start, saved: () => saved }
}

type Json = SignedPart

async function refusal(device: TrustedReleases): Promise<string | undefined> {
  const result = await device.refresh()
  return result.ok ? undefined : result.reason
}

const versionOf = (target: ReleaseTarget | undefined) => target?.version
const attacker = createTufSigner(new Uint8Array(32).fill(66))

describe('a repository that attacks a device', () => {
  test('cannot roll it back to what it served before, not even across a restart', async () => {
    const { vendor, device, restarted } = await scene()
    const before = new Map(vendor.repository)
    await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
    await device.refresh()
    vendor.repository.set('timestamp.json', before.get('timestamp.json') ?? utf8(''))
    assert.equal(await refusal(device), 'metadata-rolled-back')
    assert.equal(versionOf(device.newest(MODEL)), '2')
    const again = restarted()
    assert.equal(await refusal(again), 'metadata-rolled-back')
    assert.equal(again.newest(MODEL), undefined)
  })

  test('cannot roll one file back under a new timestamp, even with the online key', async () => {
    const { clock, vendor, device } = await scene()
    const old = vendor.metadata
    await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
    await device.refresh()
    // Lines of before, under a snapshot and timestamp of now.
    const { lines } = old
    vendor.serve({ ...vendor.metadata, lines }, { nowMs: clock.nowMs() })
    assert.equal(await refusal(device), 'metadata-rolled-back')
    assert.equal(versionOf(device.newest(MODEL)), '2')
  })

  test('cannot freeze it: what is not renewed expires', async () => {
    const { clock, vendor, device } = await scene()
    clock.pass(DAY_MS + 1)
    assert.equal(await refusal(device), 'metadata-expired')
    assert.equal(device.newest(MODEL), undefined)
    // A fresh timestamp does not help a snapshot that has expired.
    clock.pass(7 * DAY_MS)
    forge(vendor, 'timestamp.json', [vendor.signers.online], (signed) => {
      signed['version'] = Number(signed['version']) + 1
      signed['expires'] = '2036-01-01T00:00:00Z'
    })
    assert.equal(await refusal(device), 'metadata-expired')
  })

  test('cannot mix files of different moments', async () => {
    const { vendor, device } = await scene()
    const oldLine = newestFile(vendor, `line-${MODEL}`)
    const oldBytes = vendor.repository.get(oldLine) ?? utf8('')
    await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
    vendor.repository.set(newestFile(vendor, `line-${MODEL}`), oldBytes)
    assert.equal(await refusal(device), 'metadata-untrusted')
    assert.equal(versionOf(device.newest(MODEL)), '1')
  })

  test('cannot sign for a role whose key it does not have', async () => {
    const names = ['timestamp.json', 'snapshot', 'targets', `line-${MODEL}`]
    for (const name of names) {
      const { vendor, device } = await scene()
      await vendor.publish(randomBytes(100), { model: 'another', version: '1' })
      await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
      const file = name.endsWith('.json') ? name : newestFile(vendor, name)
      forge(vendor, file, [attacker], () => undefined)
      assert.equal(await refusal(device), 'metadata-untrusted', name)
      assert.equal(versionOf(device.newest(MODEL)), '1')
    }
  })

  test('cannot slip in a release, change one, or lengthen its own life without the keys', async () => {
    const changes: readonly ((signed: Json) => void)[] = [
      (signed) => (signed['expires'] = '2099-01-01T00:00:00Z'),
      (signed) => (signed['targets'] = {}),
      (signed) => (signed['version'] = 1),
    ]
    for (const change of changes) {
      const { vendor, device } = await scene()
      await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
      tamper(vendor, newestFile(vendor, `line-${MODEL}`), change)
      assert.equal(await refusal(device), 'metadata-untrusted')
      assert.equal(versionOf(device.newest(MODEL)), '1')
    }
  })

  test('cannot publish with the online key alone', async () => {
    const { vendor, device } = await scene()
    const { line, online } = vendor.signers
    // The same files signed by the line's own key are taken: it is the key that makes the difference.
    for (const [key, verdict] of [
      [online, 'metadata-untrusted'] as const,
      [line, undefined] as const,
    ]) {
      const role = `line-${MODEL}`
      forge(vendor, newestFile(vendor, role), [key], (signed) => {
        signed['version'] = Number(signed['version']) + 1
      })
      const bytes = vendor.repository.get(newestFile(vendor, role))
      assert.ok(bytes !== undefined)
      nameInSnapshot(vendor, role, bytes)
      assert.equal(await refusal(device), verdict)
    }
    assert.equal(versionOf(device.newest(MODEL)), '1')
  })

  test('cannot let one product line speak for another', async () => {
    const { clock, vendor, device } = await scene()
    const { target } = await vendor.publish(randomBytes(100), { model: 'lamp', version: '6.6.6' })
    assert.equal(versionOf(device.newest(MODEL)), '1')
    // The lamp's line, properly signed, names a release of the pump under the pump's path.
    const lamp = newestFile(vendor, 'line-lamp')
    forge(vendor, lamp, [vendor.signers.line], (signed) => {
      const [entry] = Object.values(signed['targets'] as Json) as Json[]
      const custom = { ...(entry?.['custom'] as Json), model: MODEL, sequence: 99 }
      signed['version'] = Number(signed['version']) + 1
      signed['targets'] = { [`${MODEL}/6.6.6`]: { ...entry, custom } }
    })
    const lines = { ...vendor.metadata.lines, 'line-lamp': vendor.repository.get(lamp) ?? utf8('') }
    vendor.serve({ ...vendor.metadata, lines }, { nowMs: clock.nowMs() })
    assert.equal(await refusal(device), undefined)
    assert.equal(versionOf(device.newest(MODEL)), '1')
    assert.equal(target.model, 'lamp')
  })

  test('cannot name other bytes than the CID says, nor anything that is no release', async () => {
    const { clock, vendor, device } = await scene()
    const line = newestFile(vendor, `line-${MODEL}`)
    forge(vendor, line, [vendor.signers.line], (signed) => {
      const [path = '', entry] = Object.entries(signed['targets'] as Json)[0] ?? []
      const good = entry as Json
      const custom = good['custom'] as Json
      const named = (version: string, change: Json) => ({
        [`${MODEL}/${version}`]: {
          ...good,
          custom: { ...custom, version, sequence: 50, ...change },
        },
      })
      signed['version'] = Number(signed['version']) + 1
      signed['targets'] = {
        [path]: good,
        ...named('a', { root: 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi' }),
        ...named('b', { sequence: 0 }),
        ...named('c', { model: 'lamp' }),
        ...named('d', { releaseKeyHash: '0x12' }),
        ...named('e', { deltas: 'none' }),
        [`${MODEL}/f`]: {
          ...good,
          length: 1e12,
          custom: { ...custom, version: 'f', sequence: 51 },
        },
        [`${MODEL}/g`]: { length: 1, hashes: { sha256: '00' } },
      }
    })
    const lines = { [`line-${MODEL}`]: vendor.repository.get(line) ?? utf8('') }
    vendor.serve({ ...vendor.metadata, lines }, { nowMs: clock.nowMs() })
    assert.equal(await refusal(device), undefined)
    assert.deepEqual(device.current(MODEL).map(versionOf), ['1'])
  })

  test('cannot fill it with endless data, nonsense, or nothing', async () => {
    const names = ['2.root.json', 'timestamp.json', '4.snapshot.json', `3.line-${MODEL}.json`]
    for (const name of names) {
      const { vendor, device } = await scene()
      await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
      await vendor.publish(randomBytes(100), { model: MODEL, version: '3' })
      assert.ok(name === '2.root.json' || vendor.repository.has(name), name)
      vendor.repository.set(name, new Uint8Array(3_000_000))
      assert.equal(await refusal(device), 'metadata-too-large', name)
      for (const nonsense of [
        '',
        '{}',
        '[]',
        'null',
        '{"signed":{},"signatures":[]}',
        '{"signed":',
      ]) {
        vendor.repository.set(name, utf8(nonsense))
        assert.equal(await refusal(device), 'metadata-untrusted', `${name} ${nonsense}`)
      }
      vendor.repository.delete(name)
      const missing = name === '2.root.json' ? undefined : 'metadata-missing'
      assert.equal(await refusal(device), missing, name)
    }
  })

  test('that ran ahead with a stolen online key is overtaken by a new root', async () => {
    const { clock, vendor, device } = await scene()
    const time = { nowMs: clock.nowMs() }
    // Fast-forward: the thief makes versions so high that honest ones look old.
    forge(vendor, 'timestamp.json', [vendor.signers.online], (signed) => {
      signed['version'] = 2 ** 40
    })
    assert.equal(await refusal(device), undefined)
    vendor.serve(vendor.metadata)
    assert.equal(await refusal(device), 'metadata-rolled-back')

    const online = createTufSigner(new Uint8Array(32).fill(5))
    const { root, targets } = vendor.signers
    const roles = { ...vendor.roles, online: { keys: [online], threshold: 1 } }
    const rotated = rotateRoot(vendor.metadata, roles, { root: [root], targets: [targets] }, time)
    for (const file of metadataFiles(
      signOnline({ ...vendor.metadata, ...rotated }, [online], time),
    )) {
      vendor.repository.set(file.name, file.bytes)
    }
    assert.equal(await refusal(device), undefined)
    assert.equal(versionOf(device.newest(MODEL)), '1')
    // The stolen key is worth nothing now.
    forge(vendor, 'timestamp.json', [vendor.signers.online], (signed) => {
      signed['version'] = 2 ** 41
    })
    assert.equal(await refusal(device), 'metadata-untrusted')
  })

  test('cannot replace the root: every root is signed by the one before it, and none is left out', async () => {
    const { clock, vendor, device, saved } = await scene()
    const time = { nowMs: clock.nowMs() }
    const mallory = { keys: [attacker], threshold: 1 }
    const roles = { root: mallory, targets: mallory, online: mallory }
    const { root, targets } = vendor.signers
    // The vendor's own function refuses to make such a root; so the attacker signs without it.
    assert.throws(
      () => rotateRoot(vendor.metadata, roles, { root: [attacker], targets: [attacker] }, time),
      { code: 'metadata-change-invalid' },
    )
    vendor.repository.set('2.root.json', vendor.initialRoot)
    forge(vendor, '2.root.json', [attacker], (signed) => (signed['version'] = 2))
    assert.equal(await refusal(device), 'metadata-untrusted')

    const second = rotateRoot(
      vendor.metadata,
      vendor.roles,
      { root: [root], targets: [targets] },
      time,
    )
    const third = rotateRoot(second, vendor.roles, { root: [root], targets: [targets] }, time)
    vendor.repository.set('2.root.json', third.root)
    assert.equal(await refusal(device), 'metadata-rolled-back')
    vendor.repository.set('2.root.json', second.root)
    vendor.repository.set('3.root.json', third.root)
    assert.equal(await refusal(device), undefined)
    assert.deepEqual(saved().get('root'), third.root)
  })
})

test('a device does not start from a root that nobody signed', async () => {
  const { vendor } = await scene()
  const unsigned = signFile(
    (JSON.parse(fromUtf8(vendor.initialRoot)) as { signed: Json }).signed,
    [],
  )
  for (const initialRoot of [unsigned, utf8('{}'), vendor.metadata.timestamp]) {
    const needs = {
      store: { load: () => Promise.resolve(new Map()), save: () => Promise.resolve() },
      clock: { nowMs: () => 0 },
      log: silentLog,
      fetchMetadata: () => Promise.resolve(undefined),
    }
    assert.throws(() => createTrustedReleases(needs, { initialRoot, models: [MODEL] }), {
      code: 'metadata-damaged',
      blame: 'caller',
    })
  }
})

test('what has verified is kept although a later file is refused', async () => {
  const { clock, vendor, device, saved } = await scene()
  const { root, targets } = vendor.signers
  const time = { nowMs: clock.nowMs() }
  const rotated = rotateRoot(
    vendor.metadata,
    vendor.roles,
    { root: [root], targets: [targets] },
    time,
  )
  vendor.serve(rotated)
  vendor.repository.set('timestamp.json', utf8('{}'))
  assert.equal(await refusal(device), 'metadata-untrusted')
  assert.deepEqual(saved().get('root'), rotated.root)
})

test('an error of the network is no verdict on the vendor, and ends the refresh', async () => {
  const { vendor, device } = await scene()
  await vendor.publish(randomBytes(100), { model: MODEL, version: '2' })
  const offline = createTrustedReleases(
    {
      store: { load: () => Promise.resolve(new Map()), save: () => Promise.resolve() },
      clock: { nowMs: () => Date.UTC(2026, 10, 24) },
      log: silentLog,
      fetchMetadata: () => Promise.reject(new Error('no route')),
    },
    { initialRoot: vendor.initialRoot, models: [MODEL] },
  )
  await assert.rejects(offline.refresh(), /no route/)
  await assert.rejects(
    device.refresh({ signal: AbortSignal.abort(new Error('stopping')) }),
    /stopping/,
  )
  assert.equal((await device.refresh()).ok, true)
})

test('a file that would keep the verifier busy for minutes is refused at once', async () => {
  const many = JSON.stringify(Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [n, {}])))
  const deep = `${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}`
  for (const keys of [many, deep]) {
    const { vendor, device } = await scene()
    const root = fromUtf8(vendor.initialRoot).replace('"keys":', `"keys":${keys},"more":`)
    vendor.repository.set('2.root.json', utf8(root))
    const startedMs = performance.now()
    assert.equal(await refusal(device), 'metadata-untrusted')
    assert.ok(performance.now() - startedMs < 1_500)
  }
})
