/** What goes wrong in one fault: all of it follows from the seed and the number of the fault. */
import type { Random } from '@ioex/node/base'
import { LOSSES, type DiskOperation, type Loss, type Moment } from '@ioex/node/testing/power-cut'

export const STEPS = [
  'metadata save',
  'download',
  'decrypt',
  'slot write',
  'switch',
  'confirm',
] as const
export type Step = (typeof STEPS)[number]

export const SCENARIOS = ['update', 'first install'] as const
export type Scenario = (typeof SCENARIOS)[number]

export interface Cut {
  /** Where it falls; `any` is anywhere in what is left to do. */
  readonly step: Step | 'any'
  /** How far into the changes of that step, from 0 to 1. */
  readonly share: number
  readonly moment: Moment
  readonly loss: Loss
}

export interface Fault {
  readonly number: number
  readonly scenario: Scenario
  /** One after the other, each in the life that follows the one before. */
  readonly cuts: readonly Cut[]
}

const MOMENTS = ['before', 'during', 'after'] as const
const MAX_CUTS = 3
const SHARES = 1_000

/** Every step gets as many, one device in five installs for the first time, one fault in four is followed by another. */
export function faultOf(number: number, random: Random): Fault {
  const one = <T>(all: readonly T[]): T => all[random.int(all.length)] as T
  const cut = (step: Cut['step']): Cut => ({
    step,
    share: random.int(SHARES) / SHARES,
    moment: one(MOMENTS),
    loss: one(LOSSES),
  })
  const scenario = random.int(5) === 0 ? 'first install' : 'update'
  const cuts = [cut(STEPS[number % STEPS.length] as Step)]
  while (cuts.length < MAX_CUTS && random.int(4) === 0) cuts.push(cut('any'))
  return { number, scenario, cuts }
}

/** The step that a change of the disk belongs to. `event` is the last that the agent has told of. */
export function stepOf({ path, kind }: Pick<DiskOperation, 'path' | 'kind'>, event: string): Step {
  if (event === 'confirmed') return 'confirm'
  if (path.startsWith('trusted-metadata')) return 'metadata save'
  if (/^slots(\/current.*)?$/.test(path)) return 'switch'
  if (/^slots\/slot-.\/image\.part$/.test(path)) return kind === 'sync' ? 'slot write' : 'decrypt'
  if (path.startsWith('slots/') || path.startsWith('chunks-')) return 'slot write'
  if (path.startsWith('state.json') || path === '') {
    if (event === 'staged') return 'slot write'
    if (event === 'written' || event === 'switching') return 'switch'
    if (event === 'switched' || event === 'trying') return 'confirm'
  }
  return 'download'
}
