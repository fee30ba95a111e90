import type { Clock, Log } from '../base/index.ts'
import type * as Device from '../device/index.ts'
import type { InstallerOptions, Slots } from '../device/index.ts'
import { misuse } from './failure.ts'
import { duration, fromEnv, size, text, value, withDefault } from './options.ts'

/** Of the commands that make an image the running one. */
export const installerOptions = {
  slotDir: fromEnv(
    text('--slot-dir DIR', 'slot-a, slot-b and the link current are kept here'),
    'IOEX_SLOT_DIR',
  ),
  slotA: text('--slot-a DEVICE', 'A/B partitions in the place of folders: the first …'),
  slotB: text('--slot-b DEVICE', '… and the second; the install command has the bootloader switch'),
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

export interface SlotValues {
  readonly slotDir: string | undefined
  readonly slotA?: string | undefined
  readonly slotB?: string | undefined
  readonly healthCommand?: string | undefined
}

export interface InstallerValues extends SlotValues {
  readonly installCommand: string | undefined
  readonly healthCommand: string | undefined
  readonly healthWithin: number
  readonly space: number
}

/** Folders, or two partitions of which the notes are kept in a folder. */
export function slotsOf(
  values: SlotValues,
  needs: {
    readonly device: Pick<typeof Device, 'createSlots' | 'createPartitionSlots'>
    readonly clock: Clock
    readonly log: Log
    /** When none is named. */
    readonly folder: string
  },
): Slots {
  const { slotA: a, slotB: b } = values
  const folder = values.slotDir ?? needs.folder
  if (a === undefined && b === undefined) return needs.device.createSlots(folder)
  if (a !== undefined && b !== undefined && a !== b) {
    if (values.healthCommand === undefined) {
      throw misuse(
        'health-command-missing',
        'a bootloader may have gone back by itself, and nothing here would notice',
        'Add a --health-command that ends with 0 only when $IOEX_SLOT is the one that booted.',
      )
    }
    return needs.device.createPartitionSlots(needs, { a, b, folder })
  }
  throw misuse(
    'slots-incomplete',
    'A/B partitions are two different ones',
    'Give both --slot-a DEVICE and --slot-b DEVICE.',
  )
}

export function installerOptionsOf(values: InstallerValues): InstallerOptions {
  const { installCommand, healthCommand } = values
  return {
    healthWithinMs: values.healthWithin,
    ...(installCommand === undefined ? {} : { installCommand }),
    ...(healthCommand === undefined ? {} : { healthCommand }),
  }
}
