import assert from 'node:assert/strict'
import { createDecipheriv, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import * as dagCbor from '@ipld/dag-cbor'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { CID } from 'multiformats/cid'
import { concat, utf8 } from '../base/index.ts'
import { openNode, PROFILE_64K, sealFile, walkTree } from './index.ts'

const SECRET = new Uint8Array(32).fill(7)

/** The seal as the door describes it, opened with other code than the room's own. */
function openSeal(sealed: Uint8Array, key: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-256-gcm', key, new Uint8Array(12))
  decipher.setAuthTag(sealed.subarray(-16))
  return concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
}

const keyOf = (compressed: Uint8Array, form: string) =>
  hkdf(sha256, SECRET, undefined, concat([utf8(`ioex/chunk/1${form}`), sha256(compressed)]), 32)

test('blocks are what the door says: anybody with the recipe can write a reader', async () => {
  const blocks = new Map<string, Uint8Array>()
  const image = concat([randomBytes(200_000), new Uint8Array(300_000)])
  const source = (async function* () {
    yield image
    await Promise.resolve()
  })()
  const { tree } = await sealFile(
    source,
    ({ cid, bytes }) => Promise.resolve(void blocks.set(cid.toString(), bytes)),
    { profile: PROFILE_64K, secret: SECRET, zstdLevel: 3 },
  )
  const get = (cid: CID) => {
    const bytes = blocks.get(cid.toString())
    assert.ok(bytes !== undefined)
    assert.deepEqual(cid.multihash.digest, sha256(bytes))
    return Promise.resolve(bytes)
  }
  const root = await get(tree.cid)
  assert.equal(tree.cid.code, 0x71)
  const { links, sealed } = dagCbor.decode<{ links: CID[]; sealed: Uint8Array }>(root)
  const compressedNode = openSeal(sealed, tree.key)
  assert.deepEqual(keyOf(compressedNode, 'node'), tree.key)
  const payload = zstdDecompressSync(compressedNode)
  assert.ok(payload.equals(openNode(root, tree.key).payload))
  const [height, rows] =
    dagCbor.decode<[number, [number, number, Uint8Array, Uint8Array][]]>(payload)
  assert.equal(height, 0)

  const refs = await Array.fromAsync(walkTree(tree, get))
  const plain: Uint8Array[] = []
  for (const [index, [plainBytes, sealedBytes, plainHash, key]] of rows.entries()) {
    const cid = links[index]
    assert.ok(cid !== undefined && cid.code === 0x55)
    assert.deepEqual(refs[index], { cid, plainBytes, sealedBytes, plainHash, key })
    const block = await get(cid)
    assert.equal(block.byteLength, sealedBytes)
    const compressed = openSeal(block, key)
    assert.deepEqual(keyOf(compressed, 'plain'), key)
    const chunk = zstdDecompressSync(compressed)
    assert.equal(chunk.byteLength, plainBytes)
    assert.deepEqual(sha256(chunk), plainHash)
    plain.push(chunk)
  }
  assert.equal(rows.length, links.length)
  assert.ok(Buffer.concat(plain).equals(image))
})
