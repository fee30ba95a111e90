import assert from 'node:assert/strict'
import { type FileHandle, mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { silentLog, systemClock, toHex, utf8 } from '../base/index.ts'
import { createIdentity, keccak256 } from '../identity/index.ts'
import {
  createServerBook,
  type Grant,
  grantId,
  type Receipt,
  type ServerBookOptions,
  type SignedGrant,
  serviceId,
  signGrant,
  signReceipt,
} from './index.ts'

const parent = await mkdtemp(join(tmpdir(), 'ioex-server-book-'))
after(() => rm(parent, { recursive: true }))

const identityOf = (name: string) => createIdentity(keccak256(utf8(name)))
const vendor = identityOf('voucher signer')
const device = identityOf('device')
const server = identityOf('server').evmAddress
const elsewhere = identityOf('another server').evmAddress
const domain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
} as const
const root = toHex(keccak256(utf8('root')))
const NOW = 1_795_100_000
const MAX_BYTES = 1_000_000n

function grantOf(serial: bigint, change: Partial<Grant> = {}): SignedGrant {
  return signGrant(vendor, domain, {
    vendor: vendor.evmAddress,
    device: device.evmAddress,
    root,
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: MAX_BYTES,
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: NOW - 1000,
    notAfter: NOW + 1000,
    serial,
    ...change,
  })
}

function receiptOf(grant: SignedGrant, serverBytes: bigint, change: Partial<Receipt> = {}) {
  return signReceipt(device, domain, {
    grantId: grantId(grant.message),
    server,
    serverBytes,
    grantBytes: serverBytes,
    ...change,
  })
}

async function openBook(context: TestContext, options: ServerBookOptions = {}, folder?: string) {
  const clock = { nowMs: () => clock.seconds * 1000, seconds: NOW }
  const where = folder ?? (await mkdtemp(join(parent, 'book-')))
  const needs = { domain, server, folder: where, log: silentLog, clock }
  const book = createServerBook(needs, options)
  await book.start()
  context.after(() => book.stop())
  book.trust(root, [vendor.evmAddress], NOW + 10_000)
  const reopen = async () => {
    await book.stop()
    await book.start()
  }
  return { book, clock, folder: where, reopen }
}

const ENOUGH = 10n ** 9n
const OK = { ok: true, value: undefined }
const no = (reason: string) => ({ ok: false, reason })

test('a grant is admitted for its device, while it lasts, under a signer and root that were ordered', async (t) => {
  const { book, clock } = await openBook(t)
  const grant = grantOf(1n)
  const admitted = { grantId: grantId(grant.message), grant: grant.message }
  const admit = (one: SignedGrant, who = device.evmAddress) => book.admit(one, who)
  assert.deepEqual(await admit(grant), { ok: true, value: admitted })
  assert.deepEqual(await admit(grant), { ok: true, value: admitted }, 'again')

  assert.deepEqual(await admit(grant, elsewhere), no('grant-for-another-device'))
  assert.deepEqual(await admit(grantOf(2n, { root: serviceId('x') })), no('grant-root-unknown'))
  const byDevice = signGrant(device, domain, grant.message)
  assert.deepEqual(await admit(byDevice), no('grant-signer-unknown'))
  const otherChain = signGrant(vendor, { ...domain, chainId: 1 }, grantOf(3n).message)
  assert.deepEqual(await admit(otherChain), no('grant-signer-unknown'))
  const enlarged = { ...grant, message: { ...grant.message, maxBytes: 2n * MAX_BYTES } }
  assert.deepEqual(await admit(enlarged), no('grant-signer-unknown'))
  const malformed = { ...grant, message: { ...grant.message, maxBytes: -1n } }
  assert.deepEqual(await admit(malformed), no('grant-malformed'))
  assert.deepEqual(await admit({ ...grant, signature: '0x' }), no('grant-malformed'))

  clock.seconds = NOW - 2000
  assert.deepEqual(await admit(grant), no('grant-not-yet-valid'))
  clock.seconds = NOW + 1001
  assert.deepEqual(await admit(grant), no('grant-expired'))
})

test('a signer is trusted for as long as the longest pin order says', async (t) => {
  const { book, clock } = await openBook(t)
  const long = grantOf(1n, { notAfter: NOW + 100_000 })
  clock.seconds = NOW + 10_001
  assert.deepEqual(await book.admit(long, device.evmAddress), no('grant-root-unknown'))
  book.trust(root, [elsewhere], NOW + 50_000)
  assert.deepEqual(await book.admit(long, device.evmAddress), no('grant-signer-unknown'))
  book.trust(root, [vendor.evmAddress], NOW + 50_000)
  book.trust(root, [vendor.evmAddress], NOW)
  assert.ok((await book.admit(long, device.evmAddress)).ok)
})

test('every receipt that is not a rise of this server under this grant is refused with its reason', async (t) => {
  const { book } = await openBook(t)
  const grant = grantOf(1n)
  const accept = (serverBytes: bigint, change: Partial<Receipt> = {}, sent = ENOUGH) =>
    book.accept(receiptOf(grant, serverBytes, change), sent)
  assert.deepEqual(await accept(5n), no('receipt-grant-unknown'))
  await book.admit(grant, device.evmAddress)
  const first = receiptOf(grant, 1000n, { grantBytes: 3000n })
  assert.deepEqual(await book.accept(first, ENOUGH), OK)

  assert.deepEqual(await book.accept(first, ENOUGH), no('receipt-not-rising'), 'replay')
  assert.deepEqual(await accept(999n, { grantBytes: 4000n }), no('receipt-not-rising'), 'step back')
  assert.deepEqual(await accept(1001n, { grantBytes: 3000n }), no('receipt-not-rising'))
  assert.deepEqual(await accept(2500n, { grantBytes: 3001n }), no('receipt-not-rising'))
  assert.deepEqual(
    await accept(2000n, { server: elsewhere, grantBytes: 4000n }),
    no('receipt-for-another-server'),
  )
  assert.deepEqual(await accept(2000n, { grantBytes: MAX_BYTES + 1n }), no('receipt-beyond-grant'))
  assert.deepEqual(await accept(2000n, { grantBytes: 4000n }, 1999n), no('receipt-beyond-sent'))
  assert.deepEqual(await accept(5000n, { grantBytes: 4000n }), no('receipt-malformed'))
  const { message } = receiptOf(grant, 2000n, { grantBytes: 4000n })
  assert.deepEqual(
    await book.accept(signReceipt(vendor, domain, message), ENOUGH),
    no('receipt-signer-wrong'),
  )
  assert.deepEqual(
    await book.accept({ message, signature: '0x00' }, ENOUGH),
    no('receipt-malformed'),
  )
  assert.equal(book.receiptedBytes(grantId(grant.message)), 1000n, 'refusals change nothing')
  assert.deepEqual(await accept(MAX_BYTES - 2000n, { grantBytes: MAX_BYTES }), OK, 'up to the brim')
})

test('grants that differ in their serial only are counted apart', async (t) => {
  const { book } = await openBook(t)
  const [one, two] = [grantOf(1n), grantOf(2n)]
  await book.admit(one, device.evmAddress)
  await book.admit(two, device.evmAddress)
  assert.deepEqual(await book.accept(receiptOf(one, 10n), ENOUGH), OK)
  assert.deepEqual(await book.accept(receiptOf(two, 5n), ENOUGH), OK)
  assert.equal(book.receiptedBytes(grantId(one.message)), 10n)
  assert.equal(book.receiptedBytes(grantId(two.message)), 5n)
})

test('receipts that come at once are judged in the order of the calls', async (t) => {
  const { book } = await openBook(t)
  const grant = grantOf(1n)
  await book.admit(grant, device.evmAddress)
  const results = await Promise.all(
    [10n, 20n, 15n, 30n].map((bytes) => book.accept(receiptOf(grant, bytes), ENOUGH)),
  )
  assert.deepEqual(results, [OK, OK, no('receipt-not-rising'), OK])
  assert.equal(book.receiptedBytes(grantId(grant.message)), 30n)
})

/** Where Node keeps the methods of open files, to watch them. */
async function fileHandlePrototype(folder: string): Promise<FileHandle> {
  const probe = await open(join(folder, 'probe'), 'w')
  await probe.close()
  return Object.getPrototypeOf(probe) as FileHandle
}

test('a receipt is not acknowledged, counted or handed over before the disk has it', async (t) => {
  const { book, folder } = await openBook(t)
  const grant = grantOf(1n)
  await book.admit(grant, device.evmAddress)
  const files = await fileHandlePrototype(folder)
  // The watched method is called on the file again, as its own `this`.
  const { datasync } = files
  const gate = Promise.withResolvers<void>()
  const entered = Promise.withResolvers<void>()
  t.mock.method(files, 'datasync', async function (this: FileHandle) {
    entered.resolve()
    await gate.promise
    await datasync.call(this)
  })
  let acknowledged = false
  const accepting = book.accept(receiptOf(grant, 5n), ENOUGH).then((result) => {
    acknowledged = true
    return result
  })
  await entered.promise
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(acknowledged, false)
  assert.equal(book.receiptedBytes(grantId(grant.message)), 0n)
  assert.deepEqual(book.since(0, 10), [])
  gate.resolve()
  assert.deepEqual(await accepting, OK)
  assert.equal(book.receiptedBytes(grantId(grant.message)), 5n)
})

test('after a failed sync nothing is taken until a new start has read what the disk holds', async (t) => {
  const { book, folder, reopen } = await openBook(t)
  const grant = grantOf(1n)
  await book.admit(grant, device.evmAddress)
  await book.accept(receiptOf(grant, 5n), ENOUGH)
  const failing = t.mock.method(await fileHandlePrototype(folder), 'datasync', () =>
    Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })),
  )
  await assert.rejects(book.accept(receiptOf(grant, 6n), ENOUGH), { code: 'book-write-failed' })
  assert.equal(book.receiptedBytes(grantId(grant.message)), 5n)
  failing.mock.restore()
  await assert.rejects(book.accept(receiptOf(grant, 7n), ENOUGH), { code: 'book-write-failed' })
  await reopen()
  assert.deepEqual(await book.accept(receiptOf(grant, 7n), ENOUGH), OK)
})

test('a thousand receipts of one turn cost a few syncs of the disk', async (t) => {
  const { book, folder } = await openBook(t)
  const grant = grantOf(1n)
  await book.admit(grant, device.evmAddress)
  const receipts = Array.from({ length: 1000 }, (_, at) => receiptOf(grant, BigInt(at + 1)))
  const datasync = t.mock.method(await fileHandlePrototype(folder), 'datasync')
  const results = await Promise.all(receipts.map((receipt) => book.accept(receipt, ENOUGH)))
  assert.ok(results.every((result) => result.ok))
  const syncs = datasync.mock.callCount()
  assert.ok(syncs >= 1 && syncs <= 3, `${syncs} syncs`)
})

test('after a restart everything is as it was, and receipts go on without the grant being shown again', async (t) => {
  const { book, reopen } = await openBook(t)
  const [one, two] = [grantOf(1n), grantOf(2n)]
  await book.admit(one, device.evmAddress)
  await book.admit(two, device.evmAddress)
  await book.accept(receiptOf(one, 100n), ENOUGH)
  await book.accept(receiptOf(two, 7n), ENOUGH)
  await book.accept(receiptOf(one, 200n), ENOUGH)
  const before = book.since(0, 10)
  await reopen()
  assert.deepEqual(book.since(0, 10), before)
  assert.equal(book.receiptedBytes(grantId(one.message)), 200n)
  assert.deepEqual(await book.accept(receiptOf(one, 200n), ENOUGH), no('receipt-not-rising'))
  assert.deepEqual(await book.accept(receiptOf(one, 300n), ENOUGH), OK)
  assert.deepEqual(book.damages(), [])
})

test('a reader with a cursor gets the highest receipt of each grant once, oldest first', async (t) => {
  const { book } = await openBook(t)
  const grants = [1n, 2n, 3n].map((serial) => grantOf(serial))
  for (const grant of grants) await book.admit(grant, device.evmAddress)
  const [a, b, c] = grants as [SignedGrant, SignedGrant, SignedGrant]
  for (const [grant, bytes] of [
    [a, 1n],
    [b, 1n],
    [a, 2n],
    [c, 1n],
    [a, 3n],
  ] as const) {
    await book.accept(receiptOf(grant, bytes), ENOUGH)
  }
  const shown = (items: ReturnType<typeof book.since>) =>
    items.map(({ grant, receipt }) => [grant.message.serial, receipt.message.serverBytes])
  assert.deepEqual(shown(book.since(0, 10)), [
    [2n, 1n],
    [3n, 1n],
    [1n, 3n],
  ])
  const first = book.since(0, 2)
  assert.deepEqual(shown(first), [
    [2n, 1n],
    [3n, 1n],
  ])
  const rest = book.since(first[1]?.cursor ?? 0, 2)
  assert.deepEqual(shown(rest), [[1n, 3n]])
  const end = rest[0]?.cursor ?? 0
  assert.deepEqual(book.since(end, 10), [])
  await book.accept(receiptOf(b, 9n), ENOUGH)
  assert.deepEqual(shown(book.since(end, 10)), [[2n, 9n]])
})

test('the file stays small however often receipts are superseded, and loses none', async (t) => {
  const { book, folder, reopen } = await openBook(t, { compactAboveBytes: 20_000 })
  const grants = [1n, 2n, 3n].map((serial) => grantOf(serial))
  for (const grant of grants) await book.admit(grant, device.evmAddress)
  let largest = 0
  for (let round = 1n; round <= 100n; round++) {
    const results = await Promise.all(
      grants.map((grant) => book.accept(receiptOf(grant, round), ENOUGH)),
    )
    assert.ok(results.every((result) => result.ok))
    const [file = ''] = (await readdir(folder)).filter((name) => name.endsWith('.book'))
    largest = Math.max(largest, (await stat(join(folder, file))).size)
  }
  // 300 records of about 620 bytes would be 186,000.
  assert.ok(largest < 25_000, `${largest} bytes`)
  const before = book.since(0, 10)
  await reopen()
  assert.deepEqual(book.since(0, 10), before)
  for (const grant of grants) assert.equal(book.receiptedBytes(grantId(grant.message)), 100n)
})

test('room is made by what is worth nothing; what is owed is never dropped', async (t) => {
  const { book, clock } = await openBook(t, { maxGrants: 3 })
  const paid = grantOf(1n)
  await book.admit(paid, device.evmAddress)
  await book.accept(receiptOf(paid, 5n), ENOUGH)
  for (const serial of [2n, 3n, 4n, 5n]) {
    assert.ok((await book.admit(grantOf(serial), device.evmAddress)).ok)
  }
  assert.equal(book.receiptedBytes(grantId(paid.message)), 5n)
  // Numbers 2 and 3 had to go; their devices show them again.
  assert.deepEqual(
    await book.accept(receiptOf(grantOf(2n), 1n), ENOUGH),
    no('receipt-grant-unknown'),
  )
  for (const serial of [4n, 5n]) await book.accept(receiptOf(grantOf(serial), 1n), ENOUGH)
  await assert.rejects(book.admit(grantOf(6n), device.evmAddress), { code: 'book-full' })
  clock.seconds = NOW + 1000 + 91 * 24 * 3600
  book.trust(root, [vendor.evmAddress], clock.seconds + 1000)
  const late = grantOf(7n, { notAfter: clock.seconds + 10 })
  assert.ok(
    (await book.admit(late, device.evmAddress)).ok,
    'what nobody can claim any more is gone',
  )
})

test('one book at a time has the folder, also within one process', async (t) => {
  const { folder, book } = await openBook(t)
  const needs = { domain, server, folder, log: silentLog, clock: systemClock }
  const second = createServerBook(needs)
  await assert.rejects(second.start(), { code: 'book-in-use' })
  await second.stop()
  await book.stop()
  await second.start()
  await second.stop()
})

test('a book of another server is not taken for one’s own, and another contract has its own book', async (t) => {
  const { folder, book } = await openBook(t)
  await book.stop()
  const needs = { domain, server, folder, log: silentLog, clock: systemClock }
  await assert.rejects(createServerBook({ ...needs, server: elsewhere }).start(), {
    code: 'book-foreign',
  })
  const moved = createServerBook({ ...needs, domain: { ...domain, verifyingContract: elsewhere } })
  await moved.start()
  await moved.stop()
})

test('a book that is not open takes nothing; it stops twice and starts again', async (t) => {
  const { book } = await openBook(t)
  const grant = grantOf(1n)
  await Promise.all([book.stop(), book.stop()])
  await book.stop()
  await assert.rejects(book.admit(grant, device.evmAddress), { code: 'book-not-started' })
  await assert.rejects(book.accept(receiptOf(grant, 1n), ENOUGH), { code: 'book-not-started' })
  await Promise.all([book.start(), book.start()])
  assert.ok((await book.admit(grant, device.evmAddress)).ok)
})

test('receipts are verified and booked by the thousand in a second', async (t) => {
  const { book } = await openBook(t)
  const grants = Array.from({ length: 20 }, (_, serial) => grantOf(BigInt(serial)))
  for (const grant of grants) await book.admit(grant, device.evmAddress)
  const receipts = Array.from({ length: 250 }, (_, at) =>
    grants.map((grant) => receiptOf(grant, BigInt(at + 1))),
  ).flat()
  const started = performance.now()
  const usage = process.cpuUsage()
  let accepted = 0
  for (let at = 0; at < receipts.length; at += 100) {
    const results = await Promise.all(
      receipts.slice(at, at + 100).map((receipt) => book.accept(receipt, ENOUGH)),
    )
    accepted += results.filter((result) => result.ok).length
  }
  const { user, system } = process.cpuUsage(usage)
  const perSecond = Math.round(accepted / ((performance.now() - started) / 1000))
  // The floor is of processor time: other work on the machine must not fail the test.
  const perCore = Math.round((accepted * 1_000_000) / (user + system))
  t.diagnostic(
    `receipts verified, durable and acknowledged: ${perSecond} a second, ${perCore} a core`,
  )
  assert.equal(accepted, receipts.length)
  assert.ok(perCore > 3000, `${perCore} a second and core`)
})
