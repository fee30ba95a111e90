import { isActive, onTakeBack, type Step, withMessages } from '@ioex/node/ddi'
import type { Parts } from '../context.ts'
import type { DdiActionRow } from '../store/ddi-tables.ts'
import { noteWord } from '../store/device-words.ts'
import { addDeviceEvent } from '../store/devices.ts'
import { latestPublished } from '../store/releases.ts'
import type { ReleaseRow } from '../store/tables.ts'
import type { KnownDevice } from './credentials.ts'

type Needs = Pick<Parts, 'db' | 'clock' | 'releaseEvents'>

/** Two reports of one device at once: the second is decided anew on what the first has left. */
const STEP_TRIES = 4

export type StoredAction = Omit<DdiActionRow, 'id'> & { readonly id: number }

/**
 * What a device shall do now. The release of its model that is published becomes an action once; whatever is
 * active of another release is taken back first, and the client has to agree before the new one begins.
 */
export async function currentAction(
  needs: Needs,
  device: KnownDevice,
): Promise<StoredAction | undefined> {
  const { db } = needs
  const wanted = await latestPublished(db, device.vendor, device.model)
  let newest = await newestAction(needs, device.id)
  if (newest !== undefined && isActive(newest.state) && newest.release !== wanted?.id) {
    if (newest.state !== 'canceling') {
      await stepAction(needs, device, newest.id, onTakeBack)
      newest = await newestAction(needs, device.id)
    }
    if (newest !== undefined && isActive(newest.state)) return newest
  }
  if (newest !== undefined && newest.release === wanted?.id) {
    return isActive(newest.state) ? newest : undefined
  }
  if (wanted === undefined || wanted.id === device.running_root) return undefined
  return beginAction(needs, device, wanted)
}

function newestAction({ db }: Needs, device: string): Promise<StoredAction | undefined> {
  return db
    .selectFrom('ddi_actions')
    .selectAll()
    .where('device', '=', device)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
}

/** Undefined when the release has no plain image here. */
async function beginAction(
  { db, clock, releaseEvents }: Needs,
  device: KnownDevice,
  release: ReleaseRow,
): Promise<StoredAction | undefined> {
  const artifact = await db
    .selectFrom('artifacts')
    .select('id')
    .where('release', '=', release.id)
    .executeTakeFirst()
  if (artifact === undefined) return undefined
  const atMs = clock.nowMs()
  const asks = device.confirm === 1 && device.auto_confirm === null
  const action = await db.transaction().execute(async (transaction) => {
    const row = await transaction
      .insertInto('ddi_actions')
      .values({
        device: device.id,
        release: release.id,
        state: asks ? 'awaiting-confirmation' : 'running',
        messages: JSON.stringify(['Offered to the device.']),
        created_ms: atMs,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    await transaction
      .updateTable('devices')
      .set({ state: 'waiting', target: release.id, percent: null, reason: null })
      .where('id', '=', device.id)
      .execute()
    await addDeviceEvent(transaction, {
      device: device.id,
      at_ms: atMs,
      event: 'offered',
      release: release.id,
      detail: `action ${row.id}`,
      sha256: null,
      fetched_bytes: null,
      sources: '[]',
    })
    return row
  })
  releaseEvents.changed(release.id)
  return action
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
  { db, clock, releaseEvents }: Needs,
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
    return true
  })
  if (!isDone) return 'overtaken'
  if (said !== undefined) {
    const { event, percent } = said
    releaseEvents.changed(action.id, { device: said.device, event, atMs, percent })
  }
  return step
}
