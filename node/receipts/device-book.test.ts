import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { silentLog, toHex, utf8 } from '../base/index.ts'
import { createIdentity, keccak256 } from '../identity/index.ts'
import {
  createDeviceBook,
  type DeviceBookOptions,
  type Grant,
  grantId,
  receiptSigner,
  type SignedGrant,
  serviceId,
  signGrant,
} from './index.ts'

const parent = await mkdtemp(join(tmpdir(), 'ioex-device-book-'))
after(() => rm(parent, { recursive: true }))

const identityOf = (name: string) => createIdentity(keccak256(utf8(name)))
const vendor = identityOf('voucher signer')
const device = identityOf('device')
const [anna, bert] = [identityOf('anna').evmAddress, identityOf('bert').evmAddress]
const domain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
} as const

function grantOf(serial: bigint, change: Partial<Grant> = {}): SignedGrant {
  return signGrant(vendor, domain, {
    vendor: vendor.evmAddress,
    device: device.evmAddress,
    root: toHex(keccak256(utf8('root'))),
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: 1000n,
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: 1,
    notAfter: 2_000_000_000,
    serial,
    ...change,
  })
}

async function openBook(context: TestContext, options: DeviceBookOptions = {}) {
  const folder = await mkdtemp(join(parent, 'book-'))
  const book = createDeviceBook({ domain, identity: device, folder, log: silentLog }, options)
  await book.start()
  context.after(() => book.stop())
  const reopen = async () => {
    await book.stop()
    await book.start()
  }
  return { book, reopen }
}

test('receipts add up per server and over all servers, and carry the device’s signature', async (t) => {
  const { book } = await openBook(t)
  const grant = grantOf(1n)
  const id = grantId(grant.message)
  const first = await book.sign(grant, anna, 100n)
  const second = await book.sign(grant, bert, 50n)
  const third = await book.sign(grant, anna, 1n)
  assert.deepEqual(first.message, {
    grantId: id,
    server: anna,
    serverBytes: 100n,
    grantBytes: 100n,
  })
  assert.deepEqual(second.message, {
    grantId: id,
    server: bert,
    serverBytes: 50n,
    grantBytes: 150n,
  })
  assert.deepEqual(third.message, {
    grantId: id,
    server: anna,
    serverBytes: 101n,
    grantBytes: 151n,
  })
  for (const signed of [first, second, third]) {
    assert.equal(receiptSigner(domain, signed), device.evmAddress)
  }
  assert.equal(book.grantBytes(id), 151n)
  assert.equal(book.serverBytes(id, anna), 101n)
  assert.equal(book.serverBytes(id, bert), 50n)
})

test('receipts asked for at once never share a total', async (t) => {
  const { book } = await openBook(t)
  const grant = grantOf(1n)
  const signed = await Promise.all(
    Array.from({ length: 40 }, (_, at) => book.sign(grant, at % 2 === 0 ? anna : bert, 3n)),
  )
  const totals = signed.map((one) => one.message.grantBytes)
  assert.deepEqual(
    totals,
    Array.from({ length: 40 }, (_, at) => BigInt(3 * (at + 1))),
  )
})

test('after a restart it goes on where it was', async (t) => {
  const { book, reopen } = await openBook(t)
  const [one, two] = [grantOf(1n), grantOf(2n)]
  await book.sign(one, anna, 100n)
  await book.sign(one, bert, 20n)
  await book.sign(two, anna, 7n)
  await reopen()
  assert.equal(book.grantBytes(grantId(one.message)), 120n)
  assert.equal(book.grantBytes(grantId(two.message)), 7n)
  const next = await book.sign(one, anna, 1n)
  assert.equal(next.message.serverBytes, 101n)
  assert.equal(next.message.grantBytes, 121n)
})

test('a receipt that may not have arrived is given again, byte for byte, also after a restart', async (t) => {
  const { book, reopen } = await openBook(t)
  const grant = grantOf(1n)
  assert.equal(book.last(grant, anna), undefined)
  const signed = await book.sign(grant, anna, 100n)
  await book.sign(grant, bert, 100n)
  await reopen()
  assert.deepEqual(book.last(grant, anna), signed)
})

test('nothing is signed beyond the grant, for another device, or for no bytes; and nothing is counted', async (t) => {
  const { book } = await openBook(t)
  const grant = grantOf(1n)
  const id = grantId(grant.message)
  await book.sign(grant, anna, 900n)
  await assert.rejects(book.sign(grant, bert, 101n), { code: 'grant-used-up' })
  await assert.rejects(book.sign(grant, bert, 0n), { code: 'message-malformed' })
  await assert.rejects(book.sign(grant, bert, -5n), { code: 'message-malformed' })
  await assert.rejects(book.sign(grant, '0xAB' as typeof bert, 5n), { code: 'message-malformed' })
  const foreign = grantOf(2n, { device: vendor.evmAddress })
  await assert.rejects(book.sign(foreign, anna, 1n), { code: 'grant-for-another-device' })
  assert.equal(book.grantBytes(id), 900n)
  const last = await book.sign(grant, bert, 100n)
  assert.equal(last.message.grantBytes, 1000n)
})

test('a grant that was dropped for room is never signed for again from nothing', async (t) => {
  const { book, reopen } = await openBook(t, { maxGrants: 8, compactAboveBytes: 200 })
  const grants = Array.from({ length: 9 }, (_, at) =>
    grantOf(BigInt(at), { notAfter: 1_000_000 + at }),
  )
  for (const grant of grants) await book.sign(grant, anna, 10n)
  const [oldest, , , newer] = grants as [SignedGrant, SignedGrant, SignedGrant, SignedGrant]
  for (let round = 0; round < 2; round++) {
    await assert.rejects(book.sign(oldest, anna, 10n), { code: 'grant-used-up' })
    assert.equal((await book.sign(newer, anna, 10n)).message.serverBytes, BigInt(20 + 10 * round))
    await reopen()
  }
})

test('a book that is not open signs nothing', async (t) => {
  const { book } = await openBook(t)
  await book.stop()
  await book.stop()
  await assert.rejects(book.sign(grantOf(1n), anna, 1n), { code: 'book-not-started' })
})
