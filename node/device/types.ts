import type { SignedReport } from '../api/index.ts'
import { type ErrorDetails, type Hex, IoexError } from '../base/index.ts'
import {
  type ChainEnd,
  type FollowedOrder,
  ORDER_REFUSALS,
  ROLLOUT_WAITS,
  type RolloutPolicy,
} from '../firmware/index.ts'
import { POLICY_WAITS } from './policy/policy.ts'

export type SlotName = 'a' | 'b'

/** A release that TUF metadata names for this model. */
export interface Target {
  /** CID of the release root as text: the release's id. */
  readonly root: string
  readonly version: string
  /** Rises from release to release of a model; a lower one is never installed over a higher one. */
  readonly sequence: number
  /** Which release key is the right one. */
  readonly releaseKeyHash: Hex
  /** In which order devices may take it, as the vendor signed it. */
  readonly rollout?: RolloutPolicy | undefined
  /** Patches from what runs here, if the vendor made some. */
  readonly delta?: { readonly base: string; readonly root: string } | undefined
}

/** What of a target takes room in the block store. */
export function rootsOf({ root, delta }: Target): readonly string[] {
  return delta === undefined ? [root] : [root, delta.root]
}

/** A release that is, or was, the running one. */
export interface InstalledRelease extends Target {
  readonly imageBytes: number
  /** sha-256 of the image as it was read back from disk, 0x and 64 digits. */
  readonly sha256: `0x${string}`
  readonly slot: SlotName
  readonly sinceMs: number
}

/** What a fetch has cost so far; grows over crashes and restarts. */
export interface FetchTotals {
  /** Bodies of verified blocks, from all sources. */
  readonly fetchedBytes: number
  readonly fetchedBlocks: number
  /** Chunks taken from the running image or found on disk. */
  readonly reusedBlocks: number
  readonly receipts: number
  /** What those receipts of this device acknowledge in all. */
  readonly receiptedBytes: number
  readonly sources: Readonly<Record<string, number>>
}

/**
 * Where the agent is. Each phase is on disk before what it names is done, so that after a crash the agent
 * knows what may have happened: it does the phase again, and every phase may be done twice.
 */
export type Phase =
  | { readonly name: 'idle' }
  /** Blocks come in and are opened into the other slot. */
  | {
      readonly name: 'fetching'
      readonly target: Target
      readonly slot: SlotName
      readonly sinceMs: number
      readonly totals: FetchTotals
    }
  /** The whole image is on disk and was read back; `attempts` installs were begun. */
  | {
      readonly name: 'written'
      readonly candidate: InstalledRelease
      readonly totals: FetchTotals
      readonly attempts: number
      /** As below, once an install was begun: it may have switched before that was noted. */
      readonly bootId?: string | undefined
      readonly boots?: number
    }
  /** It is the running one, or will be at the next boot; its health is being asked. */
  | {
      readonly name: 'trying'
      readonly candidate: InstalledRelease
      readonly totals: FetchTotals
      /** The boot that was counted last; undefined where boots cannot be told apart. */
      readonly bootId?: string | undefined
      /** Since it was switched to. */
      readonly boots: number
    }
  /** It did not do; the one before becomes the running one again. */
  | {
      readonly name: 'falling-back'
      readonly candidate: InstalledRelease
      readonly detail: string
    }

export const WAIT_REASONS = [
  'gateway-unreachable',
  'gateway-refused',
  'metadata-refused',
  'no-release-key',
  'release-key-wrong',
  'release-refused',
  'no-source',
  'disk-full',
  'install-failed',
  'health-check-failed',
  'downgrade-refused',
  'content-damaged',
  ...ROLLOUT_WAITS,
  ...ORDER_REFUSALS,
  ...POLICY_WAITS,
  /** The release to go back to is not published any more, or was tried and did not do. */
  'rollback-not-possible',
  'internal',
] as const
export type WaitReason = (typeof WAIT_REASONS)[number]

/** Why nothing happens, in words for a person, and since when. */
export interface Waiting {
  readonly reason: WaitReason
  readonly detail: string
  readonly sinceMs: number
}

export interface DeviceState {
  readonly phase: Phase
  readonly installed: InstalledRelease | null
  /** What ran before and still stands in the other slot. */
  readonly previous: InstalledRelease | null
  /** Tried and found bad: not tried again until the metadata names something newer. */
  readonly rejected: { readonly root: string; readonly reason: WaitReason } | null
  readonly waiting: Waiting | null
  /** Reports that the gateway has not taken yet, oldest first. */
  readonly outbox: readonly SignedReport[]
  /** The last report that this device has signed. */
  readonly chain: ChainEnd
  /** The newest order that was followed, for each release that has had one; oldest release first. */
  readonly orders: readonly FollowedOrder[]
  /** When the gateway was last heard, and when it should be asked again. */
  readonly heardMs: number | null
  /** Roots whose blocks are no longer wanted; dropped when there is time for it. */
  readonly stale: readonly string[]
}

export type DeviceErrorCode =
  | 'already-enrolled'
  | 'code-refused'
  | 'enrolment-invalid'
  | 'state-damaged'
  | 'metadata-refused'
  | 'disk-full'
  | 'image-mismatch'
  | 'image-too-large'
  /** A partition that runs, or is mounted, was to be written. */
  | 'slot-in-use'
  | 'install-failed'
  | 'release-key-wrong'
  | 'no-release-key'
  | 'release-refused'
  /** The delta cannot be had, or does not fit to what runs here: the rest is fetched as chunks. */
  | 'delta-useless'
  /** A release in one file: changed, cut off, or of another vendor or model. */
  | 'car-damaged'
  | 'car-incomplete'
  | 'car-not-for-this-device'
  | 'downgrade-refused'

export function deviceError(
  code: DeviceErrorCode,
  message: string,
  details: ErrorDetails,
): IoexError<DeviceErrorCode> {
  return new IoexError(code, message, details)
}

export const NO_TOTALS: FetchTotals = {
  fetchedBytes: 0,
  fetchedBlocks: 0,
  reusedBlocks: 0,
  receipts: 0,
  receiptedBytes: 0,
  sources: {},
}
