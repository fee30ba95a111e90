import type { TimeWindow, UpdatePolicy } from '../device/index.ts'
import { misuse } from './failure.ts'
import { flag, many, text, value, wholeNumber } from './options.ts'

/** When an update may come: the owner of the device decides, and nobody else can loosen it. */
export const policyOptions = {
  downloadWindow: many(
    '--download-window WINDOW',
    'download only then, by the local clock: "01:00-05:00" or "mon-fri 22:00-05:30"',
  ),
  switchWindow: many('--switch-window WINDOW', 'make a new release the running one only then'),
  minBattery: value(
    '--min-battery PERCENT',
    'on battery, neither with less than this',
    wholeNumber(1, 100),
  ),
  mainsOnly: flag('--mains-only', 'neither on battery'),
  avoidMetered: flag('--avoid-metered', 'no download while --metered-command says so'),
  hooks: text(
    '--hooks DIR',
    'programs that are run at each step: before-download, after-download, before-switch, …',
  ),
  meteredCommand: text('--metered-command CMD', '1 means that the link does not cost by the byte'),
}

export interface PolicyValues {
  readonly downloadWindow: readonly string[]
  readonly switchWindow: readonly string[]
  readonly minBattery: number | undefined
  readonly mainsOnly: boolean
  readonly avoidMetered: boolean
  readonly meteredCommand: string | undefined
  readonly hooks: string | undefined
}

/** Throws `misuse` for windows that cannot be read, and for a policy that could not be held. */
export function policyOf(
  values: PolicyValues,
  parse: (window: string) => TimeWindow,
): UpdatePolicy {
  const windows = (option: string, given: readonly string[]) =>
    given.map((window) => {
      try {
        return parse(window)
      } catch (thrown) {
        if (!(thrown instanceof RangeError)) throw thrown
        throw misuse('window-invalid', `${option} "${window}": ${thrown.message}`, 'Write it anew.')
      }
    })
  if (values.avoidMetered && values.meteredCommand === undefined) {
    throw misuse(
      'metered-command-missing',
      'nothing says whether the link is metered',
      `Add --metered-command 'nmcli -g GENERAL.METERED device show | grep -q ^yes'`,
    )
  }
  return {
    downloadWindows: windows('--download-window', values.downloadWindow),
    switchWindows: windows('--switch-window', values.switchWindow),
    onMainsOnly: values.mainsOnly,
    avoidMetered: values.avoidMetered,
    ...(values.minBattery === undefined ? {} : { minBatteryPercent: values.minBattery }),
  }
}
