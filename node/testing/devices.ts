/**
 * Whole devices for those who measure and attack them: a vendor, its gateway, seeds and devices, everything real but HTTP and
 * the links between the nodes.
 */
export {
  createDeviceFleet,
  createRigDevice,
  type DeviceFleet,
  type DeviceSettings,
  MODEL,
  type RigDevice,
} from './device-rig.ts'
export { createRig, DOMAIN, type RigNode } from './exchange-rig.ts'
export { createFakeGateway, type FakeGateway, type FakeRelease } from './fake-gateway.ts'
export { createFakeVendor } from './fake-vendor.ts'
export {
  forge,
  nameInSnapshot,
  newestFile,
  type SignedPart,
  tamper,
} from './tuf-forgery.ts'
export { writeReleaseCar } from './release-car.ts'
