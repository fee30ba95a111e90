import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, type Clock } from '../../base/index.ts'
import { METERED_COMMAND_WITHIN_MS } from '../limits.ts'
import { runShell } from '../run-command.ts'

/** What the device's owner may make an update depend on. */
export interface Conditions {
  power(): Promise<Power>
  /** Does the link cost by the byte? */
  isMetered(): Promise<boolean>
}

export interface Power {
  /** A device without a battery is on mains whatever it says. */
  readonly onMains: boolean
  /** Of the fullest battery; undefined when there is none, or none that says. */
  readonly batteryPercent: number | undefined
}

/** Linux's power supplies (Documentation/ABI/testing/sysfs-class-power). */
const POWER_SUPPLIES = '/sys/class/power_supply'

/** `meteredCommand`: only its exit code 1 says that the link is not metered. */
export function createSystemConditions(
  needs: { readonly clock: Clock },
  options: { readonly meteredCommand?: string | undefined; readonly powerSupplies?: string } = {},
): Conditions {
  return {
    power: () => readPower(options.powerSupplies ?? POWER_SUPPLIES),
    async isMetered() {
      if (options.meteredCommand === undefined) return false
      const timeoutMs = METERED_COMMAND_WITHIN_MS
      const { exitCode } = await runShell(needs, options.meteredCommand, { env: {}, timeoutMs })
      // Whoever cannot say counts as metered: the owner asked to be spared.
      return exitCode !== 1
    },
  }
}

async function readPower(folder: string): Promise<Power> {
  const supplies = await Promise.all(
    (await namesIn(folder)).map((name) => readSupply(join(folder, name))),
  )
  // The battery of a mouse is none of ours.
  const own = supplies.filter(({ scope }) => scope !== 'Device')
  const batteries = own.filter(({ type }) => type === 'Battery')
  const percents = batteries
    .map(({ capacity }) => capacity)
    .filter((percent) => Number.isFinite(percent))
  const plugged = own.some(({ type, online }) => type !== 'Battery' && online === '1')
  return {
    onMains: plugged || batteries.length === 0,
    batteryPercent: percents.length === 0 ? undefined : Math.max(...percents),
  }
}

async function readSupply(folder: string) {
  const [type, scope, online, capacity] = await Promise.all(
    ['type', 'scope', 'online', 'capacity'].map((name) => textOf(join(folder, name))),
  )
  return { type, scope, online, capacity: capacity === undefined ? Number.NaN : Number(capacity) }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (thrown) {
    // A kernel without power supplies: a box on mains.
    if (codeOf(thrown) === 'ENOENT') return []
    throw thrown
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (thrown) {
    // Each kind of supply has some of the files; a battery that was just pulled out answers ENODEV.
    if (['ENOENT', 'ENODEV'].includes(codeOf(thrown) ?? '')) return undefined
    throw thrown
  }
}
