/**
 * Boots of a release that is being tried. The agent may never get as far as asking for its health: then it is the
 * boots that are counted, by the agent when it starts and by `ioex device boot-count` in a boot script before it,
 * each boot once. After too many the release before comes back.
 */
import { readFile } from 'node:fs/promises'
import { codeOf } from '../base/index.ts'
import { BOOTS_WITHOUT_CONFIRMATION } from './limits.ts'
import { openStateFile, type StateFile } from './state-file.ts'

/** Linux gives each boot a UUID (proc(5)). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

/** Undefined where boots cannot be told apart; they are not counted then. */
export async function systemBootId(): Promise<string | undefined> {
  try {
    return (await readFile(BOOT_ID, 'utf8')).trim()
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

export interface BootCount {
  /** Of the release that is tried; 0 when none is. */
  readonly boots: number
  /** They were too many: the release before has to run. */
  readonly isOver: boolean
}

/** Written before anything is tried, so that a boot that ends in a crash has been counted. */
export async function countBoot(state: StateFile, bootId: string | undefined): Promise<BootCount> {
  const { phase } = state.now
  if (phase.name === 'falling-back') return { boots: 0, isOver: true }
  // An install that was begun may have switched, whether that was noted or not.
  const isBegun = phase.name === 'written' && phase.attempts > 0
  if (phase.name !== 'trying' && !isBegun) return { boots: 0, isOver: false }
  const { boots: before = 0 } = phase
  if (bootId === undefined || phase.bootId === bootId) return { boots: before, isOver: false }
  const boots = before + 1
  const { candidate } = phase
  if (boots <= BOOTS_WITHOUT_CONFIRMATION) {
    await state.save({ phase: { ...phase, bootId, boots } })
    return { boots, isOver: false }
  }
  const detail = `${candidate.version} booted ${BOOTS_WITHOUT_CONFIRMATION} times and was never confirmed`
  await state.save({ phase: { name: 'falling-back', candidate, detail } })
  return { boots, isOver: true }
}

/** For a boot script, while no agent runs. Throws `state-damaged`. */
export async function countThisBoot(
  folder: string,
  bootId: () => Promise<string | undefined> = systemBootId,
): Promise<BootCount> {
  return countBoot(await openStateFile(folder), await bootId())
}
