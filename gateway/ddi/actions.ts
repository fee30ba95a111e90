import { isActive, onTakeBack, type Step, withMessages } from '@ioex/node/ddi'
import type { Parts } from '../context.ts'
import { DDI_ACTIONS_KEPT } from '../limits.ts'
import type { DdiActionRow } from '../store/ddi-tables.ts'
import { noteWord } from '../store/device-words.ts'
import { addDeviceEvent } from '../store/devices.ts'
import type { Database } from '../store/open.ts'
import type { KnownDevice } from './credentials.ts'
import { judgeFor } from './wanted.ts'

type Needs = Pick<Parts, 'db' | 'clock' | 'releaseEvents' | 'rollouts'>

/** Two reports of one device at once: the second is decided anew on what the first has left. */
const STEP_TRIES = 4
/** Chains of signed reports begin with 1. */
const NO_REPORT = 0

export type StoredAction = Omit<DdiActionRow, 'id'> & { readonly id: number }

/**
 * What a device shall do now. A release that it shall run becomes an action once; one that was offered before and is
 * not begun is taken back first, and the client has to agree before the new one begins.
 */
export async function currentAction(
  needs: Needs,
  device: KnownDevice,
): Promise<StoredAction | undefined> {
  let newest = await newestAction(needs.db, device.id)
  const offered = newest !== undefined && isActive(newest.state) ? newest : undefined
  const { wanted, offerStands } = await judgeFor(needs, device, offered?.release)
  if (offered !== undefined && offered.release === wanted?.release) {
    return hold(needs, offered, wanted.standing === 'is-held')
  }
  // SWUpdate says after a restart that "the" update went well, of whichever it then finds: one that it is at is seen
  // through before there is another.
  if (offered?.state === 'running' && offerStands) return offered
  if (offered !== undefined) {
    if (offered.state !== 'canceling') {
      await stepAction(needs, device, offered.id, onTakeBack)
      newest = await newestAction(needs.db, device.id)
    }
    if (newest !== undefined && isActive(newest.state)) return newest
  }
  if (wanted === undefined || newest?.release === wanted.release) return undefined
  if (await hasFailed(needs, device, wanted.release)) return undefined
  return beginAction(needs, device, wanted.release, newest?.id)
}

/** Tried and found bad: not offered again, as other devices do not try again either. */
async function hasFailed({ db }: Needs, device: KnownDevice, release: string): Promise<boolean> {
  const failed = await db
    .selectFrom('ddi_actions')
    .select('id')
    .where('device', '=', device.id)
    .where('release', '=', release)
    .where('state', '=', 'error')
    .executeTakeFirst()
  return failed !== undefined
}

async function hold({ db }: Needs, action: StoredAction, isHeld: boolean): Promise<StoredAction> {
  const is_held = isHeld ? 1 : 0
  if (action.is_held === is_held) return action
  await db.updateTable('ddi_actions').set({ is_held }).where('id', '=', action.id).execute()
  return { ...action, is_held }
}

function newestAction(db: Database, device: string): Promise<StoredAction | undefined> {
  return db
    .selectFrom('ddi_actions')
    .selectAll()
    .where('device', '=', device)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Undefined when the release has no plain image here. `after`: the newest action before it. */
async function beginAction(
  { db, clock, releaseEvents }: Needs,
  device: KnownDevice,
  release: string,
  after: number | undefined,
): Promise<StoredAction | undefined> {
  const artifact = await db
    .selectFrom('artifacts')
    .select('id')
    .where('release', '=', release)
    .executeTakeFirst()
  if (artifact === undefined) return undefined
  const atMs = clock.nowMs()
  const asks = device.confirm === 1 && device.auto_confirm === null
  const begun = await db.transaction().execute(async (transaction) => {
    // First, as it locks the device's row: of two polls at once one begins, and the other sees it.
    await transaction
      .updateTable('devices')
      .set({ state: 'waiting', target: release, percent: null, reason: null })
      .where('id', '=', device.id)
      .execute()
    const newest = await newestAction(transaction, device.id)
    if (newest !== undefined && newest.id !== after) return newest
    const row = await transaction
      .insertInto('ddi_actions')
      .values({
        device: device.id,
        release,
        state: asks ? 'awaiting-confirmation' : 'offered',
        is_held: 0,
        messages: JSON.stringify(['Offered to the device.']),
        created_ms: atMs,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    await addDeviceEvent(transaction, {
      device: device.id,
      at_ms: atMs,
      event: 'offered',
      release,
      detail: `action ${row.id}`,
      sha256: null,
      fetched_bytes: null,
      sources: '[]',
    })
    await forgetOldActions(transaction, device.id)
    return row
  })
  releaseEvents.changed(release)
  return begun
}

async function forgetOldActions(transaction: Database, device: string): Promise<void> {
  const oldest = await transaction
    .selectFrom('ddi_actions')
    .select('id')
    .where('device', '=', device)
    .orderBy('id', 'desc')
    .offset(DDI_ACTIONS_KEPT)
    .limit(1)
    .executeTakeFirst()
  if (oldest === undefined) return
  await transaction
    .deleteFrom('ddi_actions')
    .where('device', '=', device)
    .where('id', '<=', oldest.id)
    .execute()
}

/** Applies a decision to an action as it is then; undefined when the device has none of that id. */
export async function stepAction(
  needs: Needs,
  device: Pick<KnownDevice, 'id'>,
  id: number,
  decide: (action: Pick<StoredAction, 'state'>) => Step,
): Promise<Step | undefined> {
  for (let tries = 0; tries < STEP_TRIES; tries++) {
    const step = await tryStep(needs, device, id, decide)
    if (step !== 'overtaken') return step
  }
  throw new Error(`action ${id} changed ${STEP_TRIES} times under a report`)
}

async function tryStep(
  { db, clock, releaseEvents, rollouts }: Needs,
  device: Pick<KnownDevice, 'id'>,
  id: number,
  decide: (action: Pick<StoredAction, 'state'>) => Step,
): Promise<Step | undefined | 'overtaken'> {
  const action = await db
    .selectFrom('ddi_actions')
    .innerJoin('releases', 'releases.id', 'ddi_actions.release')
    .select(['ddi_actions.state', 'messages', 'releases.id', 'version', 'image_sha256'])
    .where('ddi_actions.id', '=', id)
    .where('device', '=', device.id)
    .executeTakeFirst()
  if (action === undefined) return undefined
  const step = decide(action)
  if (!step.ok) return step
  const atMs = clock.nowMs()
  const messages = withMessages(JSON.parse(action.messages) as string[], step.messages)
  const { word } = step
  const said =
    word === undefined
      ? undefined
      : {
          ...word,
          device: device.id as `0x${string}`,
          sha256: word.event === 'confirmed' ? action.image_sha256 : null,
        }
  const isWell = word?.event === 'confirmed'
  const ends = isWell || word?.event === 'failed'
  const isDone = await db.transaction().execute(async (transaction) => {
    const changed = await transaction
      .updateTable('ddi_actions')
      .set({ state: step.state, messages: JSON.stringify(messages) })
      .where('id', '=', id)
      .where('state', '=', action.state)
      .where('messages', '=', action.messages)
      .executeTakeFirst()
    if (changed.numUpdatedRows === 0n) return false
    if (said !== undefined) await noteWord(transaction, action, said, atMs)
    // It counts in the figures of the rollout; evidence for others it is not, as the device has signed nothing.
    if (ends) {
      const end = { release: action.id, device: device.id, seq: NO_REPORT, isWell }
      await rollouts.ended(transaction, end)
    }
    return true
  })
  if (!isDone) return 'overtaken'
  if (said !== undefined) {
    const { event, percent } = said
    releaseEvents.changed(action.id, { device: said.device, event, atMs, percent })
  }
  if (ends) await rollouts.decideSoon(action.id)
  return step
}
