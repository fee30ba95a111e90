import type { OrderRefusal } from '../firmware/index.ts'
import type { FetchTotals, InstalledRelease, Target, WaitReason } from './types.ts'

/** What happens, as it happens: for progress bars, logs and tests. Each comes after what it names is durable. */
export type DeviceEvent =
  /** Somebody said that there is something new; nothing is decided by it. */
  | { readonly name: 'heard'; readonly root: string; readonly version: string }
  | { readonly name: 'up-to-date'; readonly installed: InstalledRelease | null }
  | { readonly name: 'fetching'; readonly target: Target }
  | {
      readonly name: 'progress'
      readonly target: Target
      /** Of the image. */
      readonly percent: number
      readonly stagedBytes: number
      readonly imageBytes: number
      readonly fetchedBytes: number
      readonly sources: number
    }
  /** All bytes are on disk and are being read back. */
  | { readonly name: 'staged'; readonly target: Target }
  | { readonly name: 'written'; readonly candidate: InstalledRelease }
  /** The installer is about to be called, for the n-th time. */
  | { readonly name: 'switching'; readonly candidate: InstalledRelease; readonly attempt: number }
  /** The installer is done; not yet noted. */
  | { readonly name: 'switched'; readonly candidate: InstalledRelease }
  | { readonly name: 'trying'; readonly candidate: InstalledRelease }
  | {
      readonly name: 'confirmed'
      readonly installed: InstalledRelease
      readonly totals: FetchTotals
    }
  | { readonly name: 'falling-back'; readonly candidate: InstalledRelease }
  | { readonly name: 'fell-back'; readonly installed: InstalledRelease | null }
  | { readonly name: 'waiting'; readonly reason: WaitReason; readonly detail: string }
  /** The gateway handed on an order of the rollout role that nobody may follow. */
  | { readonly name: 'order-refused'; readonly root: string; readonly reason: OrderRefusal }
  /** What runs has to give way to the release before, by order of the rollout role within the vendor's policy. */
  | { readonly name: 'rolling-back'; readonly from: InstalledRelease; readonly to: Target }
  /** The gateway has a newer network file than this node runs with. */
  | { readonly name: 'network-file'; readonly version: number }
