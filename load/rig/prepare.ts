import { randomBytes } from 'node:crypto'
import {
  createGatewayClient,
  enrollmentMessage,
  ENROLLMENT_PURPOSE,
  type EnrollmentCreatedSchema,
  type Release,
} from '@ioex/node/api'
import { systemClock, systemRandom, toHex } from '@ioex/node/base'
import {
  createIdentity,
  evmAddressOfPeerId,
  generateSeed,
  type Identity,
} from '@ioex/node/identity'
import { grantId, type SignedGrant, signReceipt } from '@ioex/node/receipts'
import { peerIdFromString } from '@libp2p/peer-id'
import type { z } from 'zod'
import type { Fixture } from '../scenarios/fixture.ts'
import type { Target } from './network.ts'

const DEVICES = 20
const BATCHES = 400
const BATCH_STEP_BYTES = 512n
const MODEL = 'load-box'

/** Enrols devices, publishes one release, and signs the receipts that the scripts will hand in. */
export async function prepare(target: Target): Promise<Fixture> {
  const { gateway, vendor, vendorToken } = target
  const asVendor = { authorization: `Bearer ${vendorToken}` }
  const code = await call<z.infer<typeof EnrollmentCreatedSchema>>(`${gateway}/v1/enrollments`, {
    method: 'POST',
    headers: { ...asVendor, 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, count: DEVICES }),
  })
  const release = await call<Release>(
    `${gateway}/v1/vendors/${vendor}/releases?model=${MODEL}&version=1.${Date.now()}.0`,
    {
      method: 'POST',
      headers: { ...asVendor, 'content-type': 'application/octet-stream' },
      body: new Uint8Array(randomBytes(1024 * 1024)),
    },
  )
  const devices: PreparedDevice[] = []
  for (let number = 0; number < DEVICES; number++) {
    devices.push(await enrolDevice(gateway, code.code, release.id))
  }
  const [first] = devices
  if (first === undefined) throw new Error('no device was enrolled')
  const seed = first.seeds[0]
  if (seed === undefined) throw new Error('the network file names no seed')
  const server = evmAddressOfPeerId(peerIdFromString(seed))
  if (server === undefined) throw new Error('the seed has no secp256k1 key')
  const receiptBatches = Array.from({ length: BATCHES }, (_, batch) => {
    const bytes = BigInt(batch + 1) * BATCH_STEP_BYTES
    const items = devices.map(({ identity, grant, domain }) => {
      const message = {
        grantId: grantId(grant.message),
        server,
        serverBytes: bytes,
        grantBytes: bytes,
      }
      return { grant, receipt: signReceipt(identity, domain, message) }
    })
    // Amounts go as decimal text over HTTP.
    return JSON.stringify({ items }, (_key, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    )
  })
  return {
    gateway,
    vendor,
    vendorToken,
    deviceTokens: devices.map((device) => device.token),
    release: release.id,
    model: MODEL,
    receiptBatches,
  }
}

interface PreparedDevice {
  readonly identity: Identity
  readonly token: string
  readonly grant: SignedGrant
  readonly domain: { readonly chainId: number; readonly verifyingContract: `0x${string}` }
  readonly seeds: readonly string[]
}

async function enrolDevice(gateway: string, code: string, root: string): Promise<PreparedDevice> {
  const needs = { clock: systemClock, fetch: (url: string, init: RequestInit) => fetch(url, init) }
  const identity = createIdentity(generateSeed(systemRandom))
  const claim = { code, publicKey: toHex(identity.publicKey), ageRecipient: identity.ageRecipient }
  const signature = toHex(identity.signMessage(ENROLLMENT_PURPOSE, enrollmentMessage(claim)))
  const enrolled = await createGatewayClient(needs, { gateway }).redeem({ ...claim, signature })
  const client = createGatewayClient(needs, { gateway, token: enrolled.token })
  const { ledger, seeds } = enrolled.network.signed
  return {
    identity,
    token: enrolled.token,
    grant: await client.grant({ root }),
    domain: { chainId: ledger.chainId, verifyingContract: ledger.verifyingContract },
    seeds: seeds.map((seed) => seed.peerId),
  }
}

async function call<T>(url: string, init: RequestInit): Promise<T> {
  const answer = await fetch(url, init)
  const text = await answer.text()
  if (!answer.ok)
    throw new Error(`${init.method} ${new URL(url).pathname}: ${answer.status} ${text}`)
  return JSON.parse(text) as T
}
