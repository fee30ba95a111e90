/**
 * The update agent of a device: hears of a release, fetches it from peers, verifies it, makes it the running
 * one, and falls back when it does not do.
 *
 * Announcements and the gateway's answers only wake it. What is installed is what TUF metadata names with a
 * higher sequence than what runs. Each phase is on disk before its deed, so `kill -9` at any point costs at
 * most the work of a moment:
 *
 * | phase | what is true | after a crash |
 * | --- | --- | --- |
 * | idle | `installed` runs | looks again |
 * | fetching | blocks come into the store and, opened, into the other slot's part file | blocks on disk are not fetched again, chunks in the part file are hashed and left |
 * | written | the whole image was read back from disk and has its name | the installer is called (again), at most 3 times |
 * | trying | the installer has succeeded; the health check decides | it is asked again |
 * | falling-back | the check has failed | the slot before is made the running one (again) |
 *
 * Chunks that the running image has are copied from it (each is hashed on the way), so that a release costs its
 * changed chunks. When the gateway is away, an update that was begun goes on with the grant and the addresses
 * that it has; reports wait on disk until they are taken. A full disk clears what was begun.
 *
 * `createStockClients` is an installer that offers what was verified to unmodified clients of hawkBit's DDI.
 *
 * `installFile` is one round with a CAR file in the place of gateway and peers, for devices without a network.
 *
 * ```
 * slot-dir/slot-a/image   slot-dir/slot-b/image   slot-dir/current -> slot-a
 * ```
 */
export { createDeviceAgent } from './agent.ts'
export type { DeviceAgent, DeviceNeeds, DeviceOptions, UpdateOutcome } from './agent-types.ts'
export { type BootCount, countThisBoot } from './boots.ts'
export {
  type Enrolled,
  enrollDevice,
  readEnrollment,
  readMembership,
  renewNetworkFile,
} from './enrollment.ts'
export type { DeviceEvent } from './events.ts'
export { createGatewayReleases } from './gateway-releases.ts'
export { type FileInstallNeeds, type FileInstallOptions, installFile } from './install-file.ts'
export { createInstaller, type Installer, type InstallerOptions } from './installer.ts'
export { createOfferGuard } from './offer-guard.ts'
export { type Conditions, createSystemConditions, type Power } from './policy/conditions.ts'
export type { UpdatePolicy } from './policy/policy.ts'
export { parseTimeWindow, type TimeWindow } from './policy/time-window.ts'
export { createPartitionSlots } from './partitions.ts'
export { createSlots, type Slots } from './slots.ts'
export { readState } from './state-file.ts'
export {
  createStockClients,
  type OfferStanding,
  type StockClientOptions,
  type StockClients,
} from './stock-clients.ts'
export type {
  DeviceErrorCode,
  DeviceState,
  FetchTotals,
  InstalledRelease,
  Phase,
  SlotName,
  Target,
  Waiting,
  WaitReason,
} from './types.ts'
export { type BlockSource, type ImageJob, type Written, writeImage } from './write-image.ts'
