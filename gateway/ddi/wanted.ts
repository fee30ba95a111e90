/**
 * What a device that speaks DDI shall run. It knows neither TUF nor orders and cannot judge for itself, so that
 * the gateway does it in its place, by the vendor's policy and with the function that other devices judge with.
 * For such a device a stolen gateway can skip phases: whoever needs more runs `ioex device ddi` beside it.
 */
import { type ReleaseState, RolloutOrderSchema } from '@ioex/node/api'
import {
  judgeRollout,
  RolloutPolicySchema,
  type RolloutVerdict,
  type RolloutWait,
} from '@ioex/node/firmware'
import type { EvmAddress } from '@ioex/node/identity'
import { CID } from 'multiformats/cid'
import type { Parts } from '../context.ts'
import { DDI_RELEASES_JUDGED } from '../limits.ts'
import type { KnownDevice } from './credentials.ts'

type Needs = Pick<Parts, 'db' | 'clock'>

/** `is-held`: what was offered stays, and is not to be begun now. */
interface WantedRelease {
  readonly release: string
  readonly standing: 'may-install' | 'is-held'
}

const OFFERED: ReleaseState[] = ['published', 'superseded']
const INSTALL: RolloutVerdict = { verdict: 'install' }
/** A pause, or a word that has run out: the device keeps what it was offered and waits. */
const PAUSES = new Set<RolloutWait>(['rollout-held', 'rollout-no-order'])
const ENDS = new Set<RolloutWait>(['rollout-aborted', 'rollout-rolled-back'])

export interface Judgement {
  readonly wanted: WantedRelease | undefined
  /** What is offered has neither been withdrawn nor ended by its rollout. */
  readonly offerStands: boolean
}

/** `offered`: the release of the action that is active, if one is. */
export async function judgeFor(
  { db, clock }: Needs,
  device: KnownDevice,
  offered: string | undefined,
): Promise<Judgement> {
  const releases = db
    .selectFrom('releases')
    .leftJoin('rollouts', 'rollouts.release', 'releases.id')
    .select(['id', 'sequence', 'state', 'policy', 'order_json'])
    .where('releases.vendor', '=', device.vendor)
    .where('model', '=', device.model)
  const newestFirst = await releases
    .where('state', 'in', OFFERED)
    .orderBy('sequence', 'desc')
    .limit(DDI_RELEASES_JUDGED)
    .execute()
  const find = async (root: string) =>
    newestFirst.find(({ id }) => id === root) ?? releases.where('id', '=', root).executeTakeFirst()
  const runs = device.running_root
  const judge = ({ id, policy, order_json }: (typeof newestFirst)[number]): RolloutVerdict => {
    if (policy === null) return INSTALL
    return judgeRollout({
      root: CID.parse(id),
      policy: RolloutPolicySchema.parse(JSON.parse(policy)),
      order: order_json === null ? null : RolloutOrderSchema.parse(JSON.parse(order_json)),
      device: device.id as EvmAddress,
      groups: JSON.parse(device.groups) as string[],
      runs: id === runs,
      nowMs: clock.nowMs(),
    })
  }
  const wantedOf = async (): Promise<WantedRelease | undefined> => {
    const running = runs === null ? undefined : await find(runs)
    const word = running === undefined ? undefined : judge(running)
    if (word?.verdict === 'roll-back') {
      const back = await find(word.to)
      const isThere = back !== undefined && OFFERED.includes(back.state)
      return isThere ? { release: back.id, standing: 'may-install' } : undefined
    }
    for (const one of newestFirst) {
      // What runs may be withdrawn by now: nothing older takes its place.
      if ((one.sequence ?? 0) <= (running?.sequence ?? -1)) return undefined
      const verdict = judge(one)
      if (verdict.verdict === 'install') return { release: one.id, standing: 'may-install' }
      const pauses = verdict.verdict === 'wait' && PAUSES.has(verdict.reason)
      if (pauses && one.id === offered) return { release: one.id, standing: 'is-held' }
    }
    return undefined
  }
  const stands = async (root: string): Promise<boolean> => {
    const release = await find(root)
    if (release === undefined || !OFFERED.includes(release.state)) return false
    const verdict = judge(release)
    return verdict.verdict !== 'wait' || !ENDS.has(verdict.reason)
  }
  return {
    wanted: await wantedOf(),
    offerStands: offered !== undefined && (await stands(offered)),
  }
}
