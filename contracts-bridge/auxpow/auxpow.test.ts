import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { toHex } from '@ioex/node/base'
import { craftAuxPow } from './craft.ts'
import { AUXPOW_ERRORS, type AuxPowRejection, sha256d, verifyAuxPow } from './index.ts'
import { targetOf } from './work.ts'
import { verifyMinedHeader } from './mined-header.ts'
import { auxPowVectors, hexFile } from './vectors.ts'

const CHAIN_ID = 1_224
const EASY_BITS = 0x207f_ffff
const auxHash = sha256d(new TextEncoder().encode('a block'))
const work = { bits: EASY_BITS, algorithm: 'sha256d' } as const
const namecoin = () => {
  const vector = auxPowVectors[0]
  assert.ok(vector)
  return vector
}

describe('a proof of merged mining', () => {
  for (const vector of auxPowVectors) {
    test(`of ${vector.name} is accepted`, () => {
      const verdict = verifyAuxPow(vector.proof, vector)
      assert.ok(verdict.ok, verdict.ok ? '' : verdict.reason)
    })
  }

  test('of Namecoin 37174 tells its parent, the size of the tree and the slot', () => {
    const verdict = verifyAuxPow(namecoin().proof, namecoin())
    assert.ok(verdict.ok)
    assert.equal(
      toHex(verdict.value.parentHash.toReversed()),
      '0x00000000000024111173f561b36ad4906df95f52503a79332d7f540c2a57db84',
    )
    assert.deepEqual([verdict.value.treeSize, verdict.value.slot], [16, 11])
  })

  test('that a pool would make is accepted, for each height of the tree', () => {
    for (const chainHeight of [0, 1, 8, 30]) {
      const proof = craftAuxPow({ auxHash, chainId: CHAIN_ID, bits: EASY_BITS, chainHeight })
      const verdict = verifyAuxPow(proof, { auxHash, chainId: CHAIN_ID, work })
      assert.deepEqual(verdict.ok && verdict.value.treeSize, 2 ** chainHeight)
    }
  })

  const crafted = Object.keys(AUXPOW_ERRORS).filter(
    (code) => code !== 'malformed' && code !== 'pow-above-target',
  ) as Exclude<AuxPowRejection, 'malformed' | 'pow-above-target'>[]
  for (const broken of crafted) {
    test(`that breaks the rule "${broken}" alone is refused for it`, () => {
      const proof = craftAuxPow({ auxHash, chainId: CHAIN_ID, bits: EASY_BITS, broken })
      const verdict = verifyAuxPow(proof, { auxHash, chainId: CHAIN_ID, work })
      assert.deepEqual(verdict, { ok: false, reason: broken })
    })
  }

  test('with less work than the block’s own target asks for is refused', () => {
    const { proof, chainId, auxHash: hash, work: asked } = namecoin()
    assert.ok(asked)
    for (const bits of [0x1922_2222, 0, 0x0180_0000, 0xff00_ffff]) {
      const verdict = verifyAuxPow(proof, { auxHash: hash, chainId, work: { ...asked, bits } })
      assert.deepEqual(verdict, { ok: false, reason: 'pow-above-target' })
    }
  })

  test('that ends anywhere before its end, or goes on behind it, is malformed', () => {
    const { proof } = namecoin()
    for (let length = 0; length < proof.length; length++) {
      const verdict = verifyAuxPow(proof.subarray(0, length), namecoin())
      assert.deepEqual(verdict, { ok: false, reason: 'malformed' })
    }
    const verdict = verifyAuxPow(Buffer.concat([proof, Uint8Array.of(0)]), namecoin())
    assert.deepEqual(verdict, { ok: false, reason: 'malformed' })
  })

  test('with a number in more bytes than it needs is malformed', () => {
    const { proof } = namecoin()
    const long = Buffer.concat([proof.subarray(0, 4), Uint8Array.of(0xfd, 1, 0), proof.subarray(5)])
    assert.deepEqual(verifyAuxPow(long, namecoin()), { ok: false, reason: 'malformed' })
  })

  test('of Namecoin 37174 may hold anything as the parent’s hash, and nothing else', () => {
    const { proof } = namecoin()
    // Bytes 1318 to 1349 of the file; its header has 80.
    const free = { from: 1_318 - 80, to: 1_350 - 80 }
    for (let at = 0; at < proof.length; at++) {
      const changed = Uint8Array.from(proof)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      const verdict = verifyAuxPow(changed, namecoin())
      assert.equal(verdict.ok, at >= free.from && at < free.to, `byte ${at}`)
    }
  })
})

test('a compact target is what Bitcoin makes of it', () => {
  assert.equal(targetOf(0x0112_3456), 0x12n)
  assert.equal(targetOf(0x0500_9234), 0x9234_0000n)
  assert.equal(targetOf(0x1d00_ffff), 0xffffn << 208n)
  assert.equal(targetOf(0x0492_3456), undefined)
})

describe('a block with its proof', () => {
  test('is accepted whole, when its transactions are those of its header', () => {
    const block = hexFile('dogecoin_371337.block.hex')
    const verdict = verifyMinedHeader(block, 98)
    assert.ok(verdict.ok)
    assert.ok((verdict.value.transactions ?? 0) > 0)
    const last = block.length - 1
    block[last] = (block[last] ?? 0) ^ 1
    assert.deepEqual(verifyMinedHeader(block, 98), {
      ok: false,
      reason: 'transactions-not-in-header',
    })
  })

  test('of another chain is refused', () => {
    const header = hexFile('namecoin_header_37174.fullheader.hex')
    assert.equal(verifyMinedHeader(header, 1).ok, true)
    assert.deepEqual(verifyMinedHeader(header, 98), { ok: false, reason: 'other-chain' })
    header[1] = 0
    assert.deepEqual(verifyMinedHeader(header, 1), { ok: false, reason: 'no-auxpow' })
  })

  test('of ioeX has 84 bytes and its reversed hash in the tree', () => {
    const header = new Uint8Array(84)
    new DataView(header.buffer).setUint32(72, EASY_BITS, true)
    const proof = craftAuxPow({
      ...{ auxHash: sha256d(header).toReversed(), chainId: CHAIN_ID, bits: EASY_BITS },
    })
    const block = Buffer.concat([header, proof, Uint8Array.of(1)])
    assert.equal(verifyMinedHeader(block, CHAIN_ID).ok, true)
    assert.deepEqual(verifyMinedHeader(Buffer.concat([block, header]), CHAIN_ID), {
      ok: false,
      reason: 'malformed',
    })
  })
})
