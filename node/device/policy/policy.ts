/**
 * When an update may load the link and take the device away from its work: what its owner has set on the spot. No
 * vendor and no gateway can loosen it. A download that was begun pauses when it no longer may, and goes on from the
 * blocks it has; a switch that was begun ends.
 */
import { type Clock, type ErrorDetails, IoexError, type Log } from '../../base/index.ts'
import { POLICY_CHECK_EVERY_MS } from '../limits.ts'
import type { Conditions } from './conditions.ts'
import { stateOf, type TimeWindow } from './time-window.ts'

export interface UpdatePolicy {
  /** By the clock on the wall; none: always. */
  readonly downloadWindows?: readonly TimeWindow[]
  readonly switchWindows?: readonly TimeWindow[]
  /** On battery, neither with less than this. */
  readonly minBatteryPercent?: number
  readonly onMainsOnly?: boolean
  /** No download while the link costs by the byte. */
  readonly avoidMetered?: boolean
  /** IANA name; the device's own when left out. */
  readonly timeZone?: string
}

export const POLICY_WAITS = [
  'outside-window',
  'battery-low',
  'not-on-mains',
  'metered-link',
  'hook-postponed',
] as const
export type PolicyWait = (typeof POLICY_WAITS)[number]

export interface Hold {
  readonly reason: PolicyWait
  /** For a person: what it waits for, and until when if that is known. */
  readonly detail: string
}

export interface PolicyGuard {
  /** Undefined: it may. */
  holdsDownload(): Promise<Hold | undefined>
  holdsSwitch(): Promise<Hold | undefined>
  /** Aborts `signal` with a `PolicyPause` when a download has to pause. */
  watchDownload(): { readonly signal: AbortSignal; stop(): void }
}

export function policyPause(hold: Hold): IoexError<PolicyWait> {
  const details: ErrorDetails = { blame: 'local', fix: 'Wait, or change the options of the agent.' }
  return new IoexError(hold.reason, hold.detail, details)
}

export function createPolicyGuard(
  needs: { readonly clock: Clock; readonly conditions: Conditions; readonly log: Log },
  policy: UpdatePolicy,
): PolicyGuard {
  const { clock, conditions, log } = needs
  const timeZone = policy.timeZone ?? Temporal.Now.timeZoneId()

  const outside = (what: string, windows: readonly TimeWindow[] | undefined): Hold | undefined => {
    if (windows === undefined || windows.length === 0) return undefined
    const { isOpen, untilMs } = stateOf(windows, clock.nowMs(), timeZone)
    if (isOpen) return undefined
    const opens = Temporal.Instant.fromEpochMilliseconds(untilMs).toZonedDateTimeISO(timeZone)
    const when = opens.toPlainDateTime().toString({ smallestUnit: 'minute' }).replace('T', ' ')
    return { reason: 'outside-window', detail: `the window for ${what} opens at ${when}` }
  }

  const unpowered = async (): Promise<Hold | undefined> => {
    const { minBatteryPercent, onMainsOnly } = policy
    if (minBatteryPercent === undefined && onMainsOnly !== true) return undefined
    const { onMains, batteryPercent } = await conditions.power()
    if (onMains) return undefined
    if (onMainsOnly === true) {
      return { reason: 'not-on-mains', detail: 'it runs on its battery; updates want mains' }
    }
    const percent = batteryPercent ?? 0
    if (minBatteryPercent === undefined || percent >= minBatteryPercent) return undefined
    return {
      reason: 'battery-low',
      detail: `the battery has ${percent} %; updates want ${minBatteryPercent} %, or mains`,
    }
  }

  const metered = async (): Promise<Hold | undefined> => {
    if (policy.avoidMetered !== true || !(await conditions.isMetered())) return undefined
    return { reason: 'metered-link', detail: 'the link is metered; downloads wait for another' }
  }

  const holdsDownload = async () =>
    outside('downloads', policy.downloadWindows) ?? (await unpowered()) ?? (await metered())

  return {
    holdsDownload,
    holdsSwitch: async () => outside('switching', policy.switchWindows) ?? (await unpowered()),
    watchDownload() {
      const pausing = new AbortController()
      let cancel: () => void = () => undefined
      const look = async () => {
        const hold = await holdsDownload()
        if (hold === undefined) again()
        else pausing.abort(policyPause(hold))
      }
      const again = () => {
        cancel = clock.after(POLICY_CHECK_EVERY_MS, () => {
          look().catch((thrown: unknown) => {
            // What cannot be asked holds nothing up; the next round asks again.
            log.warn({ error: thrown }, 'the conditions of the update policy could not be read')
            again()
          })
        })
      }
      again()
      return { signal: pausing.signal, stop: () => cancel() }
    },
  }
}
