import type { ClientResponse } from 'hono/client'
import { createGatewayApi } from '../../gateway/client.ts'
import type {
  AddressEntry,
  Billing,
  Device,
  GatewayApi,
  NetworkFigures,
  Release,
  Upload,
  Vendor,
  WhoAmI,
} from '../../gateway/client.ts'
import { problemOf, unreachable } from './problem.ts'
import type { Session } from './session.ts'

/** Without an answer for so long a call counts as failed; the page says so and tries again. */
const CALL_TIMEOUT_MS = 15_000

/** Every call of the console. Each throws CallError: what happened, and what to do. */
export interface Gateway {
  whoAmI(): Promise<WhoAmI>
  vendor(): Promise<Vendor>
  releases(): Promise<readonly Release[]>
  release(id: string): Promise<Release>
  addresses(id: string): Promise<readonly AddressEntry[]>
  withdraw(id: string): Promise<Release>
  devices(): Promise<readonly Device[]>
  makeCode(
    model: string,
    count: number,
  ): Promise<{ readonly code: string; readonly expiresAt: string }>
  billing(): Promise<Billing>
  network(): Promise<NetworkFigures>
  beginUpload(details: { model: string; version: string; notes: string }): Promise<Upload>
  /** Streams the file; resolves when the gateway has all of it and goes on by itself. */
  sendFile(upload: string, file: Blob, signal: AbortSignal): Promise<void>
}

/** `vendor` is empty only for `whoAmI`, which tells it. */
export function createGateway(token: string, vendor: Session['vendor']): Gateway {
  const api: GatewayApi = createGatewayApi({
    gateway: '',
    token,
    fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(CALL_TIMEOUT_MS) }),
  })
  const { v1 } = api
  return {
    whoAmI: () => answerOf(v1.me.$get()),
    vendor: () => answerOf(v1.vendors[':vendor'].$get({ param: { vendor } })),
    releases: async () =>
      (await answerOf(v1.vendors[':vendor'].releases.$get({ param: { vendor }, query: {} }))).items,
    release: (id) => answerOf(v1.releases[':id'].$get({ param: { id } })),
    addresses: async (id) =>
      (await answerOf(v1.releases[':id'].addresses.$get({ param: { id }, query: {} }))).entries,
    withdraw: (id) => answerOf(v1.releases[':id'].withdraw.$post({ param: { id }, json: {} })),
    devices: async () => (await answerOf(v1.devices.$get({ query: {} }))).items,
    makeCode: (model, count) =>
      answerOf(v1.enrollments.$post({ query: {}, json: { model, count } })),
    billing: () => answerOf(v1.billing.$get({ query: {} })),
    network: () => answerOf(v1.network.$get()),
    beginUpload: (json) =>
      answerOf(v1.vendors[':vendor'].uploads.$post({ param: { vendor }, json })),
    sendFile: async (upload, file, signal) => {
      // Not through the typed client: a body of gigabytes has no JSON form, and no time-out either.
      const answer = await fetch(`/v1/uploads/${upload}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
        body: file,
        signal,
      })
      if (!answer.ok) throw await problemOf(answer)
    },
  }
}

/** The body of an answer that went well; problem documents are thrown before anybody sees them. */
async function answerOf<Answer extends ClientResponse<unknown>>(
  call: Promise<Answer>,
): Promise<BodyOf<Answer>> {
  let answer: Answer
  try {
    answer = await call
  } catch {
    // fetch says no more than that there was no answer.
    throw unreachable()
  }
  if (!answer.ok) throw await problemOf(answer)
  return (await answer.json()) as BodyOf<Answer>
}

/** Of a route's answers, the one that is hoped for. */
type BodyOf<Answer> =
  Answer extends ClientResponse<infer Body, infer Status, infer _Format>
    ? Status extends 200 | 201 | 202
      ? Body
      : never
    : never
