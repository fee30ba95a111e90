/** The vendors' devices as `@ioex/node/ddi` wants them, over the gateway's store and publishing. */
import {
  ATTRIBUTES_MAX,
  type DdiAction,
  type DdiDevice,
  type DdiFleet,
  type DdiModule,
  mayBeHeld,
} from '@ioex/node/ddi'
import type { Parts } from '../context.ts'
import { TOKEN_USED_EVERY_MS } from '../limits.ts'
import { createPlainArtifacts, type PlainArtifacts } from '../publishing/plain-artifact.ts'
import { currentAction, stepAction, type StoredAction } from './actions.ts'
import { deviceOfToken, type KnownDevice } from './credentials.ts'

export function createGatewayFleet(parts: Parts): DdiFleet {
  const { limiters } = parts
  const images = createPlainArtifacts(parts)
  return {
    async admit({ tenant, controllerId, credential, source }) {
      if (limiters.refusedTokens.isSpent(source)) limiters.refusedTokens.demand(source)
      const vendor = tenant.toLowerCase()
      const device =
        credential === undefined
          ? undefined
          : await deviceOfToken(parts, { vendor, controller: controllerId, ...credential })
      if (device === undefined) {
        limiters.refusedTokens.take(source)
        return undefined
      }
      limiters.ddi.demand(device.id)
      return createGatewayDevice({ ...parts, images }, device)
    },
  }
}

function createGatewayDevice(
  parts: Parts & { readonly images: PlainArtifacts },
  device: KnownDevice,
): DdiDevice {
  const { db, clock } = parts

  const moduleOf = async (release: string): Promise<DdiModule> => {
    const row = await db
      .selectFrom('releases')
      .selectAll()
      .where('id', '=', release)
      .executeTakeFirstOrThrow()
    const module = await parts.images.module(row)
    if (module === undefined) throw new Error(`release ${release} has no plain image here`)
    return module
  }
  const describe = async ({
    id,
    state,
    messages,
    release,
    is_held,
  }: StoredAction): Promise<DdiAction> => ({
    id,
    state,
    messages: JSON.parse(messages) as string[],
    module: await moduleOf(release),
    isHeld: is_held === 1 && mayBeHeld(state),
  })

  return {
    async poll() {
      await see(parts, device)
      const action = await currentAction(parts, device)
      const installed = await db
        .selectFrom('ddi_actions')
        .select('id')
        .where('device', '=', device.id)
        .where('state', '=', 'finished')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst()
      return {
        action: action === undefined ? undefined : await describe(action),
        installedActionId: installed?.id,
        wantsAttributes: device.attributes === null,
      }
    },
    async action(id) {
      const row = await db
        .selectFrom('ddi_actions')
        .selectAll()
        .where('id', '=', id)
        .where('device', '=', device.id)
        .executeTakeFirst()
      return row === undefined ? undefined : describe(row)
    },
    step: (id, decide) => stepAction(parts, device, id, decide),
    async module(id) {
      const row = await db
        .selectFrom('artifacts')
        .innerJoin('ddi_actions', 'ddi_actions.release', 'artifacts.release')
        .innerJoin('releases', 'releases.id', 'artifacts.release')
        .select('artifacts.release')
        .where('artifacts.id', '=', id)
        .where('device', '=', device.id)
        .where('ddi_actions.state', 'not in', ['awaiting-confirmation', 'canceled'])
        // Its blocks may be gone.
        .where('releases.state', '!=', 'withdrawn')
        .executeTakeFirst()
      return row === undefined ? undefined : moduleOf(row.release)
    },
    async putAttributes(mode, data) {
      const before = JSON.parse(device.attributes ?? '{}') as Record<string, string>
      const kept = new Map(mode === 'replace' ? [] : Object.entries(before))
      for (const [name, value] of Object.entries(data)) {
        if (mode === 'remove') kept.delete(name)
        else kept.set(name, value)
      }
      if (kept.size > ATTRIBUTES_MAX) return false
      const attributes = JSON.stringify(Object.fromEntries(kept))
      if (attributes === device.attributes) return true
      await db
        .updateTable('ddi_devices')
        .set({ attributes })
        .where('device', '=', device.id)
        .execute()
      return true
    },
    autoConfirm: () =>
      Promise.resolve(
        device.auto_confirm === null
          ? undefined
          : (JSON.parse(device.auto_confirm) as Awaited<ReturnType<DdiDevice['autoConfirm']>>),
      ),
    async setAutoConfirm(to) {
      const auto_confirm =
        to === undefined ? null : JSON.stringify({ ...to, activatedMs: clock.nowMs() })
      await db
        .updateTable('ddi_devices')
        .set({ auto_confirm })
        .where('device', '=', device.id)
        .execute()
    },
  }
}

/** Exact to the minute, so that a poll is no write. */
async function see({ db, clock }: Pick<Parts, 'db' | 'clock'>, device: KnownDevice): Promise<void> {
  const nowMs = clock.nowMs()
  if (device.seen_ms !== null && device.seen_ms + TOKEN_USED_EVERY_MS > nowMs) return
  await db.updateTable('devices').set({ seen_ms: nowMs }).where('id', '=', device.id).execute()
}
