import {
  type AddressEntry,
  type Enrollment,
  EnrollmentRedeemSchema,
  enrollmentMessage,
  ENROLLMENT_PURPOSE,
  grantToJson,
  type Progress,
  ProgressSchema,
  type Report,
  type SignedReport,
  SignedReportSchema,
} from '../api/index.ts'
import { type Clock, fromHex, type Hex, MIB, toHex, unixSeconds } from '../base/index.ts'
import type { Source } from '../exchange/index.ts'
import type { DeltaTarget } from '../firmware/index.ts'
import {
  type ChainEnd,
  EMPTY_CHAIN,
  followsChain,
  openReport,
  reportHash,
} from '../firmware/index.ts'
import {
  type EvmAddress,
  evmAddressOfPeerId,
  evmAddressOfPublicKey,
  type Identity,
  recoverMessageSigner,
} from '../identity/index.ts'
import { type NetworkFile, signNetworkFile } from '../network/index.ts'
import { type LedgerDomain, serviceId, signGrant } from '../receipts/index.ts'
import type { FakeVendor } from './fake-vendor.ts'

/** What a gateway knows of one release; plain data, so that it can be handed to another process. */
export interface FakeRelease {
  readonly root: string
  /** sha-256 digest inside the root's CID. */
  readonly digest: Hex
  readonly sealedBytes: number
  readonly wrap: Uint8Array
  readonly deltas?: readonly DeltaTarget[]
}

/** The device's side of a gateway, at the HTTP edge: hand `fetch` to `createGatewayClient`. */
export interface FakeGateway {
  readonly url: string
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly releases: Map<string, FakeRelease>
  /** Copies that the address list names. */
  readonly sources: Source[]
  /** Enrolment codes by the model they are for. */
  readonly codes: Map<string, string>
  /** Reports that were taken, opened. */
  readonly reports: Report[]
  readonly signedReports: SignedReport[]
  readonly progress: Progress[]
  /** The end of the device's chain. */
  chain: ChainEnd
  /** What is answered about a rollout, by release. */
  readonly orders: Map<string, unknown>
  readonly calls: string[]
  /** Network trouble: nothing gets through until it is false again. */
  isDown: boolean
  /** The answer to a path, instead of the honest one. */
  readonly lies: Map<string, (init: RequestInit) => Response>
}

export interface FakeGatewayNeeds {
  readonly clock: Clock
  readonly vendor: Pick<FakeVendor, 'address' | 'repository' | 'initialRoot'>
  /** Signs grants and the network file. */
  readonly signer: Identity
  readonly domain: LedgerDomain
  readonly networkFile: NetworkFile
  /** Enrolled before, by a gateway in another process. */
  readonly device?: EvmAddress
}

const TOKEN = 'iox_device_token'
const GRANT_LIFE_S = 3_600
const ADDRESS_LIST_TTL_S = 600

export function createFakeGateway(needs: FakeGatewayNeeds): FakeGateway {
  const { clock, vendor, signer, domain } = needs
  let serial = 1n
  let device = needs.device
  const url = 'http://gateway.test'

  const redeem = (body: unknown): Response => {
    const claim = EnrollmentRedeemSchema.parse(body)
    const model = gateway.codes.get(claim.code)
    const signature = fromHex(claim.signature) ?? new Uint8Array()
    const publicKey = fromHex(claim.publicKey) ?? new Uint8Array()
    const claimant = recoverMessageSigner(ENROLLMENT_PURPOSE, enrollmentMessage(claim), signature)
    if (model === undefined || claimant !== evmAddressOfPublicKey(publicKey)) {
      return problem(403, 'code-refused', `the code ${claim.code} is not valid`)
    }
    device = claimant
    const answer: Enrollment = {
      device: claimant,
      token: TOKEN,
      vendor: vendor.address,
      model,
      tufRoot: JSON.parse(new TextDecoder().decode(vendor.initialRoot)) as Record<string, unknown>,
      network: toPlain(signNetworkFile(signer, needs.networkFile)) as Enrollment['network'],
      operator: signer.evmAddress,
    }
    return Response.json(answer)
  }

  const grant = (body: unknown): Response => {
    const { root, baseRoot } = body as { readonly root: string; readonly baseRoot?: string }
    const release = gateway.releases.get(root)
    if (release === undefined || device === undefined) return notFound(root)
    const delta = release.deltas?.find((each) => each.baseRoot.toString() === baseRoot)
    const now = unixSeconds(clock)
    const signed = signGrant(signer, domain, {
      vendor: vendor.address,
      device,
      root: release.digest,
      deltaRoot: toHex(delta?.deltaRoot.multihash.digest ?? new Uint8Array(32)),
      maxBytes: BigInt(Math.ceil(1.1 * (delta?.bytes ?? release.sealedBytes)) + MIB),
      service: serviceId('ioex/bandwidth'),
      priceVersion: 1,
      notBefore: now - 60,
      notAfter: now + GRANT_LIFE_S,
      serial: serial++,
    })
    return Response.json(grantToJson(signed))
  }

  const addresses = (root: string): Response => {
    const pinUntil = new Date(clock.nowMs() + GRANT_LIFE_S * 1000).toISOString()
    const entries = gateway.sources.flatMap(({ peerId, multiaddrs, http }): AddressEntry[] => {
      const server = evmAddressOfPeerId(peerId)
      if (server === undefined) return []
      return [
        {
          server,
          peerId: peerId.toString(),
          multiaddrs: multiaddrs.map((address) => address.toString()),
          ...(http === undefined ? {} : { http }),
          pinUntil,
        },
      ]
    })
    const issuedAt = new Date(clock.nowMs()).toISOString()
    return Response.json({ release: root, issuedAt, ttlS: ADDRESS_LIST_TTL_S, entries })
  }

  const report = (signed: SignedReport): Response => {
    const opened = openReport(device ?? '0x', signed)
    if (!opened.ok) return problem(422, opened.reason, 'the report is not what its device signed')
    const follows = followsChain(gateway.chain, signed.head)
    if (!follows.ok) {
      return problem(409, follows.reason, 'it does not follow', { chain: gateway.chain })
    }
    if (follows.value.isNew) {
      gateway.chain = { seq: signed.head.seq, head: reportHash(signed.head) }
      gateway.signedReports.push(signed)
      if (opened.value !== null) gateway.reports.push(opened.value)
    }
    return Response.json({ stored: follows.value.isNew, ...gateway.chain })
  }

  const answer = (method: string, path: string, body: unknown): Response => {
    const orderOf = /^\/v1\/devices\/me\/rollouts\/([^/]+)$/.exec(path)?.[1]
    if (orderOf !== undefined) return Response.json({ order: gateway.orders.get(orderOf) ?? null })
    const file = /^\/tuf\/[^/]+\/metadata\/(.+)$/.exec(path)?.[1]
    if (file !== undefined) return bytesOrNothing(vendor.repository.get(decodeURIComponent(file)))
    const keyOf = /^\/v1\/devices\/me\/releases\/([^/]+)\/key$/.exec(path)?.[1]
    if (keyOf !== undefined) return bytesOrNothing(gateway.releases.get(keyOf)?.wrap)
    const listOf = /^\/v1\/releases\/([^/]+)\/addresses$/.exec(path)?.[1]
    if (listOf !== undefined) return addresses(listOf)
    switch (`${method} ${path}`) {
      case 'POST /v1/enrollments/redeem':
        return redeem(body)
      case 'POST /v1/devices/me/check-in':
        return Response.json({ pollAfterS: 5, latest: null, networkVersion: 1 })
      case 'POST /v1/devices/me/grants':
        return grant(body)
      case 'POST /v1/devices/me/reports':
        return report(SignedReportSchema.parse(body))
      case 'POST /v1/devices/me/progress':
        gateway.progress.push(ProgressSchema.parse(body))
        return Response.json({ noted: true })
      default:
        return notFound(path)
    }
  }

  const gateway: FakeGateway = {
    url,
    releases: new Map(),
    sources: [],
    codes: new Map(),
    reports: [],
    signedReports: [],
    progress: [],
    chain: EMPTY_CHAIN,
    orders: new Map(),
    calls: [],
    isDown: false,
    lies: new Map(),
    async fetch(target, init) {
      init.signal?.throwIfAborted()
      const { pathname } = new URL(target)
      const method = init.method ?? 'GET'
      gateway.calls.push(`${method} ${pathname}`)
      if (gateway.isDown) throw new TypeError('fetch failed')
      const lie = gateway.lies.get(pathname)
      if (lie !== undefined) return lie(init)
      const body: unknown = typeof init.body === 'string' ? JSON.parse(init.body) : undefined
      return answer(method, pathname, body)
    },
  }
  return gateway
}

function problem(status: number, code: string, detail: string, more: object = {}): Response {
  return Response.json(
    { type: `/docs#${code}`, title: code, status, code, detail, ...more },
    { status, headers: { 'content-type': 'application/problem+json' } },
  )
}

function notFound(what: string): Response {
  return problem(404, 'not-found', `there is no ${what}`)
}

function bytesOrNothing(bytes: Uint8Array | undefined): Response {
  return bytes === undefined ? notFound('such file') : new Response(new Uint8Array(bytes))
}

function toPlain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
