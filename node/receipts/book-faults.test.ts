/** What the disk and the process can do to a book: kill -9, torn writes, flipped bits, no room. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { writeSync } from 'node:fs'
import { appendFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { codeOf, type Log, silentLog, systemClock, toHex, utf8 } from '../base/index.ts'
import { createIdentity, keccak256 } from '../identity/index.ts'
import {
  createDeviceBook,
  createServerBook,
  type DeviceBookOptions,
  grantId,
  type ServerBookOptions,
  type SignedGrant,
  serviceId,
  signGrant,
  signReceipt,
} from './index.ts'

const identityOf = (name: string) => createIdentity(keccak256(utf8(name)))
const vendor = identityOf('voucher signer')
const device = identityOf('device')
const server = identityOf('server').evmAddress
const domain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
} as const
const root = toHex(keccak256(utf8('root')))
const ENOUGH = 10n ** 15n

function grantOf(serial: bigint): SignedGrant {
  return signGrant(vendor, domain, {
    vendor: vendor.evmAddress,
    device: device.evmAddress,
    root,
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: ENOUGH,
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: 0,
    notAfter: 4_000_000_000,
    serial,
  })
}

const receiptOf = (grant: SignedGrant, serverBytes: bigint) =>
  signReceipt(device, domain, {
    grantId: grantId(grant.message),
    server,
    serverBytes,
    grantBytes: serverBytes,
  })

/** Small, so that kills also fall into the rewriting of the file. */
const OFTEN = { compactAboveBytes: 4000 }

function bookOf(folder: string, log: Log = silentLog, options: ServerBookOptions = {}) {
  const needs = { domain, server, folder, log, clock: systemClock }
  const book = createServerBook(needs, options)
  const admit = async (grant: SignedGrant) => {
    book.trust(root, [vendor.evmAddress], 4_000_000_000)
    assert.ok((await book.admit(grant, device.evmAddress)).ok)
  }
  return { book, admit }
}

const deviceBookOf = (folder: string, options: DeviceBookOptions = {}) =>
  createDeviceBook({ domain, identity: device, folder, log: silentLog }, options)

/** The child: books as fast as it can and says what was acknowledged, until it is killed. */
async function actAsVictim(folder: string): Promise<void> {
  const grant = grantOf(1n)
  const { book, admit } = bookOf(folder, silentLog, OFTEN)
  const own = deviceBookOf(folder, OFTEN)
  await book.start()
  await own.start()
  await admit(grant)
  for (;;) {
    const signed = await Promise.all([1n, 2n, 3n].map((more) => own.sign(grant, server, more)))
    writeSync(1, `signed ${signed.at(-1)?.message.serverBytes}\n`)
    await Promise.all(
      signed.map(async (receipt) => {
        const result = await book.accept(receipt, ENOUGH)
        if (result.ok) writeSync(1, `accepted ${receipt.message.serverBytes}\n`)
      }),
    )
  }
}

/** The child that may write files of a few KiB only: the kernel refuses as it does when the disk is full. */
async function actCramped(folder: string): Promise<void> {
  const [grant, other] = [grantOf(1n), grantOf(2n)]
  const { book, admit } = bookOf(folder)
  const own = deviceBookOf(folder)
  await book.start()
  await own.start()
  await admit(grant)
  let accepted = 0n
  let refusal: unknown
  while (refusal === undefined) {
    await book.accept(receiptOf(grant, accepted + 1n), ENOUGH).then(
      () => accepted++,
      (thrown: unknown) => (refusal = thrown),
    )
  }
  const twoMore = await Promise.allSettled(
    [1n, 2n].map((more) => book.accept(receiptOf(grant, accepted + more), ENOUGH)),
  )
  let signed = 0n
  let unsigned: unknown
  while (unsigned === undefined) {
    await Promise.all([1n, 1n].map((more) => own.sign(other, server, more))).then(
      () => (signed += 2n),
      (thrown: unknown) => (unsigned = thrown),
    )
  }
  const report = {
    accepted: String(accepted),
    code: codeOf(refusal),
    again: twoMore.map((one) => (one.status === 'rejected' ? codeOf(one.reason) : one.value)),
    receipted: String(book.receiptedBytes(grantId(grant.message))),
    signed: String(signed),
    signCode: codeOf(unsigned),
    counted: String(own.serverBytes(grantId(other.message), server)),
  }
  await book.stop()
  await own.stop()
  writeSync(1, JSON.stringify(report))
}

const [, , part, partFolder = ''] = process.argv
if (part === 'victim') await actAsVictim(partFolder)
if (part === 'cramped') {
  await actCramped(partFolder)
  process.exit(0)
}

const parent = await mkdtemp(join(tmpdir(), 'ioex-book-faults-'))
const children = new Set<ChildProcess>()
after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(parent, { recursive: true })
})
const newFolder = () => mkdtemp(join(parent, 'book-'))

async function fileIn(folder: string, kind = 'server'): Promise<string> {
  const names = await readdir(folder)
  const name = names.find((one) => one.startsWith(kind) && one.endsWith('.book'))
  assert.ok(name)
  return join(folder, name)
}

/** Runs the victim until it has said enough, kills it, and returns the last figures that it heard acknowledged. */
async function killInMidAppend(folder: string, lines: number) {
  const child = spawn(process.execPath, [import.meta.filename, 'victim', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  let text = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (chunk: string) => {
    text += chunk
    if (text.split('\n').length > lines) child.kill('SIGKILL')
  })
  await new Promise((resolve) => child.on('close', resolve))
  children.delete(child)
  const highest = (word: string) =>
    text
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.startsWith(word))
      .map((line) => BigInt(line.split(' ')[1] ?? 0))
      .reduce((a, b) => (a > b ? a : b), 0n)
  return { signed: highest('signed'), accepted: highest('accepted') }
}

test('kill -9 in the middle of appending loses nothing that was acknowledged', async () => {
  const folder = await newFolder()
  const id = grantId(grantOf(1n).message)
  let before = 0n
  for (let round = 0; round < 4; round++) {
    const { signed, accepted } = await killInMidAppend(folder, 40 + 37 * round)
    assert.ok(signed > before, 'the victim went on from where the one before had come to')
    const { book } = bookOf(folder)
    const own = deviceBookOf(folder)
    await book.start()
    await own.start()
    assert.ok(book.receiptedBytes(id) >= accepted, `${accepted} were acknowledged`)
    assert.ok(own.serverBytes(id, server) >= signed, `${signed} were handed out`)
    assert.ok(own.serverBytes(id, server) >= book.receiptedBytes(id))
    assert.deepEqual(book.damages(), [])
    before = own.serverBytes(id, server)
    await book.stop()
    await own.stop()
  }
})

test('a full disk refuses receipts with a reason, counts none of them, and is used again when there is room', async () => {
  const folder = await newFolder()
  const { stdout } = await promisify(execFile)('sh', [
    '-c',
    'ulimit -f 16 && exec "$0" "$1" cramped "$2"',
    process.execPath,
    import.meta.filename,
    folder,
  ])
  const report = JSON.parse(stdout) as Record<string, unknown>
  const accepted = BigInt(String(report['accepted']))
  const signed = BigInt(String(report['signed']))
  assert.ok(accepted > 5n && signed > 5n, stdout)
  assert.deepEqual(report, {
    accepted: String(accepted),
    code: 'book-write-failed',
    again: ['book-write-failed', 'book-write-failed'],
    receipted: String(accepted),
    signed: String(signed),
    signCode: 'book-write-failed',
    counted: String(signed),
  })
  const { book } = bookOf(folder)
  const own = deviceBookOf(folder)
  await book.start()
  await own.start()
  assert.equal(book.receiptedBytes(grantId(grantOf(1n).message)), accepted)
  assert.ok((await book.accept(receiptOf(grantOf(1n), accepted + 1n), ENOUGH)).ok)
  const next = await own.sign(grantOf(2n), server, 1n)
  assert.equal(next.message.grantBytes, signed + 1n)
  await book.stop()
  await own.stop()
})

test('a torn tail is cut off wherever the crash came, and the book goes on', async () => {
  const folder = await newFolder()
  const grant = grantOf(1n)
  const id = grantId(grant.message)
  const { book, admit } = bookOf(folder)
  await book.start()
  await admit(grant)
  await book.accept(receiptOf(grant, 1n), ENOUGH)
  const path = await fileIn(folder)
  const one = (await readFile(path)).byteLength
  await book.accept(receiptOf(grant, 2n), ENOUGH)
  await book.stop()
  const whole = await readFile(path)
  for (const cut of [one + 1, one + 4, one + 11, one + 12, one + 200, whole.byteLength - 1]) {
    await writeFile(path, whole.subarray(0, cut))
    const torn = bookOf(folder)
    await torn.book.start()
    assert.equal(torn.book.receiptedBytes(id), 1n, `cut at ${cut}`)
    assert.deepEqual(torn.book.damages(), [], 'a torn tail is no damage')
    assert.ok((await torn.book.accept(receiptOf(grant, 3n), ENOUGH)).ok)
    await torn.book.stop()
    const again = bookOf(folder)
    await again.book.start()
    assert.equal(again.book.receiptedBytes(id), 3n)
    await again.book.stop()
  }
})

test('a file that ends in zeros or noise, as after a power cut, is cut back to its whole records', async () => {
  const folder = await newFolder()
  const grant = grantOf(1n)
  const { book, admit } = bookOf(folder)
  await book.start()
  await admit(grant)
  await book.accept(receiptOf(grant, 5n), ENOUGH)
  await book.stop()
  const path = await fileIn(folder)
  const size = (await readFile(path)).byteLength
  for (const tail of [Buffer.alloc(4096), Buffer.alloc(600_000, 'iXrJ'), Buffer.from('iXr')]) {
    await appendFile(path, tail)
    await book.start()
    assert.equal(book.receiptedBytes(grantId(grant.message)), 5n)
    await book.stop()
    assert.equal((await readFile(path)).byteLength, size)
  }
})

test('a flipped bit in the middle is reported, and costs no record but its own', async () => {
  const folder = await newFolder()
  const grants = Array.from({ length: 8 }, (_, serial) => grantOf(BigInt(serial)))
  const { book, admit } = bookOf(folder)
  await book.start()
  for (const grant of grants) {
    await admit(grant)
    await book.accept(receiptOf(grant, 9n), ENOUGH)
  }
  await book.stop()
  const path = await fileIn(folder)
  const whole = await readFile(path)
  const first = whole.indexOf('iXrJ', 1)
  const frame = whole.indexOf('iXrJ', first + 1) - first
  const start = first + 3 * frame
  // In the magic, the length (small and huge), the checksum, the receipt, the grant.
  for (const at of [start, start + 4, start + 7, start + 9, start + 30, start + frame - 1]) {
    const flipped = Buffer.from(whole)
    flipped[at] = (flipped[at] ?? 0) ^ 0x40
    await writeFile(path, flipped)
    const errors: string[] = []
    const log = { ...silentLog, error: (_: object, message: string) => errors.push(message) }
    const damaged = bookOf(folder, log)
    await damaged.book.start()
    const kept = grants.map((grant) => damaged.book.receiptedBytes(grantId(grant.message)))
    assert.deepEqual(kept, [9n, 9n, 9n, 0n, 9n, 9n, 9n, 9n], `flipped at ${at - start}`)
    assert.deepEqual(damaged.book.damages(), [{ offset: start, bytes: frame }])
    assert.match(errors.join(), /damaged the book/)
    assert.deepEqual(await readFile(`${path}.damaged`), flipped, 'kept for whoever looks into it')
    await damaged.book.stop()
    const after = bookOf(folder)
    await after.book.start()
    assert.deepEqual(after.book.damages(), [], 'reported once, then written anew')
    assert.equal(after.book.since(0, 100).length, 7)
    await after.book.stop()
  }
})

test('a damaged first record does not make the book another’s', async () => {
  const folder = await newFolder()
  const grant = grantOf(1n)
  const { book, admit } = bookOf(folder)
  await book.start()
  await admit(grant)
  await book.accept(receiptOf(grant, 9n), ENOUGH)
  await book.stop()
  const path = await fileIn(folder)
  const bytes = await readFile(path)
  bytes[20] = (bytes[20] ?? 0) ^ 1
  await writeFile(path, bytes)
  await book.start()
  assert.equal(book.receiptedBytes(grantId(grant.message)), 9n)
  assert.equal(book.damages().length, 1)
  await book.stop()
})

test('a file that is no book is left alone', async () => {
  const folder = await newFolder()
  const { book } = bookOf(folder)
  await book.start()
  await book.stop()
  const path = await fileIn(folder)
  const letter = 'Dear diary, '.repeat(100)
  await writeFile(path, letter)
  await assert.rejects(book.start(), { code: 'book-foreign' })
  assert.equal(await readFile(path, 'utf8'), letter)
  await truncate(path, 0)
  await book.start()
  await book.stop()
})
