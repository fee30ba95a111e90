/**
 * What goes over HTTP between a node and a gateway: the schemas (zod) that the gateway's routes check and
 * document themselves with, and a client of every call that a node makes. The gateway is an untrusted hint:
 * what a device installs is decided by TUF metadata, what a server is paid by receipts.
 *
 * Times are RFC 3339, amounts and 64-bit numbers decimal text, bytes `0x` hexadecimal or base64. Answers may
 * gain fields; clients ignore the ones they do not know. Every error is an RFC 9457 problem document with a
 * stable `code`.
 */
export { createGatewayClient, type GatewayClient } from './client.ts'
export * from './devices.ts'
export {
  ApiError,
  type ApiErrorCode,
  type Call,
  createHttp,
  type Http,
  type HttpNeeds,
  type HttpOptions,
} from './http.ts'
export * from './limits.ts'
export * from './network.ts'
export * from './problem.ts'
export * from './receipts.ts'
export * from './releases.ts'
export * from './reports.ts'
export * from './rollouts.ts'
export {
  AmountSchema,
  CidSchema,
  CursorSchema,
  DigestSchema,
  EvmAddressSchema,
  ModelSchema,
  pageOf,
  TimeSchema,
  VersionSchema,
} from './scalars.ts'
export * from './signed.ts'
export * from './vendors.ts'
