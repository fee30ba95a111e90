/**
 * Devices and servers in simulated time, with the real meter, books and receipt flow over a disk, links and
 * processes that fail at random. What really happened is kept in a ledger beside them, and every step is
 * judged against it.
 */
import { type Clock, type Hex, type Random, silentLog, toHex, utf8 } from '../base/index.ts'
import { createIdentity, type Identity, keccak256 } from '../identity/index.ts'
import {
  createDeviceBook,
  createServerBook,
  type DeviceBook,
  decodeSignedReceipt,
  encodeSignedReceipt,
  grantId,
  type SignedGrant,
  type SignedReceipt,
  serviceId,
  signGrant,
} from '../receipts/index.ts'
import type { Records } from '../storage/index.ts'
import { type Account, createMeter, type Meter } from './meter.ts'
import { createReceiptFlow, type ReceiptFlow } from './receipt-flow.ts'
import { createLedger } from './receipt-trial-ledger.ts'
import { createSimulatedTime } from './simulated-time.ts'
import { createTrialDisk } from './trial-disk.ts'

const KIB = 1024
const MAX_BYTES = 24 * 1024 * KIB
const SERVERS = 3
const DEVICES = 3
const root = toHex(keccak256(utf8('root')))
const domain = {
  chainId: 31337,
  verifyingContract: '0x5fbdb2315678afecb367f032d93f642f64180aa3',
} as const
const identityOf = (name: string) => createIdentity(keccak256(utf8(name)))
const vendor = identityOf('voucher signer')
const serverIdentities = Array.from({ length: SERVERS }, (_, at) => identityOf(`server ${at}`))
const deviceIdentities = Array.from({ length: DEVICES }, (_, at) => identityOf(`device ${at}`))
/** Small, so that crashes also fall into the rewriting of the file. */
const OFTEN = { compactAboveBytes: 3_000 }

interface Run {
  isAlive: boolean
  /** Its book is; a crash may come before. */
  isOpen: boolean
  readonly clock: Clock
  readonly disk: { end(): void }
}
interface ServerRun extends Run {
  readonly book: ReturnType<typeof createServerBook>
  readonly meter: Meter
}
interface DeviceRun extends Run {
  readonly book: DeviceBook
  readonly flows: Map<string, ReceiptFlow>
}
interface Stream {
  readonly device: Device
  readonly server: Server
  /** Nothing goes through any more; each end notices in its own time. */
  isCut: boolean
  hasDeviceLeft: boolean
  hasServerLeft: boolean
  readonly serverLeft: PromiseWithResolvers<void>
  account: Account | undefined
  readonly arrivesMs: { up: number; down: number }
}
interface Server {
  readonly identity: Identity
  readonly disk: ReturnType<typeof createTrialDisk>
  readonly records: Records
  run: ServerRun | undefined
}
interface Device {
  readonly identity: Identity
  readonly disk: ReturnType<typeof createTrialDisk>
  grant: SignedGrant
  id: Hex
  run: DeviceRun | undefined
}

export interface TrialReport {
  readonly incidents: number
  readonly blocks: number
  readonly receipts: number
  readonly receiptedBytes: number
  /** Sent and never receipted. */
  readonly lostBytes: number
  /** Times that a server had to wait for a receipt. */
  readonly blocked: number
  readonly widestWindow: number
}

/** Throws an AssertionError when a promise of the room is broken. */
export async function runTrial(
  needs: { readonly random: Random; readonly newRecords: () => Records },
  incidents: number,
): Promise<TrialReport> {
  const { random, newRecords } = needs

  const time = createSimulatedTime(random)
  const ledger = createLedger(time.nowMs)
  const oneIn = (count: number) => random.int(count) === 0
  const between = (low: number, high: number) => low + random.int(high - low + 1)
  const takes = (operation: 'read' | 'write' | 'barrier') =>
    operation === 'read'
      ? Promise.resolve()
      : time.sleep(operation === 'write' ? random.int(2) : between(1, oneIn(20) ? 80 : 6))
  const blocksPerIncident = [4, 8, 16][random.int(3)] ?? 8
  const streams = new Set<Stream>()
  let happened = 0
  let serial = 0

  const newGrant = (device: Identity): SignedGrant =>
    signGrant(vendor, domain, {
      vendor: vendor.evmAddress,
      device: device.evmAddress,
      root,
      deltaRoot: toHex(new Uint8Array(32)),
      maxBytes: BigInt(MAX_BYTES),
      service: serviceId('ioex/bandwidth'),
      priceVersion: 1,
      notBefore: 0,
      notAfter: 4_000_000_000,
      serial: BigInt(++serial),
    })
  const servers: Server[] = serverIdentities.map((identity) => ({
    identity,
    disk: createTrialDisk({ takes }),
    records: newRecords(),
    run: undefined,
  }))
  const devices: Device[] = deviceIdentities.map((identity) => {
    const grant = newGrant(identity)
    const id = grantId(grant.message)
    return { identity, disk: createTrialDisk({ takes }), grant, id, run: undefined }
  })

  /** Where the room under trial would swallow the error, as it goes on when a receipt cannot be signed. */
  const judge = (check: () => void) => {
    try {
      check()
    } catch (thrown) {
      time.fail(thrown)
    }
  }
  const startServer = async (server: Server) => {
    const disk = server.disk.process()
    const run: Run = { isAlive: true, isOpen: false, disk, clock: time.clockOf(() => run.isAlive) }
    const { clock } = run
    const needs = { domain, server: server.identity.evmAddress, folder: '/book', log: silentLog }
    const book = createServerBook({ ...needs, clock, files: disk.files }, OFTEN)
    server.run = Object.assign(run, {
      book,
      meter: createMeter({ book, records: server.records, clock }),
    })
    await book.start()
    ledger.serverStarted(server.identity.evmAddress, book)
    book.trust(root, [vendor.evmAddress], 4_000_000_000)
    server.run.meter.start()
    run.isOpen = true
    for (const device of devices) connectSoon(device, server)
  }
  const startDevice = async (device: Device) => {
    const disk = device.disk.process()
    const run: Run = { isAlive: true, isOpen: false, disk, clock: time.clockOf(() => run.isAlive) }
    const { identity } = device
    const needs = { domain, identity, folder: '/book', log: silentLog, files: disk.files }
    const real = createDeviceBook(needs, OFTEN)
    const book: DeviceBook = Object.assign(Object.create(real) as DeviceBook, {
      last: real.last.bind(real),
      async sign(...asked: Parameters<DeviceBook['sign']>) {
        const receipt = await real.sign(...asked)
        judge(() => ledger.signed(receipt))
        return receipt
      },
    })
    device.run = Object.assign(run, { book, flows: new Map<string, ReceiptFlow>() })
    await real.start()
    ledger.deviceStarted(device.id, real)
    run.isOpen = true
    for (const server of servers) connectSoon(device, server)
  }

  /** Messages arrive in order; those that are under way when the link is cut never do. */
  const transmit = (stream: Stream, way: 'up' | 'down', arrived: () => void) => {
    const at = Math.max(stream.arrivesMs[way], time.nowMs() + between(1, 15))
    stream.arrivesMs[way] = at
    time.at(at, () => {
      const hasLeft = way === 'up' ? stream.hasServerLeft : stream.hasDeviceLeft
      if (!stream.isCut && !hasLeft) arrived()
    })
  }
  const leaveAsServer = (stream: Stream) => {
    if (stream.hasServerLeft) return
    stream.hasServerLeft = true
    stream.serverLeft.resolve()
    if (stream.account === undefined) return
    ledger.streamEnded(grantId(stream.account.grant), stream.server.identity.evmAddress)
    stream.account.leave()
  }
  const leaveAsDevice = (stream: Stream) => {
    if (stream.hasDeviceLeft) return
    stream.hasDeviceLeft = true
    streams.delete(stream)
    const { device, server } = stream
    for (const [name, flow] of device.run?.flows ?? []) {
      if (name.endsWith(server.identity.evmAddress)) flow.detach()
    }
    connectSoon(device, server)
  }
  const cut = (stream: Stream) => {
    if (stream.isCut) return
    stream.isCut = true
    const { device, server } = stream
    const [deviceRun, serverRun] = [device.run, server.run]
    time.at(time.nowMs() + random.int(400), () => {
      if (deviceRun?.isAlive) leaveAsDevice(stream)
    })
    time.at(time.nowMs() + random.int(400), () => {
      if (serverRun?.isAlive) leaveAsServer(stream)
    })
  }
  const connectSoon = (device: Device, server: Server) => {
    time.at(time.nowMs() + between(1, 200), () => {
      const isHere = [...streams].some((one) => one.device === device && one.server === server)
      if (isHere || !device.run?.isAlive || !server.run?.isAlive) return
      if (device.run.isOpen && server.run.isOpen) {
        void connect(device, server, device.run, server.run).catch(time.fail)
      }
    })
  }
  const connect = async (device: Device, server: Server, client: DeviceRun, run: ServerRun) => {
    const stream: Stream = {
      device,
      server,
      isCut: false,
      hasDeviceLeft: false,
      hasServerLeft: false,
      serverLeft: Promise.withResolvers<void>(),
      account: undefined,
      arrivesMs: { up: 0, down: 0 },
    }
    streams.add(stream)
    const { grant, id } = device
    const admitted = await run.book.admit(grant, device.identity.evmAddress)
    if (!admitted.ok) throw new Error(`an honest device's grant was refused: ${admitted.reason}`)
    const account = run.meter.join(admitted.value)
    stream.account = account
    const name = `${id} ${server.identity.evmAddress}`
    const known = client.flows.get(name)
    const needs = { book: client.book, log: silentLog, clock: client.clock }
    const flow = known ?? createReceiptFlow(needs, { grant, server: server.identity.evmAddress })
    client.flows.set(name, flow)
    flow.attach((receipt) => sendReceipt(stream, receipt, account, flow))
    await serve(stream, account, run, id, flow)
  }
  const sendReceipt = async (
    stream: Stream,
    receipt: SignedReceipt,
    account: Account,
    flow: ReceiptFlow,
  ) => {
    judge(() => ledger.sentReceipt(receipt))
    const wire = encodeSignedReceipt(receipt)
    transmit(stream, 'up', () => {
      const decoded = decodeSignedReceipt(wire)
      if (!decoded.ok) throw new Error(decoded.detail)
      const { grantId: id, server } = decoded.value.message
      account
        .accept(decoded.value)
        .then((result) => {
          if (!result.ok) throw new Error(`an honest receipt was refused: ${result.reason}`)
          const { receiptedBytes } = account
          ledger.acknowledged(id, server, receiptedBytes)
          if (!stream.hasServerLeft) {
            transmit(stream, 'down', () => flow.acknowledged(receiptedBytes))
          }
        })
        .catch(time.fail)
    })
  }
  const serve = async (
    stream: Stream,
    account: Account,
    run: ServerRun,
    id: Hex,
    flow: ReceiptFlow,
  ) => {
    const to = stream.server.identity.evmAddress
    const pace = between(1, 12)
    while (!stream.hasServerLeft && run.isAlive) {
      const bytes = between(16 * KIB, 256 * KIB)
      const allowance = account.allows(bytes)
      if (allowance === 'used-up') {
        transmit(stream, 'down', () => renew(stream, id))
        // Receipts for what went out are still taken.
        await Promise.race([stream.serverLeft.promise, run.clock.sleep(2_000)])
        leaveAsServer(stream)
        stream.isCut = true
        leaveAsDevice(stream)
        return
      }
      if (allowance !== 'go') {
        ledger.blocked()
        transmit(stream, 'down', () => flow.hurry())
        const paid = Promise.withResolvers<void>()
        const unwatch = account.watch(paid.resolve)
        // As the idle time limit does, which ends what nobody pays for.
        const idle = run.clock.sleep(5_000).then(() => 'idle' as const)
        if ((await Promise.race([paid.promise, stream.serverLeft.promise, idle])) === 'idle')
          cut(stream)
        unwatch()
        continue
      }
      account.charge(bytes)
      ledger.sent(id, to, bytes, Number(run.book.receiptedBytes(id)))
      if (oneIn(blocksPerIncident)) time.at(time.nowMs() + random.int(20), strike)
      const isBad = oneIn(300)
      const client = stream.device.run
      transmit(stream, 'down', () => {
        if (client?.isAlive) void receive(stream, client, flow, id, bytes, isBad).catch(time.fail)
      })
      await run.clock.sleep(pace)
    }
  }
  const receive = async (
    stream: Stream,
    client: DeviceRun,
    flow: ReceiptFlow,
    id: Hex,
    bytes: number,
    isBad: boolean,
  ) => {
    if (isBad) return cut(stream)
    await client.clock.sleep(between(1, 30))
    ledger.durable(id, stream.server.identity.evmAddress, bytes)
    flow.delivered(bytes)
  }
  /** The grant is used up as far as one server knows: the device goes on with another one, everywhere. */
  const renew = (stream: Stream, id: Hex) => {
    const { device } = stream
    if (device.id !== id) return
    device.grant = newGrant(device.identity)
    device.id = grantId(device.grant.message)
    for (const other of [...streams]) if (other.device === device && other !== stream) cut(other)
  }

  const pick = <T>(items: readonly T[]) => items[random.int(items.length)] as T
  const crash = (run: Run, disk: Server['disk'], start: () => Promise<void>) => {
    run.isAlive = false
    run.disk.end()
    if (oneIn(2)) disk.powerCut(random)
    time.at(time.nowMs() + between(1, 500), () => void start().catch(time.fail))
  }
  const strike = () => {
    if (happened >= incidents) return
    const kind = random.int(3)
    if (kind === 0) {
      const server = pick(servers)
      if (!server.run?.isAlive) return
      happened++
      crash(server.run, server.disk, () => startServer(server))
      ledger.serverCrashed(server.identity.evmAddress)
      for (const stream of streams) if (stream.server === server) cut(stream)
    } else if (kind === 1) {
      const device = pick(devices)
      if (!device.run?.isAlive) return
      happened++
      crash(device.run, device.disk, () => startDevice(device))
      for (const stream of [...streams]) {
        if (stream.device !== device) continue
        cut(stream)
        streams.delete(stream)
      }
    } else {
      const lone = pick([...servers, ...devices])
      const hit = [...streams].filter((one) => one.server === lone || one.device === lone)
      if (hit.length > 0) happened++
      for (const stream of hit) cut(stream)
    }
  }

  for (const server of servers) void startServer(server).catch(time.fail)
  for (const device of devices) void startDevice(device).catch(time.fail)
  await time.runWhile(() => happened < incidents)
  ledger.within(MAX_BYTES)
  return { incidents: happened, ...ledger.report() }
}
