import type { InstallerOptions } from '../device/index.ts'
import { duration, fromEnv, size, text, value, withDefault } from './options.ts'

/** Of the commands that make an image the running one. */
export const installerOptions = {
  slotDir: fromEnv(
    text('--slot-dir DIR', 'slot-a, slot-b and the link current are kept here'),
    'IOEX_SLOT_DIR',
  ),
  installCommand: text(
    '--install-command CMD',
    'run with IOEX_IMAGE and IOEX_VERSION set; 0 means installed',
  ),
  healthCommand: text(
    '--health-command CMD',
    '0 means that the new release does its work; else the one before comes back',
  ),
  healthWithin: withDefault(
    value('--health-within TIME', 'how long it may take to become healthy', duration),
    60_000,
  ),
  space: withDefault(value('--space SIZE', 'disk for blocks on their way', size), 20e9),
}

export interface InstallerValues {
  readonly slotDir: string | undefined
  readonly installCommand: string | undefined
  readonly healthCommand: string | undefined
  readonly healthWithin: number
  readonly space: number
}

export function installerOptionsOf(values: InstallerValues): InstallerOptions {
  const { installCommand, healthCommand } = values
  return {
    healthWithinMs: values.healthWithin,
    ...(installCommand === undefined ? {} : { installCommand }),
    ...(healthCommand === undefined ? {} : { healthCommand }),
  }
}
