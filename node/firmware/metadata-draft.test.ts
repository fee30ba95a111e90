import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { codeOf, silentLog } from '../base/index.ts'
import {
  acceptVendorMetadata,
  createTrustedReleases,
  createTufSigner,
  createVendorMetadata,
  describeDraft,
  draftKeys,
  draftRelease,
  draftRenewal,
  expiriesOf,
  finishDraft,
  lineKeysOf,
  type MetadataDraft,
  metadataFiles,
  missingSignatures,
  type OfflineMetadata,
  rolesOf,
  signDraft,
  signOnline,
  type TufSigner,
  type VendorMetadata,
} from './index.ts'

const MODEL = 'pump-s3'
const DAY_MS = 86_400_000
const START_MS = Date.UTC(2026, 10, 24)
const signer = (number: number) => createTufSigner(new Uint8Array(32).fill(number))
const [ada, ben, cleo, dan, online] = [1, 2, 3, 4, 9].map(signer) as [
  TufSigner,
  TufSigner,
  TufSigner,
  TufSigner,
  TufSigner,
]
const of = (threshold: number, ...keys: TufSigner[]) => ({ keys, threshold })
const time = { nowMs: START_MS }

function twoOfThree(): OfflineMetadata {
  const three = of(2, ada, ben, cleo)
  const signers = { root: [ada, ben], targets: [ada, ben] }
  const roles = { root: three, targets: three, online: of(1, online) }
  return createVendorMetadata(roles, signers, time)
}

const release = (version: string) => ({
  model: MODEL,
  version,
  root: CID.parse('bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'),
  rootBytes: 300,
  releaseKeyHash: `0x${'11'.repeat(32)}` as const,
  deltas: [],
  announceSigner: `0x${'22'.repeat(20)}` as const,
})

function signedBy(draft: MetadataDraft, ...signers: TufSigner[]): OfflineMetadata {
  // One after the other, as the draft goes from machine to machine.
  return finishDraft(signers.reduce((now, one) => signDraft(now, [one]).draft, draft))
}

/** A device that was enrolled with the first root and looks at what the gateway has now. */
function createDevice(first: OfflineMetadata) {
  const files = new Map<string, Uint8Array>()
  let saved: ReadonlyMap<string, Uint8Array> = new Map()
  let served: Partial<VendorMetadata> = {}
  const releases = createTrustedReleases(
    {
      store: {
        load: () => Promise.resolve(saved),
        save(all) {
          saved = new Map(all)
          return Promise.resolve()
        },
      },
      clock: { nowMs: () => START_MS },
      log: silentLog,
      fetchMetadata: (name) => Promise.resolve(files.get(name)),
    },
    { initialRoot: first.root, models: [MODEL] },
  )
  return {
    releases,
    serve(metadata: OfflineMetadata) {
      served = signOnline({ ...served, ...metadata }, [online], time)
      for (const { name, bytes } of metadataFiles(served)) files.set(name, bytes)
    },
  }
}

test('a release is published when two of three holders have signed, in any order, and not before', () => {
  const draft = draftRelease(twoOfThree(), release('1.0.0'), time)
  assert.deepEqual(
    missingSignatures(draft).map(({ role, have, threshold }) => [role, have, threshold]),
    [
      ['targets', 0, 2],
      [`line-${MODEL}`, 0, 2],
    ],
  )
  const one = signDraft(draft, [cleo])
  assert.deepEqual(one.signed, ['targets', `line-${MODEL}`])
  assert.throws(
    () => finishDraft(one.draft),
    (thrown) => codeOf(thrown) === 'metadata-change-invalid',
  )
  assert.deepEqual(signDraft(one.draft, [cleo]).signed, [], 'nobody counts twice')
  assert.deepEqual(signDraft(one.draft, [dan]).signed, [], 'nor a stranger once')
  const done = finishDraft(signDraft(one.draft, [ada]).draft)
  assert.equal(lineKeysOf(done, MODEL).threshold, 2)
  const accepted = acceptVendorMetadata(twoOfThree(), done, { ...time, onlineKey: online })
  assert.ok(accepted.ok)
  assert.deepEqual(
    accepted.value.added.map(({ version }) => version),
    ['1.0.0'],
  )
})

test('one stolen key of three publishes nothing', () => {
  const base = twoOfThree()
  const thief = signDraft(draftRelease(base, release('6.6.6'), time), [ben]).draft
  const answer = acceptVendorMetadata(base, thief.next, { ...time, onlineKey: online })
  assert.deepEqual(answer, { ok: false, reason: 'signatures-missing' })
  assert.throws(() => signOnline(thief.next, [online], time))
})

test('a lost key is revoked, and a device that slept through three new roots follows', async () => {
  const first = twoOfThree()
  const device = createDevice(first)
  let now = signedBy(draftRelease(first, release('1.0.0'), time), ada, ben)
  device.serve(now)
  assert.ok((await device.releases.refresh()).ok)

  const revoke = draftKeys(now, 'targets', of(2, ada, cleo, dan), time)
  const words = describeDraft(revoke).join('\n')
  assert.match(words, new RegExp(`targets: key ${ben.keyId.slice(0, 12)} is revoked`))
  assert.match(words, new RegExp(`model ${MODEL}: key ${dan.keyId.slice(0, 12)} may sign`))
  // The new root wants old root keys; targets and the line want keys of the new ones.
  now = signedBy(revoke, ada, cleo)
  device.serve(now)
  now = signedBy(draftKeys(now, 'root', of(2, ada, cleo, dan), time), ada, dan, ben)
  device.serve(now)
  now = signedBy(draftRenewal(now, time), cleo, dan)
  device.serve(now)
  assert.deepEqual(
    rolesOf(now).root.keys.map(({ keyId }) => keyId),
    [ada, cleo, dan].map(({ keyId }) => keyId),
  )
  const withBen = signDraft(draftRelease(now, release('2.0.0'), time), [ben, ada]).draft
  assert.throws(() => finishDraft(withBen))
  now = signedBy(draftRelease(now, release('2.0.0'), time), dan, cleo)
  device.serve(now)
  assert.ok((await device.releases.refresh()).ok)
  assert.equal(device.releases.current(MODEL).at(-1)?.version, '2.0.0')
})

test('a model is given keys of its own, and targets alone no longer speak for it', () => {
  const base = signedBy(draftRelease(twoOfThree(), release('1.0.0'), time), ada, ben)
  const own = signedBy(draftKeys(base, { model: MODEL }, of(1, dan), time), ada, ben, dan)
  const next = draftRelease(own, release('1.1.0'), time)
  assert.deepEqual(signDraft(next, [ada, ben]).signed, [])
  assert.equal(signedBy(next, dan).root, own.root)
})

test('a renewal is good for a year more, and says which file ends first', () => {
  const base = signedBy(draftRelease(twoOfThree(), release('1.0.0'), time), ada, ben)
  const later = { nowMs: START_MS + 300 * DAY_MS }
  const renewed = signedBy(draftRenewal(base, later), cleo, ben)
  const days = (metadata: OfflineMetadata) =>
    expiriesOf(metadata).map(({ expiresMs }) => Math.round((expiresMs - later.nowMs) / DAY_MS))
  assert.deepEqual(days(base), [65, 65, 65])
  assert.deepEqual(days(renewed), [365, 365, 365])
  const answer = acceptVendorMetadata(base, renewed, { ...later, onlineKey: online })
  assert.ok(answer.ok)
})

test('the key of the gateway signs no image and no root', () => {
  const draft = draftRelease(twoOfThree(), release('1.0.0'), time)
  assert.deepEqual(signDraft(draft, [online]).signed, [])
  assert.deepEqual(signDraft(draftRenewal(twoOfThree(), time), [online]).signed, [])
})
