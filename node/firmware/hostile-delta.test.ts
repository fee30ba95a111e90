import assert from 'node:assert/strict'
import { createCipheriv, createHash, hkdfSync } from 'node:crypto'
import { describe, test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { concat, utf8 } from '../base/index.ts'
import { isDeltaBetween, openDeltaRoot } from './index.ts'

const RELEASE_KEY = new Uint8Array(32).fill(5)

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const cidOf = (code: number, text: string) =>
  CID.createV1(code, Digest.create(0x12, sha256(utf8(text))))

const ENDS = { base: cidOf(0x71, 'base'), release: cidOf(0x71, 'release') }
const LIST = cidOf(0x71, 'list')

/** What the format says, written a second time. */
function sealHead(keys: Uint8Array, releaseKey = RELEASE_KEY): Uint8Array {
  const purpose = utf8('ioex/delta/1')
  const key = new Uint8Array(hkdfSync('sha256', releaseKey, new Uint8Array(), purpose, 32))
  const nonce = new Uint8Array(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return concat([nonce, cipher.update(keys), cipher.final(), cipher.getAuthTag()])
}

function rootOf(claims: Readonly<Record<string, unknown>> = {}): Uint8Array {
  return dagCbor.encode({
    v: 1,
    base: ENDS.base.multihash.digest,
    release: ENDS.release.multihash.digest,
    lists: [LIST],
    sealedHead: sealHead(new Uint8Array(32).fill(6)),
    ...claims,
  })
}

const open = (bytes: Uint8Array) => () => openDeltaRoot(bytes, ENDS, RELEASE_KEY)

describe('a delta root', () => {
  test('that is as the format says is taken', () => {
    assert.deepEqual(open(rootOf())(), [{ cid: LIST, key: new Uint8Array(32).fill(6) }])
    assert.ok(isDeltaBetween(rootOf(), ENDS))
  })

  for (const [what, claims, said] of [
    ['is of another version', { v: 2 }, /is no delta root/],
    ['leads from another release', { base: LIST.multihash.digest }, /between other releases/],
    ['leads to another release', { release: LIST.multihash.digest }, /between other releases/],
    ['names a release by something else', { base: 'base' }, /between other releases/],
    ['has no lists', { lists: [] }, /impossible lists/],
    ['has more lists than any', { lists: Array(33).fill(LIST) }, /impossible lists/],
    ['has something else in their place', { lists: { 0: LIST } }, /is no delta root/],
    ['has keys for other lists', { lists: [LIST, LIST] }, /keys for other lists/],
    ['links to a chunk', { lists: [cidOf(0x55, 'chunk')] }, /links to what is no list/],
    ['links to nothing', { lists: ['list'] }, /links to what is no list/],
    ['has no head', { sealedHead: new Uint8Array(20) }, /has no head/],
    ['has something else as head', { sealedHead: 'head' }, /is no delta root/],
    ['is too large', { more: new Uint8Array(5_000) }, /too large for a delta/],
  ] satisfies readonly (readonly [string, Record<string, unknown>, RegExp])[]) {
    test(`that ${what} is refused`, () => {
      assert.throws(open(rootOf(claims)), { code: 'release-damaged', blame: 'peer', message: said })
    })
  }

  test('that is none at all is refused', () => {
    assert.throws(open(utf8('none')), { code: 'release-damaged' })
    assert.throws(open(dagCbor.encode(null)), { code: 'release-damaged' })
  })

  test('whose head was changed, or is of another key, is refused', () => {
    const sealedHead = sealHead(new Uint8Array(32))
    sealedHead[12] = (sealedHead[12] ?? 0) ^ 1
    assert.throws(open(rootOf({ sealedHead })), { code: 'release-key-wrong' })
    const foreign = sealHead(new Uint8Array(32), new Uint8Array(32))
    assert.throws(open(rootOf({ sealedHead: foreign })), { code: 'release-key-wrong' })
  })
})
