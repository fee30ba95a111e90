/**
 * The gateway's API as a typed client, for the console and for tests. The only file of this workspace that the
 * console imports; it brings nothing of the server along but types.
 */
import { hc } from 'hono/client'
import type { Routes } from './routes/all.ts'

/** The types are worked out once here, not again in every editor that opens the console. */
export type GatewayApi = ReturnType<typeof hc<Routes>>

export interface GatewayApiOptions {
  /** Such as `http://127.0.0.1:8080`; empty for the page's own host. */
  readonly gateway: string
  readonly token?: string
  /** The global one as a rule; `app.request` in tests. */
  readonly fetch?: typeof fetch
}

export function createGatewayApi(options: GatewayApiOptions): GatewayApi {
  return hc<Routes>(options.gateway === '' ? '/' : options.gateway, {
    ...(options.token === undefined
      ? {}
      : { headers: { authorization: `Bearer ${options.token}` } }),
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  })
}

/** What the calls carry, so that the console needs no other import. */
export type {
  AddressEntry,
  AddressList,
  Billing,
  Device,
  NetworkFigures,
  Problem,
  Release,
  ReleaseProgress,
  Upload,
  UploadProgress,
  Vendor,
  WhoAmI,
} from '@ioex/node/api'
