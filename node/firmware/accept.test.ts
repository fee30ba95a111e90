import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { fromUtf8, utf8 } from '../base/index.ts'
import { createFakeVendor } from '../testing/fake-vendor.ts'
import {
  acceptVendorMetadata,
  addRelease,
  createTufSigner,
  createVendorMetadata,
  type OfflineMetadata,
  removeRelease,
  renewLine,
  renewTargets,
  rotateRoot,
  type TufSigner,
  type UploadedMetadata,
} from './index.ts'
import { type JsonObject, signFile } from './tuf-file.ts'

const MODEL = 'pump-s3'
const LINE = `line-${MODEL}`
const nowMs = Date.UTC(2026, 10, 24)
const time = { nowMs }
const clock = { nowMs: () => nowMs }
const stranger = createTufSigner(new Uint8Array(32).fill(66))

async function published() {
  const vendor = createFakeVendor({ clock }, { name: 'acme' })
  const { target } = await vendor.publish(randomBytes(100), { model: MODEL, version: '1' })
  const { root, targets, lines } = vendor.metadata
  const current: OfflineMetadata = { root, targets, lines }
  const accept = (uploaded: UploadedMetadata, before: OfflineMetadata | undefined = current) =>
    acceptVendorMetadata(before, uploaded, { nowMs, onlineKey: vendor.signers.online })
  const { sequence: _, ...release } = target
  return { vendor, target, release, current, accept }
}

/** The file with its signed part changed, signed by these. */
function resigned(
  bytes: Uint8Array | undefined,
  signers: readonly TufSigner[],
  change: (signed: Record<string, JsonObject[string]>) => void,
): Uint8Array {
  assert.ok(bytes !== undefined)
  const { signed } = JSON.parse(fromUtf8(bytes)) as { signed: Record<string, JsonObject[string]> }
  signed['version'] = Number(signed['version']) + 1
  change(signed)
  return signFile(signed, signers)
}

describe('a gateway', () => {
  test('takes a first upload, a new release, a withdrawal, a new line, and a rotation', async () => {
    const { vendor, target, release, current, accept } = await published()
    const { line, root, targets } = vendor.signers
    const first = acceptVendorMetadata(undefined, current, {
      nowMs,
      onlineKey: vendor.signers.online,
    })
    assert.deepEqual(first, {
      ok: true,
      value: { metadata: current, added: [target], removed: [] },
    })

    const next = addRelease(current, { ...release, version: '2' }, { line: [line] }, time)
    const second = accept({ lines: next.metadata.lines })
    assert.deepEqual(second.ok && second.value.added, [next.target])
    const gone = removeRelease(next.metadata, target, [line], time)
    const third = accept({ lines: gone.lines }, next.metadata)
    assert.deepEqual(third.ok && third.value.removed, [target])

    const lamp = addRelease(
      current,
      { ...release, model: 'lamp' },
      { line: [stranger], targets: [targets] },
      time,
    )
    assert.equal(accept(lamp.metadata).ok, true)
    const roles = { ...vendor.roles, root: { keys: [stranger], threshold: 1 } }
    const rotated = rotateRoot(current, roles, { root: [root, stranger], targets: [targets] }, time)
    assert.deepEqual(accept({ root: rotated.root }).ok, true)
    assert.equal(accept({}).ok, true)
  })

  test('wants a threshold of different keys where the vendor set one', async () => {
    const { vendor } = await published()
    const { online } = vendor.signers
    const three = [1, 2, 3].map((n) => createTufSigner(new Uint8Array(32).fill(n)))
    const [one, two] = three as [TufSigner, TufSigner]
    const roles = { ...vendor.roles, root: { keys: three, threshold: 2 } }
    const signers = { root: [one, two], targets: [vendor.signers.targets] }
    const made = createVendorMetadata(roles, signers, time)
    assert.equal(acceptVendorMetadata(undefined, made, { nowMs, onlineKey: online }).ok, true)
    const few = { ...made, root: resigned(made.root, [one], () => undefined) }
    const refused = { ok: false, reason: 'signatures-missing' }
    assert.deepEqual(acceptVendorMetadata(undefined, few, { nowMs, onlineKey: online }), refused)
    const tooFew = { root: [one], targets: [vendor.signers.targets] }
    const invalid = { code: 'metadata-change-invalid' }
    assert.throws(() => createVendorMetadata(roles, tooFew, time), invalid)
    const none = { ...roles, root: { keys: [], threshold: 0 } }
    assert.throws(() => createVendorMetadata(none, signers, time), invalid)
  })

  test('refuses what a device would refuse, and what a vendor should not do', async () => {
    const { vendor, release, current, accept } = await published()
    const { line, root, targets, online } = vendor.signers
    const lineFile = current.lines[LINE]
    const lineWith = (change: (signed: Record<string, JsonObject[string]>) => void) => ({
      lines: { [LINE]: resigned(lineFile, [line], change) },
    })
    const entries = (signed: Record<string, JsonObject[string]>) => {
      const all = signed['targets'] as Record<string, Record<string, JsonObject[string]>>
      const [path = '', entry = {}] = Object.entries(all)[0] ?? []
      return { all, path, entry, custom: entry['custom'] as JsonObject }
    }
    const later = addRelease(current, { ...release, version: '2' }, { line: [line] }, time)
    const skipped = renewLine(later.metadata, MODEL, [line], time)
    const otherRoot = createFakeVendor({ clock }, { name: 'other' }).metadata
    const cases: readonly (readonly [string, UploadedMetadata, string])[] = [
      ['nonsense', { targets: utf8('{}') }, 'metadata-damaged'],
      ['too much', { root: new Uint8Array(100_000) }, 'metadata-damaged'],
      ['a version left out', { lines: skipped.lines }, 'version-not-next'],
      ['a foreign root', { root: otherRoot.root }, 'signatures-missing'],
      [
        'a root of the wrong version',
        { root: resigned(current.root, [root], (signed) => (signed['version'] = 7)) },
        'version-not-next',
      ],
      [
        'an unsigned line',
        { lines: { [LINE]: resigned(lineFile, [stranger], () => undefined) } },
        'signatures-missing',
      ],
      [
        'targets of the line key',
        { targets: resigned(current.targets, [line], () => undefined) },
        'signatures-missing',
      ],
      [
        'an expired line',
        lineWith((signed) => (signed['expires'] = '2026-11-24T00:00:00Z')),
        'metadata-expired',
      ],
      [
        'a root without the online key',
        {
          root: rotateRoot(
            current,
            { ...vendor.roles, online: { keys: [stranger], threshold: 1 } },
            { root: [root], targets: [targets] },
            time,
          ).root,
        },
        'online-key-missing',
      ],
      [
        'a root with a second online key',
        {
          root: rotateRoot(
            current,
            { ...vendor.roles, online: { keys: [stranger, online], threshold: 1 } },
            { root: [root], targets: [targets] },
            time,
          ).root,
        },
        'online-key-missing',
      ],
      [
        'one key under two names',
        {
          root: resigned(current.root, [root], (signed) => {
            const keys = signed['keys'] as JsonObject
            signed['keys'] = { ...keys, twin: Object.values(keys)[0] ?? null }
          }),
        },
        'metadata-damaged',
      ],
      ['a line nobody delegated', { lines: { 'line-lamp': lineFile ?? utf8('') } }, 'line-missing'],
      [
        'a release beside the lines',
        {
          targets: resigned(current.targets, [targets], (signed) => {
            signed['targets'] = { 'x/1': { length: 1, hashes: { sha256: '00' } } }
          }),
        },
        'release-invalid',
      ],
      [
        'a delegation of everything',
        {
          targets: resigned(current.targets, [targets], (signed) => {
            const { keys, roles } = signed['delegations'] as {
              keys: JsonObject
              roles: JsonObject[]
            }
            signed['delegations'] = {
              keys,
              roles: roles.map((role) => ({ ...role, paths: ['*/*'] })),
            }
          }),
        },
        'delegation-unexpected',
      ],
      [
        'a line that delegates further',
        lineWith((signed) => (signed['delegations'] = { keys: {}, roles: [] })),
        'delegation-unexpected',
      ],
      [
        'other content under a published version',
        lineWith((signed) => {
          const { path, entry, custom } = entries(signed)
          const root = 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'
          const sha256 = 'c0535e4be2b79ffd93291305436bf889314e4a3faec05ecffcbb7df31ad9e51a'
          signed['targets'] = {
            [path]: { ...entry, hashes: { sha256 }, custom: { ...custom, root } },
          }
        }),
        'release-invalid',
      ],
      [
        'a sequence given twice',
        lineWith((signed) => {
          const { all, entry, custom } = entries(signed)
          const again = { ...entry, custom: { ...custom, version: '9' } }
          signed['targets'] = { ...all, [`${MODEL}/9`]: again }
        }),
        'release-invalid',
      ],
      [
        'a release of another model',
        lineWith((signed) => {
          const { all, entry, custom } = entries(signed)
          const foreign = { ...entry, custom: { ...custom, model: 'lamp', sequence: 2 } }
          signed['x-ioex-last-sequence'] = 2
          signed['targets'] = { ...all, 'lamp/1': foreign }
        }),
        'release-invalid',
      ],
      [
        'a sequence taken back',
        lineWith((signed) => (signed['x-ioex-last-sequence'] = 0)),
        'release-invalid',
      ],
    ]
    for (const [what, uploaded, reason] of cases) {
      assert.deepEqual(accept(uploaded), { ok: false, reason }, what)
    }
    const renewed = renewTargets(current, [targets], time)
    assert.equal(accept({ targets: renewed.targets }).ok, true)
    const empty = acceptVendorMetadata(undefined, {}, { nowMs, onlineKey: online })
    assert.deepEqual(empty, { ok: false, reason: 'metadata-damaged' })
    const lineless = { root: current.root, targets: current.targets }
    const unfinished = acceptVendorMetadata(undefined, lineless, { nowMs, onlineKey: online })
    assert.deepEqual(unfinished, { ok: false, reason: 'line-missing' })
  })
})
