/**
 * A whole network on one machine, with real processes: a development chain with the contracts, bootstraps,
 * seeds, the gateway and the bridge, all below one folder from which it comes back with its data. `npm start`
 * leaves it running, `npm run demo` tells a story on it, the story tests break it.
 */
export { type DemoDevice, type DeviceResult, startDevice, watchDevice } from './demo-devices.ts'
export type { DemoResult } from './demo-story.ts'
export {
  type LocalNetwork,
  type LocalNetworkOptions,
  type Place,
  startLocalNetwork,
} from './network.ts'
export { type Running, startProcess } from './processes.ts'
export { publishFile } from './publish.ts'
export { requestJson } from './request.ts'
export { type ReceiptFact, type Settlement, settle } from './settlement.ts'
export { keepVendor, type LocalVendor } from './vendor.ts'
