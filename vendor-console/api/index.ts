/**
 * Every call of the console to its gateway: typed by the gateway's own routes, each failure a sentence and
 * what to do. Screens ask through the hooks; events of the server only make them ask again.
 */
export { createGateway } from './gateway.ts'
export { CallError } from './problem.ts'
export {
  useAddresses,
  useBilling,
  useDevices,
  useGateway,
  useNetwork,
  useRelease,
  useReleaseProgress,
  useReleases,
  SessionContext,
  useSession,
  useVendor,
} from './hooks.ts'
export { followState } from './events.ts'
export { endSession, loadSession, type Session, saveSession } from './session.ts'
export type {
  Device,
  Release,
  UploadProgress,
  Vendor,
} from '../../gateway/client.ts'
