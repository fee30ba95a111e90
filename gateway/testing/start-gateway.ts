/**
 * A whole gateway in one process for tests: real store, storage, custody and publishing, no port. Calls go
 * through `app.request()`, and every answer is held against its schema.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createGatewayClient,
  type Enrollment,
  ENROLLMENT_PURPOSE,
  enrollmentMessage,
  type GatewayClient,
  type Release,
  SEED_RECORD_PURPOSE,
  seedRecordMessage,
} from '@ioex/node/api'
import { type Clock, silentLog, systemClock, systemRandom, toHex } from '@ioex/node/base'
import { type ChainEnd, EMPTY_CHAIN, signReport } from '@ioex/node/firmware'
import { createIdentity, generateSeed, type Identity } from '@ioex/node/identity'
import { signNetworkFile } from '@ioex/node/network'
import { serviceId } from '@ioex/node/receipts'
import { createStorage, type Storage } from '@ioex/node/storage'
import type { GatewayOptions } from '../context.ts'
import { createGateway, type Gateway } from '../create-gateway.ts'
import { openStore, type Store } from '../store/open.ts'
import { createAnswerCheck } from './check-answer.ts'
import { type CopyingSeed, copyingExchange, createCopyingSeeds } from './copying-seeds.ts'

const MIB = 1024 * 1024
const operator = createIdentity(new Uint8Array(32).fill(1))
const self = createIdentity(new Uint8Array(32).fill(2))
export const LEDGER = { chainId: 31337, verifyingContract: `0x${'aa'.repeat(20)}` } as const
/** 0.01 GAS for a GiB. */
export const PRICE = { priceGas18: 10_000_000_000_000_000n, unitBytes: 1_073_741_824n }

interface TestDevice {
  readonly identity: Identity
  readonly enrollment: Enrollment
  readonly client: GatewayClient
  /** Signs it as the next of the device's chain, and sends it. */
  report(report: LastingReport): Promise<void>
}

type LastingReport = Parameters<typeof signReport>[2]

export interface TestVendor {
  readonly vendor: `0x${string}`
  readonly token: string
}

export interface TestGateway {
  readonly folder: string
  readonly gateway: Gateway
  readonly store: Store
  readonly storage: Storage
  readonly seeds: readonly CopyingSeed[]
  readonly operatorToken: string
  readonly bridgeToken: string
  readonly announced: readonly { readonly root: string }[]
  /** JSON in, JSON out; the status has to be the one given. */
  call<T = unknown>(
    method: string,
    path: string,
    options: {
      readonly expect: number
      readonly token?: string | undefined
      readonly json?: unknown
      readonly body?: BodyInit
      readonly headers?: Record<string, string>
    },
  ): Promise<T>
  request(path: string, init?: RequestInit): Promise<Response>
  createVendor(): Promise<TestVendor>
  publish(vendor: TestVendor, image: Uint8Array, version: string): Promise<Release>
  /** With a new code, or the one given. */
  enroll(vendor: TestVendor, model?: string, code?: string): Promise<TestDevice>
  newCode(vendor: TestVendor, model: string): Promise<string>
  saySeeds(which?: readonly CopyingSeed[]): Promise<void>
  /** Stops everything but keeps the folder; `startGateway({ folder })` comes back to it. */
  stop(): Promise<void>
  remove(): Promise<void>
}

/** So that a test need not wait for long. */
export const POLLS_WRITTEN_EVERY_MS = 1_000

export interface TestGatewayOptions extends Partial<GatewayOptions> {
  readonly folder?: string
  readonly seeds?: readonly CopyingSeed[]
  /** `postgres://…` instead of an SQLite file in the folder. */
  readonly database?: string
  readonly quotaBytes?: number
  readonly clock?: Clock
}

export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'ioex-gateway-')))
  await mkdir(folder, { recursive: true })
  const clock = options.clock ?? systemClock
  const seeds = options.seeds ?? createCopyingSeeds(3)
  const storage = createStorage(
    { clock, log: silentLog },
    { folder: join(folder, 'storage'), quotaBytes: options.quotaBytes ?? 512 * MIB },
  )
  await storage.start()
  const store = await openStore(options.database ?? join(folder, 'gateway.sqlite'))
  const announced: { root: string }[] = []
  const networkFile = signNetworkFile(operator, {
    version: 1,
    issuedAt: '2026-01-01T00:00:00.000Z',
    expires: '2099-01-01T00:00:00.000Z',
    ledger: { ...LEDGER, token: LEDGER.verifyingContract, gas: LEDGER.verifyingContract },
    prices: [
      {
        version: 1,
        service: serviceId('ioex/bandwidth'),
        priceGas18: String(PRICE.priceGas18),
        unitBytes: String(PRICE.unitBytes),
      },
    ],
    bootstraps: [],
    announcers: [{ peerId: self.peerId.toString(), signer: self.evmAddress }],
    seeds: seeds.map(({ identity }) => ({ peerId: identity.peerId.toString() })),
  })
  const gateway = createGateway(
    {
      clock,
      random: systemRandom,
      log: silentLog,
      store,
      masterKey: new Uint8Array(32).fill(7),
      node: {
        identity: self,
        network: {
          peerId: self.peerId,
          addresses: () => ({ direct: [], relayed: [] }),
          announce: (announcement) => {
            announced.push(announcement)
            return Promise.resolve(2)
          },
        },
        exchange: copyingExchange(seeds, storage, LEDGER),
        storage,
        friends: { add: () => undefined, list: () => [] },
        networkFile: JSON.parse(JSON.stringify(networkFile)) as Parameters<
          typeof createGateway
        >[0]['node']['networkFile'],
        operator: operator.evmAddress,
      },
    },
    {
      copiesWanted: options.copiesWanted ?? 2,
      trustProxy: options.trustProxy ?? false,
      consoleFolder: options.consoleFolder,
      rateFactor: options.rateFactor ?? 1_000,
      pollsWrittenEveryMs: options.pollsWrittenEveryMs ?? POLLS_WRITTEN_EVERY_MS,
    },
  )
  const operatorToken = `iox_o_${'o'.repeat(43)}`
  const bridgeToken = `iox_b_${'b'.repeat(43)}`
  await gateway.tokens.register(operatorToken, { kind: 'operator', name: 'operator' })
  await gateway.tokens.register(bridgeToken, { kind: 'bridge', name: 'bridge' })
  await gateway.start()
  const check = createAnswerCheck(gateway.app)

  const request = async (path: string, init: RequestInit = {}) => {
    const answer = await gateway.app.request(path, init)
    await check(init.method ?? 'GET', path.split('?')[0] ?? path, answer)
    return answer
  }
  const clientOf = (token?: string) =>
    createGatewayClient(
      { clock, fetch: (url, init) => request(url.replace('http://gateway', ''), init) },
      { gateway: 'http://gateway', token },
    )

  let recordMs = clock.nowMs()
  const rig: TestGateway = {
    folder,
    gateway,
    store,
    storage,
    seeds,
    operatorToken,
    bridgeToken,
    announced,
    request,
    async call<T>(method: string, path: string, what: Parameters<TestGateway['call']>[2]) {
      const answer = await request(path, {
        method,
        headers: {
          ...(what.token === undefined ? {} : { authorization: `Bearer ${what.token}` }),
          ...(what.json === undefined ? {} : { 'content-type': 'application/json' }),
          ...what.headers,
        },
        ...(what.json === undefined ? {} : { body: JSON.stringify(what.json) }),
        ...(what.body === undefined ? {} : { body: what.body, duplex: 'half' }),
      } as RequestInit)
      const text = await answer.text()
      if (answer.status !== what.expect) {
        throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`)
      }
      return (text === '' ? undefined : JSON.parse(text)) as T
    },
    createVendor: () =>
      rig.call<TestVendor>('POST', '/v1/vendors', {
        expect: 201,
        token: operatorToken,
        json: { name: 'Acme' },
      }),
    publish: ({ vendor, token }, image, version) =>
      rig.call<Release>('POST', `/v1/vendors/${vendor}/releases?model=pump&version=${version}`, {
        expect: 201,
        token,
        body: new Uint8Array(image),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    async newCode({ token }, model) {
      const { code } = await rig.call<{ code: string }>('POST', '/v1/enrollments', {
        expect: 201,
        token,
        json: { model },
      })
      return code
    },
    async enroll(vendor, model = 'pump', given) {
      const code = given ?? (await rig.newCode(vendor, model))
      const identity = createIdentity(generateSeed(systemRandom))
      const claim = {
        code,
        publicKey: toHex(identity.publicKey),
        ageRecipient: identity.ageRecipient,
      }
      const signature = toHex(identity.signMessage(ENROLLMENT_PURPOSE, enrollmentMessage(claim)))
      const enrollment = await clientOf().redeem({ ...claim, signature })
      const client = clientOf(enrollment.token)
      let chain: ChainEnd = EMPTY_CHAIN
      return {
        identity,
        enrollment,
        client,
        async report(report) {
          const { signed, end } = signReport(identity, chain, report, clock.nowMs())
          await client.report(signed)
          chain = end
        },
      }
    },
    async saySeeds(which = seeds) {
      // Two records of one moment are taken for a replay.
      recordMs = Math.max(recordMs + 1, clock.nowMs())
      for (const { identity } of which) {
        const record = {
          publicKey: toHex(identity.publicKey),
          multiaddrs: ['/ip4/127.0.0.1/tcp/4001'],
          http: 'http://127.0.0.1:4180',
          region: 'DE',
          issuedAtMs: recordMs,
        }
        const signed = identity.signMessage(SEED_RECORD_PURPOSE, seedRecordMessage(record))
        await clientOf().sendSeedRecord({ ...record, signature: toHex(signed) })
      }
    },
    async stop() {
      await gateway.stop()
      await store.close()
      await storage.stop()
    },
    async remove() {
      await rig.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return rig
}
