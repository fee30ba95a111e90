import type { AbortOptions } from '../base/index.ts'
import {
  type CheckInAnswer,
  CheckInAnswerSchema,
  type CheckInSchema,
  type Enrollment,
  type EnrollmentRedeemSchema,
  EnrollmentSchema,
} from './devices.ts'
import { createHttp, type HttpNeeds, type HttpOptions } from './http.ts'
import {
  BLOCK_MAX_BYTES,
  PROBLEM_MAX_BYTES,
  ROLLOUT_ORDER_MAX_BYTES,
  TUF_FILE_MAX_BYTES,
  WRAP_MAX_BYTES,
} from './limits.ts'
import {
  type SeedRecord,
  SeedRecordAnswerSchema,
  type SignedNetworkFileJson,
  SignedNetworkFileSchema,
} from './network.ts'
import { type ReceiptBatchResult, ReceiptBatchResultSchema } from './receipts.ts'
import { type Progress, ReportChainSchema, type SignedReport } from './reports.ts'
import { type AddressList, AddressListSchema } from './releases.ts'
import {
  type GrantValue,
  grantFromJson,
  grantToJson,
  type ReceiptValue,
  receiptToJson,
  SignedGrantSchema,
} from './signed.ts'
import { z } from 'zod'

/**
 * Every HTTP call that a node makes. All throw `ApiError`: `gateway-unreachable` (no answer, or a fault over
 * there; trying again may help), `gateway-refused` (`problem.code` says why), `gateway-answer-invalid`,
 * `gateway-answer-too-large`. A device token is needed where it says so.
 */
export interface GatewayClient {
  /** Turns an enrolment code into a device's token and its roots of trust. No token. */
  redeem(claim: z.input<typeof EnrollmentRedeemSchema>, options?: AbortOptions): Promise<Enrollment>
  /** Device. Says what runs here; the answer is a hint what is new. */
  checkIn(state: z.input<typeof CheckInSchema>, options?: AbortOptions): Promise<CheckInAnswer>
  /** Device. The authorization code for one release; ask again when it is used up or expired. */
  grant(
    request: { readonly root: string; readonly baseRoot?: string },
    options?: AbortOptions,
  ): Promise<GrantValue>
  /** Device. The release key, wrapped with age for this device's cohort; undefined when there is none yet. */
  releaseKey(root: string, options?: AbortOptions): Promise<Uint8Array | undefined>
  /** Device. The next report of its chain; sending again changes nothing. Refused 409 where it does not follow. */
  report(report: SignedReport, options?: AbortOptions): Promise<void>
  /** Device. How far a download is; a hint. */
  progress(progress: Progress, options?: AbortOptions): Promise<void>
  /**
   * Device. The newest order of a release's rollout as it came, to be checked by `acceptRolloutOrder`; undefined
   * when there is none above version `have`.
   */
  rolloutOrder(root: string, have: number, options?: AbortOptions): Promise<unknown>
  /** Device. At most 32 random copies. */
  addresses(root: string, options?: AbortOptions): Promise<AddressList>
  /** The operator's signed file; check it before use. No token. */
  networkFile(options?: AbortOptions): Promise<SignedNetworkFileJson>
  /** A file below `/tuf/{vendor}/`, such as `metadata/timestamp.json`; undefined when there is none. No token. */
  tufFile(vendor: string, path: string, options?: AbortOptions): Promise<Uint8Array | undefined>
  /** A root or node block from the gateway's own store, unchecked; undefined when it has none. No token. */
  block(cid: string, options?: AbortOptions): Promise<Uint8Array | undefined>
  /** Seed. Hands proven bytes in, at most 500 at a time; sending again changes nothing. No token. */
  sendReceipts(
    items: readonly { readonly grant: GrantValue; readonly receipt: ReceiptValue }[],
    options?: AbortOptions,
  ): Promise<ReceiptBatchResult>
  /** Seed. Says where this seed is, signed; renew before `validUntil`. No token. */
  sendSeedRecord(
    record: SeedRecord,
    options?: AbortOptions,
  ): Promise<z.infer<typeof SeedRecordAnswerSchema>>
}

export function createGatewayClient(needs: HttpNeeds, options: HttpOptions): GatewayClient {
  const http = createHttp(needs, options)
  return {
    redeem: (claim, abort) =>
      http.json(
        { method: 'POST', path: '/v1/enrollments/redeem', json: claim, ...abort },
        EnrollmentSchema,
      ),
    checkIn: (state, abort) =>
      http.json(
        { method: 'POST', path: '/v1/devices/me/check-in', json: state, ...abort },
        CheckInAnswerSchema,
      ),
    grant: async (request, abort) =>
      grantFromJson(
        await http.json(
          { method: 'POST', path: '/v1/devices/me/grants', json: request, ...abort },
          SignedGrantSchema,
        ),
      ),
    releaseKey: (root, abort) =>
      http.bytes({
        method: 'GET',
        path: `/v1/devices/me/releases/${root}/key`,
        maxBytes: WRAP_MAX_BYTES,
        ...abort,
      }),
    report: async (report, abort) => {
      await http.json(
        {
          method: 'POST',
          path: '/v1/devices/me/reports',
          json: report,
          maxBytes: PROBLEM_MAX_BYTES,
          ...abort,
        },
        ReportChainSchema,
      )
    },
    progress: async (progress, abort) => {
      await http.json(
        {
          method: 'POST',
          path: '/v1/devices/me/progress',
          json: progress,
          maxBytes: PROBLEM_MAX_BYTES,
          ...abort,
        },
        z.object({ noted: z.boolean() }),
      )
    },
    rolloutOrder: async (root, have, abort) => {
      const { order } = await http.json(
        {
          method: 'GET',
          path: `/v1/devices/me/rollouts/${root}`,
          query: { have },
          maxBytes: ROLLOUT_ORDER_MAX_BYTES,
          ...abort,
        },
        z.object({ order: z.unknown() }),
      )
      return order ?? undefined
    },
    addresses: (root, abort) =>
      http.json(
        { method: 'GET', path: `/v1/releases/${root}/addresses`, ...abort },
        AddressListSchema,
      ),
    networkFile: (abort) =>
      http.json({ method: 'GET', path: '/v1/network/file', ...abort }, SignedNetworkFileSchema),
    tufFile: (vendor, path, abort) =>
      http.bytes({
        method: 'GET',
        path: `/tuf/${vendor}/${path}`,
        maxBytes: TUF_FILE_MAX_BYTES,
        ...abort,
      }),
    block: (cid, abort) =>
      http.bytes({
        method: 'GET',
        path: `/ipfs/${cid}`,
        query: { format: 'raw' },
        maxBytes: BLOCK_MAX_BYTES,
        ...abort,
      }),
    sendReceipts: (items, abort) =>
      http.json(
        {
          method: 'POST',
          path: '/v1/receipts',
          json: {
            items: items.map(({ grant, receipt }) => ({
              grant: grantToJson(grant),
              receipt: receiptToJson(receipt),
            })),
          },
          ...abort,
        },
        ReceiptBatchResultSchema,
      ),
    sendSeedRecord: (record, abort) =>
      http.json(
        { method: 'POST', path: '/v1/seeds/records', json: record, ...abort },
        SeedRecordAnswerSchema,
      ),
  }
}
