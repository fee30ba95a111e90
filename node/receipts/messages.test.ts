import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode } from '@ipld/dag-cbor'
import { type Hex, toHex, utf8 } from '../base/index.ts'
import { createIdentity, type EvmAddress, keccak256 } from '../identity/index.ts'
import {
  checkReceipt,
  type Decoded,
  decodeSignedGrant,
  decodeSignedPinOrder,
  decodeSignedReceipt,
  digest,
  encodeSignedGrant,
  encodeSignedPinOrder,
  encodeSignedReceipt,
  type Grant,
  grantId,
  grantSigner,
  hashReceipt,
  MAX_PIN_ROOTS,
  type PinOrder,
  pinOrderSigner,
  receiptSigner,
  serviceId,
  signedGrantFromJson,
  signedGrantToJson,
  signedPinOrderFromJson,
  signedPinOrderToJson,
  signedReceiptFromJson,
  signedReceiptToJson,
  signGrant,
  signPinOrder,
  signReceipt,
} from './index.ts'

const vendor = createIdentity(keccak256(utf8('vendor')))
const device = createIdentity(keccak256(utf8('device')))
const server = createIdentity(keccak256(utf8('server')))
const domain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
} as const
const root = toHex(keccak256(utf8('root')))
const grant: Grant = {
  vendor: vendor.evmAddress,
  device: device.evmAddress,
  root,
  deltaRoot: toHex(new Uint8Array(32)),
  maxBytes: 2n ** 63n + 1n,
  service: serviceId('ioex/bandwidth'),
  priceVersion: 1,
  notBefore: 1_795_000_000,
  notAfter: 1_795_600_000,
  serial: 1n,
}
const order: PinOrder = {
  payer: vendor.evmAddress,
  roots: [root, grant.service],
  bytes: 1000n,
  from: 1,
  until: 2,
  copies: 3,
  service: serviceId('ioex/storage'),
  priceVersion: 1,
  signers: [vendor.evmAddress],
}
const receipt = {
  grantId: grantId(grant),
  server: server.evmAddress,
  serverBytes: 5n,
  grantBytes: 7n,
}
const signedGrant = signGrant(vendor, domain, grant)
const signedReceipt = signReceipt(device, domain, receipt)
const signedOrder = signPinOrder(vendor, domain, order)

function detailOf(decoded: Decoded<unknown, string>): string {
  assert.ok(!decoded.ok, 'it was taken')
  assert.match(decoded.reason, /-malformed$/)
  return decoded.detail
}

test('grants that differ only in their serial are two grants', () => {
  assert.notEqual(grantId(grant), grantId({ ...grant, serial: 2n }))
})

test('each signature names its signer, under its own chain and contract only', () => {
  assert.equal(grantSigner(domain, signedGrant), vendor.evmAddress)
  assert.equal(receiptSigner(domain, signedReceipt), device.evmAddress)
  assert.equal(pinOrderSigner(domain, signedOrder), vendor.evmAddress)
  const elsewhere: EvmAddress = `0x${'11'.repeat(20)}`
  for (const other of [
    { ...domain, chainId: 1 },
    { ...domain, verifyingContract: elsewhere },
  ]) {
    assert.notEqual(grantSigner(other, signedGrant), vendor.evmAddress)
    assert.notEqual(receiptSigner(other, signedReceipt), device.evmAddress)
  }
})

test('changing any one field of a receipt takes its signer away', () => {
  const other = toHex(keccak256(utf8('other')))
  for (const change of [
    { grantId: other },
    { server: vendor.evmAddress },
    { serverBytes: 6n },
    { grantBytes: 8n },
  ]) {
    const forged = { ...signedReceipt, message: { ...receipt, ...change } }
    assert.notEqual(receiptSigner(domain, forged), device.evmAddress)
  }
})

test('the second form of a signature (s in the upper half) is nobody’s', () => {
  const order256 = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
  const bytes = Uint8Array.fromHex(signedReceipt.signature.slice(2))
  const s = order256 - BigInt(`0x${bytes.subarray(32, 64).toHex()}`)
  const v = bytes[64] === 27 ? '1c' : '1b'
  const high: Hex = `0x${bytes.subarray(0, 32).toHex()}${s.toString(16).padStart(64, '0')}${v}`
  assert.equal(receiptSigner(domain, { message: receipt, signature: high }), undefined)
})

test('who collects receipts can check one against its grant without a book', () => {
  const check = (change: object, signer = device) => {
    const message = { ...receipt, ...change }
    return checkReceipt(domain, signedGrant, signReceipt(signer, domain, message))
  }
  const no = (reason: string) => ({ ok: false, reason })
  assert.deepEqual(check({}), { ok: true, value: undefined })
  assert.deepEqual(check({}, vendor), no('receipt-signer-wrong'))
  const other = grantId({ ...grant, serial: 2n })
  assert.deepEqual(check({ grantId: other }), no('receipt-grant-unknown'))
  assert.deepEqual(check({ grantBytes: grant.maxBytes + 1n }), no('receipt-beyond-grant'))
  assert.deepEqual(check({ serverBytes: 8n }), no('receipt-malformed'))
  const shortened = { ...signedReceipt, signature: '0x00' } as const
  assert.deepEqual(checkReceipt(domain, signedGrant, shortened), no('receipt-malformed'))
})

test('an address in capitals or a figure out of range is never hashed or signed', () => {
  const shouted = device.evmAddress.toUpperCase().replace('0X', '0x') as Hex
  for (const bad of [
    { ...grant, device: shouted },
    { ...grant, maxBytes: -1n },
    { ...grant, maxBytes: 2n ** 64n },
    { ...grant, priceVersion: 2 ** 32 },
    { ...grant, priceVersion: 0.5 },
    { ...grant, notAfter: 2 ** 53 },
    { ...grant, notBefore: -1 },
    { ...grant, root: `${root}00` as Hex },
    { ...grant, root: '0x' as Hex },
  ]) {
    assert.throws(() => grantId(bad), { code: 'message-malformed' })
    assert.throws(() => signGrant(vendor, domain, bad), { code: 'message-malformed' })
    assert.equal(grantSigner(domain, { ...signedGrant, message: bad }), undefined)
    assert.throws(() => encodeSignedGrant({ ...signedGrant, message: bad }), {
      code: 'message-malformed',
    })
  }
  const roots = Array.from({ length: MAX_PIN_ROOTS + 1 }, () => root)
  assert.throws(() => signPinOrder(vendor, domain, { ...order, roots }), {
    code: 'message-malformed',
  })
  assert.throws(() => digest({ ...domain, chainId: 0 }, hashReceipt(receipt)), {
    code: 'message-malformed',
  })
})

test('what is encoded comes back, on the wire and as JSON', () => {
  assert.deepEqual(decodeSignedGrant(encodeSignedGrant(signedGrant)), {
    ok: true,
    value: signedGrant,
  })
  assert.deepEqual(decodeSignedReceipt(encodeSignedReceipt(signedReceipt)), {
    ok: true,
    value: signedReceipt,
  })
  assert.deepEqual(decodeSignedPinOrder(encodeSignedPinOrder(signedOrder)), {
    ok: true,
    value: signedOrder,
  })
  const throughText = (json: unknown): unknown => JSON.parse(JSON.stringify(json))
  assert.deepEqual(signedGrantFromJson(throughText(signedGrantToJson(signedGrant))), {
    ok: true,
    value: signedGrant,
  })
  assert.deepEqual(signedReceiptFromJson(throughText(signedReceiptToJson(signedReceipt))), {
    ok: true,
    value: signedReceipt,
  })
  assert.deepEqual(signedPinOrderFromJson(throughText(signedPinOrderToJson(signedOrder))), {
    ok: true,
    value: signedOrder,
  })
  assert.equal(signedGrantToJson(signedGrant).message.maxBytes, '9223372036854775809')
})

test('the greatest pin order still fits the wire', () => {
  const greatest = signPinOrder(vendor, domain, {
    ...order,
    roots: Array.from({ length: MAX_PIN_ROOTS }, () => root),
    bytes: 2n ** 64n - 1n,
  })
  assert.ok(decodeSignedPinOrder(encodeSignedPinOrder(greatest)).ok)
})

test('bytes that are not the one encoding of a receipt are refused, with what is wrong', () => {
  const good = encodeSignedReceipt(signedReceipt)
  const { message, signature } = decode<{
    message: Record<string, unknown>
    signature: Uint8Array
  }>(good)
  const id = message['grantId'] as Uint8Array
  const address = message['server'] as Uint8Array
  const variant = (change: object) => encode({ message: { ...message, ...change }, signature })
  const without = (name: string) =>
    encode({
      message: Object.fromEntries(Object.entries(message).filter(([key]) => key !== name)),
      signature,
    })
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(), /dag-cbor/],
    ['cut short', good.subarray(0, -1), /dag-cbor/],
    ['bytes behind the end', Uint8Array.from([...good, 0]), /dag-cbor/],
    ['an array', encode([message, signature]), /\{ message, signature \}/],
    ['null', encode(null), /\{ message, signature \}/],
    ['a message of another kind', encodeSignedGrant(signedGrant), /grantId/],
    ['an unknown field', variant({ extra: 1 }), /do not belong/],
    ['an unknown field outside', encode({ message, signature, extra: 1 }), /do not belong/],
    ['a missing field', without('grantBytes'), /grantBytes/],
    ['a negative amount', variant({ serverBytes: -1 }), /serverBytes/],
    ['a fraction', variant({ serverBytes: 0.5 }), /serverBytes/],
    ['an amount as text', variant({ serverBytes: '5' }), /serverBytes/],
    ['an address with junk in front', variant({ server: new Uint8Array(32) }), /server/],
    ['an address cut short', variant({ server: address.subarray(1) }), /server/],
    ['an id with junk in front', variant({ grantId: Uint8Array.from([0, ...id]) }), /grantId/],
    ['a short signature', encode({ message, signature: signature.subarray(1) }), /signature/],
    ['a megabyte', new Uint8Array(1024 * 1024), /more than/],
  ]
  for (const [name, bytes, says] of cases) {
    assert.match(detailOf(decodeSignedReceipt(bytes)), says, name)
  }
})

test('every length of number comes back, and cut or lengthened bytes do not', () => {
  const edges = [0, 5, 8, 16, 24, 32, 48, 53, 63].map((bits) => 1n << BigInt(bits))
  const numbers = [0n, 23n, 24n, ...edges, ...edges.map((edge) => edge - 1n), 2n ** 64n - 1n]
  for (const serverBytes of numbers) {
    for (const grantBytes of numbers) {
      const signed = { ...signedReceipt, message: { ...receipt, serverBytes, grantBytes } }
      const wire = encodeSignedReceipt(signed)
      assert.deepEqual(decodeSignedReceipt(wire), { ok: true, value: signed })
      assert.ok(!decodeSignedReceipt(wire.subarray(0, -1)).ok)
      assert.ok(!decodeSignedReceipt(Uint8Array.of(...wire, 0)).ok)
    }
  }
})

test('a number that is written longer than it must be is refused', () => {
  const good = encodeSignedReceipt(signedReceipt)
  // serverBytes 5 is one byte 0x05; 0x18 0x05 is the same number in two.
  const name = Buffer.from('serverBytes')
  const at = Buffer.from(good).indexOf(name) + name.length
  assert.equal(good[at], 5)
  const longer = Uint8Array.from([...good.subarray(0, at), 0x18, 5, ...good.subarray(at + 1)])
  detailOf(decodeSignedReceipt(longer))
})

test('no flipped bit of a signed receipt yields another receipt of the same device', () => {
  const good = encodeSignedReceipt(signedReceipt)
  let decodable = 0
  for (let bit = 0; bit < good.byteLength * 8; bit++) {
    const flipped = good.slice()
    const byte = bit >> 3
    flipped[byte] = (flipped[byte] ?? 0) ^ (1 << (bit & 7))
    const decoded = decodeSignedReceipt(flipped)
    if (!decoded.ok) continue
    decodable++
    assert.notEqual(receiptSigner(domain, decoded.value), device.evmAddress)
  }
  assert.ok(decodable > 500, 'flips in digests and signature still decode')
})

test('JSON is read as strictly', () => {
  const good = signedReceiptToJson(signedReceipt)
  const variant = (change: object) => ({ ...good, message: { ...good.message, ...change } })
  const cases: [unknown, RegExp][] = [
    [undefined, /message, signature/],
    [[], /message, signature/],
    ['{}', /message, signature/],
    [{ ...good, extra: 1 }, /message, signature/],
    [variant({ extra: 1 }), /message is not/],
    [variant({ serverBytes: 5 }), /serverBytes/],
    [variant({ serverBytes: '05' }), /serverBytes/],
    [variant({ serverBytes: '-5' }), /serverBytes/],
    [variant({ serverBytes: '5.0' }), /serverBytes/],
    [variant({ serverBytes: ' 5' }), /serverBytes/],
    [variant({ serverBytes: '18446744073709551616' }), /serverBytes/],
    [variant({ serverBytes: '9'.repeat(10_000) }), /serverBytes/],
    [variant({ server: `0x${server.evmAddress.slice(2).toUpperCase()}` }), /server/],
    [variant({ grantId: undefined }), /grantId/],
    [{ ...good, signature: good.signature.slice(0, -2) }, /signature/],
    [{ message: good.message }, /signature/],
  ]
  for (const [json, says] of cases) assert.match(detailOf(signedReceiptFromJson(json)), says)
  const greatest = signedReceiptFromJson(variant({ serverBytes: '18446744073709551615' }))
  assert.ok(greatest.ok)
})
