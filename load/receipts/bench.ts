/**
 * `npm run bench:receipts`: what receipts cost. Rates are per second of CPU time, so that what else the machine
 * does counts as little as can be; latencies are what a clock says. The last line with `--json` is one object.
 */
import { createSign, createVerify, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog, systemClock, toHex, utf8 } from '@ioex/node/base'
import { createIdentity, curveBackend, keccak256 } from '@ioex/node/identity'
import {
  type BookFiles,
  createDeviceBook,
  createServerBook,
  decodeSignedReceipt,
  encodeSignedReceipt,
  grantId,
  receiptSigner,
  type SignedGrant,
  serviceId,
  signGrant,
  signReceipt,
  systemBookFiles,
} from '@ioex/node/receipts'
import { verifyTypedData } from 'ethers'

interface Row {
  readonly name: string
  readonly perCpuSecond: number
  readonly p50Ms?: number
  readonly p99Ms?: number
  readonly perBarrier?: number
}

const RECEIPTS = 20_000
const SLOW_RECEIPTS = 200
const domain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
} as const
const identityOf = (name: string) => createIdentity(keccak256(utf8(name)))
const vendor = identityOf('voucher signer')
const device = identityOf('device')
const server = identityOf('server').evmAddress
const root = toHex(keccak256(utf8('root')))

const grantOf = (serial: number): SignedGrant =>
  signGrant(vendor, domain, {
    vendor: vendor.evmAddress,
    device: device.evmAddress,
    root,
    deltaRoot: toHex(new Uint8Array(32)),
    maxBytes: 10n ** 15n,
    service: serviceId('ioex/bandwidth'),
    priceVersion: 1,
    notBefore: 0,
    notAfter: 4_000_000_000,
    serial: BigInt(serial),
  })

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

async function rate(name: string, count: number, run: () => unknown): Promise<Row> {
  const before = cpuMs()
  await run()
  return { name, perCpuSecond: Math.round((1_000 * count) / (cpuMs() - before)) }
}

function spread(latenciesMs: number[]) {
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const at = (share: number) => Number((sorted[Math.floor(share * sorted.length)] ?? 0).toFixed(2))
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}

const must = (isTrue: boolean) => {
  if (!isTrue) throw new Error('a receipt of the bench was refused')
}

/** So many streams each have one receipt under way, as a server sees it. */
async function inParallel(
  streams: number,
  count: number,
  one: (stream: number, turn: number) => Promise<void>,
) {
  const latenciesMs: number[] = []
  const turns = Math.floor(count / streams)
  await Promise.all(
    Array.from({ length: streams }, async (_, stream) => {
      for (let turn = 1; turn <= turns; turn++) {
        const startedMs = performance.now()
        await one(stream, turn)
        latenciesMs.push(performance.now() - startedMs)
      }
    }),
  )
  return spread(latenciesMs)
}

async function throughServerBook(folder: string, streams: number): Promise<Row> {
  const needs = { domain, server, folder: join(folder, `server-${streams}`), log: silentLog }
  const barriers = countedBarriers()
  const book = createServerBook({ ...needs, clock: systemClock, files: barriers.files })
  await book.start()
  book.trust(root, [vendor.evmAddress], 4_000_000_000)
  const turns = Math.floor(RECEIPTS / streams)
  const wires: Uint8Array[][] = []
  for (let stream = 0; stream < streams; stream++) {
    const grant = grantOf(stream)
    must((await book.admit(grant, device.evmAddress)).ok)
    const id = grantId(grant.message)
    wires.push(
      Array.from({ length: turns }, (_, turn) => {
        const bytes = BigInt(turn + 1) * 1_048_576n
        const message = { grantId: id, server, serverBytes: bytes, grantBytes: bytes }
        return encodeSignedReceipt(signReceipt(device, domain, message))
      }),
    )
  }
  const before = barriers.count()
  let latency = { p50Ms: 0, p99Ms: 0 }
  const row = await rate(`ours-server-book-${streams}`, turns * streams, async () => {
    latency = await inParallel(streams, turns * streams, async (stream, turn) => {
      const decoded = decodeSignedReceipt(wires[stream]?.[turn - 1] ?? new Uint8Array())
      must(decoded.ok && (await book.accept(decoded.value, 10n ** 15n)).ok)
    })
  })
  await book.stop()
  const perBarrier = Math.round((10 * turns * streams) / (barriers.count() - before)) / 10
  return { ...row, ...latency, perBarrier }
}

async function throughDeviceBook(folder: string): Promise<Row> {
  const barriers = countedBarriers()
  const needs = { domain, identity: device, folder: join(folder, 'device'), log: silentLog }
  const book = createDeviceBook({ ...needs, files: barriers.files })
  await book.start()
  const grant = grantOf(0)
  const servers = [server, vendor.evmAddress, device.evmAddress, `0x${'11'.repeat(20)}`] as const
  const count = RECEIPTS / 10
  const before = barriers.count()
  let latency = { p50Ms: 0, p99Ms: 0 }
  const row = await rate('ours-device-book-4', count, async () => {
    latency = await inParallel(4, count, async (stream) => {
      await book.sign(grant, servers[stream] ?? server, 1_048_576n)
    })
  })
  await book.stop()
  const perBarrier = Math.round((10 * count) / (barriers.count() - before)) / 10
  return { ...row, ...latency, perBarrier }
}

function countedBarriers() {
  let barriers = 0
  const files: BookFiles = {
    ...systemBookFiles,
    async open(path, mode) {
      const file = await systemBookFiles.open(path, mode)
      return {
        ...file,
        datasync() {
          barriers++
          return file.datasync()
        },
      }
    },
  }
  return { files, count: () => barriers }
}

const id = grantId(grantOf(0).message)
const message = (turn: number) => ({
  grantId: id,
  server,
  serverBytes: BigInt(turn + 1),
  grantBytes: BigInt(turn + 1),
})
const signed = Array.from({ length: RECEIPTS }, (_, turn) =>
  signReceipt(device, domain, message(turn)),
)
const wires = signed.map(encodeSignedReceipt)

/** The whole of it: decoded, hashed, its signer found. */
const inProcess = () => {
  for (const wire of wires) {
    const decoded = decodeSignedReceipt(wire)
    must(decoded.ok && receiptSigner(domain, decoded.value) === device.evmAddress)
  }
}
const withEthers = () => {
  const types = {
    Receipt: [
      { name: 'grantId', type: 'bytes32' },
      { name: 'server', type: 'address' },
      { name: 'serverBytes', type: 'uint64' },
      { name: 'grantBytes', type: 'uint64' },
    ],
  }
  const typed = { name: 'ioeX', version: '1', ...domain }
  for (const { message: value, signature } of signed.slice(0, SLOW_RECEIPTS)) {
    const signer = verifyTypedData(typed, types, { ...value }, signature)
    must(signer.toLowerCase() === device.evmAddress)
  }
}
/** Its digest is sha-256, as it takes none that is made already: the curve is what takes the time. */
const withNodeCrypto = () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  const signature = createSign('sha256').update('receipt').sign(privateKey)
  for (let turn = 0; turn < 5 * SLOW_RECEIPTS; turn++) {
    must(createVerify('sha256').update('receipt').verify(publicKey, signature))
  }
}

const folder = await mkdtemp(join(tmpdir(), 'ioex-bench-receipts-'))
try {
  inProcess()
  const rows: Row[] = [
    await rate('ours-in-process', RECEIPTS, inProcess),
    await throughServerBook(folder, 1_000),
    await throughServerBook(folder, 64),
    await throughDeviceBook(folder),
    await rate('ethers-verifyTypedData', SLOW_RECEIPTS, withEthers),
    await rate('node-crypto-verify', 5 * SLOW_RECEIPTS, withNodeCrypto),
  ]
  process.stdout.write(`receipts, ${curveBackend.kind} secp256k1, ${cpus()[0]?.model ?? '?'}\n`)
  for (const { name, perCpuSecond, p50Ms, p99Ms, perBarrier } of rows) {
    const latency = p50Ms === undefined ? '' : `p50 ${p50Ms} ms, p99 ${p99Ms} ms`
    const batch = perBarrier === undefined ? '' : `, ${perBarrier} per fdatasync`
    const figure = perCpuSecond.toLocaleString('en').padStart(8)
    process.stdout.write(`${name.padEnd(24)}${figure} per CPU second  ${latency}${batch}\n`)
  }
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ rows })}\n`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
