import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GIB, type Hex, toHex, utf8 } from '../base/index.ts'
import { type EvmAddress, keccak256 } from '../identity/index.ts'
import {
  type Grant,
  grantId,
  pricedAmount,
  type ServerShare,
  serviceId,
  type TallyEntry,
  tally,
} from './index.ts'

const address = (name: string): EvmAddress => toHex(keccak256(utf8(name)).subarray(12))
/** 0.01 GAS per GiB. */
const PRICE = { priceGas18: 10n ** 16n, unitBytes: BigInt(GIB) }
/** One wei for three bytes: every rounding shows. */
const COARSE = { priceGas18: 1n, unitBytes: 3n }
const priceOf = (_service: Hex, version: number) => [undefined, PRICE, COARSE][version]

function grantOf(serial: bigint, priceVersion = 1, maxBytes = 1_000_000n): Grant {
  return {
    vendor: address('vendor'),
    device: address('device'),
    root: toHex(keccak256(utf8('root'))),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes,
    service: serviceId('ioex/bandwidth'),
    priceVersion,
    notBefore: 0,
    notAfter: 1,
    serial,
  }
}

function entry(grant: Grant, server: EvmAddress, serverBytes: bigint): TallyEntry {
  return {
    grant,
    receipt: { grantId: grantId(grant), server, serverBytes, grantBytes: serverBytes },
  }
}

/** Three servers in the order of their addresses. */
const [anna, bert, carl] = [address('a'), address('b'), address('c')].sort() as [
  EvmAddress,
  EvmAddress,
  EvmAddress,
]

test('an amount is the floor of bytes times price by unit', () => {
  assert.equal(pricedAmount({ bytes: BigInt(GIB), ...PRICE }), 10n ** 16n)
  assert.equal(pricedAmount({ bytes: 1n, ...PRICE }), 9_313_225n)
  assert.equal(pricedAmount({ bytes: 2n, ...COARSE }), 0n)
  assert.equal(pricedAmount({ bytes: 2n ** 64n - 1n, ...PRICE }), 171798691839999999990686774n)
  assert.throws(() => pricedAmount({ bytes: -1n, ...PRICE }), { code: 'message-malformed' })
  assert.throws(() => pricedAmount({ bytes: 1n, priceGas18: 1n, unitBytes: 0n }), {
    code: 'message-malformed',
  })
})

test('of many receipts of one server only the highest counts, in whatever order they come', () => {
  const grant = grantOf(1n)
  const entries = [entry(grant, anna, 500n), entry(grant, anna, 900n), entry(grant, anna, 700n)]
  const result = tally(entries, { priceOf })
  assert.equal(result.totalBytes, 900n)
  assert.equal(result.totalGas18, pricedAmount({ bytes: 900n, ...PRICE }))
  assert.deepEqual(tally(entries.toReversed(), { priceOf }), result)
})

test('a grant is rounded once, and the shares of its servers sum to its amount', () => {
  const grant = grantOf(1n, 2)
  const entries = [anna, bert, carl].map((server) => entry(grant, server, 2n))
  const [only] = tally(entries, { priceOf }).grants
  // Six bytes are two wei; each server alone would have had none.
  assert.equal(only?.amountGas18, 2n)
  assert.deepEqual(
    only?.shares.map((share) => share.amountGas18),
    [0n, 1n, 1n],
  )
})

test('amounts are summed over grants, each rounded down for itself', () => {
  const entries = [1n, 2n, 3n].map((serial) => entry(grantOf(serial, 2), anna, 5n))
  const result = tally(entries, { priceOf })
  assert.equal(result.totalGas18, 3n)
  assert.equal(result.perServer.get(anna), 3n)
  assert.equal(result.perVendor.get(address('vendor')), 3n)
})

test('a grant is never billed beyond its maxBytes, however much was signed', () => {
  const grant = grantOf(1n, 1, 1000n)
  const entries = [anna, bert, carl].map((server) => entry(grant, server, 800n))
  const [only] = tally(entries, { priceOf }).grants
  assert.equal(only?.bytes, 1000n)
  assert.equal(only?.amountGas18, pricedAmount({ bytes: 1000n, ...PRICE }))
  assert.deepEqual(
    only?.shares.map((share) => share.bytes),
    [800n, 200n, 0n],
  )
})

test('a price version that nobody knows bills nothing and is named', () => {
  const grant = grantOf(1n, 7)
  const result = tally([entry(grant, anna, 5n)], { priceOf })
  assert.equal(result.totalGas18, 0n)
  assert.deepEqual(result.unpriced, [grantId(grant)])
})

test('a receipt beside a grant that is not its own is refused', () => {
  const wrong = { grant: grantOf(1n), receipt: entry(grantOf(2n), anna, 5n).receipt }
  assert.throws(() => tally([wrong], { priceOf }), { code: 'message-malformed' })
})

test('what was settled stays: over many epochs no share falls, and the sums stay exact', () => {
  const grant = grantOf(1n, 2, 500n)
  const id = grantId(grant)
  let random = 1
  const next = (below: number) => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0
    return (random >>> 8) % below
  }
  const bytes = new Map<EvmAddress, bigint>()
  let settled: readonly ServerShare[] = []
  let fellWithoutSettled = false
  let before = new Map<EvmAddress, bigint>()
  for (let epoch = 0; epoch < 300; epoch++) {
    const server = [anna, bert, carl][next(3)] ?? anna
    bytes.set(server, (bytes.get(server) ?? 0n) + BigInt(next(5)))
    const entries = [...bytes].map(([who, sum]) => entry(grant, who, sum))
    const [now] = tally(entries, {
      priceOf,
      settled: (asked) => (asked === id ? settled : []),
    }).grants
    assert.ok(now)
    for (const old of settled) {
      const share: ServerShare | undefined = now.shares.find((one) => one.server === old.server)
      assert.ok(share && share.amountGas18 >= old.amountGas18 && share.bytes >= old.bytes)
    }
    const total = [...bytes.values()].reduce((sum, one) => sum + one, 0n)
    assert.equal(now.bytes, total < 500n ? total : 500n)
    assert.equal(now.amountGas18, pricedAmount({ bytes: now.bytes, ...COARSE }))
    settled = now.shares
    const alone = tally(entries, { priceOf }).perServer
    fellWithoutSettled ||= [...before].some(([who, amount]) => (alone.get(who) ?? 0n) < amount)
    before = new Map(alone)
  }
  assert.ok(fellWithoutSettled, 'the caveat of rule 3 is real, else settled would not be needed')
})
