/** Tokens and devices of hawkBit's kind: made known by the vendor, or by themselves with a GatewayToken. */
import { createHash } from 'node:crypto'
import { toHex } from '@ioex/node/base'
import { EMPTY_CHAIN } from '@ioex/node/firmware'
import type { Parts } from '../context.ts'
import { ProblemError } from '../problems.ts'
import type { DdiDeviceRow, DdiTokenRow } from '../store/ddi-tables.ts'
import { addDeviceEvent } from '../store/devices.ts'
import type { Database } from '../store/open.ts'
import type { DeviceRow } from '../store/tables.ts'
import { hashOf } from '../store/tokens.ts'

const TOKEN_BYTES = 24

export type KnownDevice = DeviceRow & Omit<DdiDeviceRow, 'device' | 'vendor'>

interface NewDevice {
  readonly vendor: string
  readonly controller: string
  readonly model: string
  readonly confirm: boolean
  readonly groups: readonly string[]
}

/**
 * Such a device has no key, so that its id is made of the names by which it is known: 20 bytes like all others.
 */
function deviceIdOf(vendor: string, controller: string): `0x${string}` {
  const text = JSON.stringify(['ioex/ddi-device', vendor, controller])
  return toHex(createHash('sha256').update(text).digest().subarray(0, 20)) as `0x${string}`
}

export function findDevice(
  db: Database,
  vendor: string,
  controller: string,
): Promise<KnownDevice | undefined> {
  return db
    .selectFrom('ddi_devices')
    .innerJoin('devices', 'devices.id', 'ddi_devices.device')
    .selectAll('devices')
    .select(['controller', 'confirm', 'groups', 'auto_confirm', 'attributes'])
    .where('ddi_devices.vendor', '=', vendor)
    .where('controller', '=', controller)
    .executeTakeFirst()
}

/** Makes it known, or changes what is said of it. Throws `custody-wrong`, `not-found`. */
export async function putDevice(
  { clock }: Pick<Parts, 'clock'>,
  db: Database,
  device: NewDevice,
): Promise<`0x${string}`> {
  const { vendor, controller, model } = device
  await mustBeManaged(db, vendor)
  const id = deviceIdOf(vendor, controller)
  const nowMs = clock.nowMs()
  const isNew = (await findDevice(db, vendor, controller)) === undefined
  await db
    .insertInto('devices')
    .values({
      id,
      vendor,
      model,
      age_recipient: '',
      state: 'enrolled',
      enrolled_ms: nowMs,
      grant_serial: 0,
      // It signs nothing: its chain stays empty.
      chain_seq: EMPTY_CHAIN.seq,
      chain_head: EMPTY_CHAIN.head,
    })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ model }))
    .execute()
  const values = { confirm: device.confirm ? 1 : 0, groups: JSON.stringify(device.groups) }
  await db
    .insertInto('ddi_devices')
    .values({ device: id, vendor, controller, ...values })
    .onConflict((conflict) => conflict.column('device').doUpdateSet(values))
    .execute()
  if (isNew) {
    await addDeviceEvent(db, {
      device: id,
      at_ms: nowMs,
      event: 'enrolled',
      release: null,
      detail: `hawkBit DDI, as ${controller}`,
      sha256: null,
      fetched_bytes: null,
      sources: '[]',
    })
  }
  return id
}

async function mustBeManaged(db: Database, vendor: string): Promise<void> {
  const row = await db
    .selectFrom('vendors')
    .select('custody')
    .where('id', '=', vendor)
    .executeTakeFirst()
  if (row === undefined) throw new ProblemError('not-found', `there is no vendor ${vendor}`)
  if (row.custody === 'managed') return
  throw new ProblemError('custody-wrong', 'the gateway cannot open what this vendor publishes', {
    fix: 'Run "ioex device ddi" next to such devices: it opens releases there.',
  })
}

/** A token of its own for one device ends the one before; `given` is one that devices have already. */
export async function putToken(
  { clock, random }: Pick<Parts, 'clock' | 'random'>,
  db: Database,
  what: Pick<DdiTokenRow, 'vendor' | 'model' | 'name' | 'device' | 'remaining'>,
  given: string | undefined,
): Promise<{ readonly row: DdiTokenRow; readonly token: string }> {
  const token = given ?? Buffer.from(random.bytes(TOKEN_BYTES)).toString('base64url')
  const row: DdiTokenRow = {
    id: Buffer.from(random.bytes(8)).toString('hex'),
    ...what,
    hash: hashOf(token),
    created_ms: clock.nowMs(),
  }
  if (what.device !== null) {
    await db.deleteFrom('ddi_tokens').where('device', '=', what.device).execute()
  }
  const taken = await db
    .selectFrom('ddi_tokens')
    .select('id')
    .where('vendor', '=', what.vendor)
    .where('hash', '=', row.hash)
    .executeTakeFirst()
  if (taken !== undefined) {
    throw new ProblemError('request-invalid', 'another device or name has this token', {
      fix: 'Give each device a token of its own, or leave it out to have one made.',
    })
  }
  await db.insertInto('ddi_tokens').values(row).execute()
  return { row, token }
}

/** The device for which this token speaks; one that a GatewayToken brings along is made known. */
export async function deviceOfToken(
  parts: Pick<Parts, 'db' | 'clock'>,
  claim: {
    readonly vendor: string
    readonly controller: string
    readonly kind: 'target' | 'gateway'
    readonly token: string
  },
): Promise<KnownDevice | undefined> {
  const { db } = parts
  const { vendor, controller } = claim
  const token = await db
    .selectFrom('ddi_tokens')
    .selectAll()
    .where('vendor', '=', vendor)
    .where('hash', '=', hashOf(claim.token))
    .executeTakeFirst()
  if (token === undefined || (token.device === null) !== (claim.kind === 'gateway'))
    return undefined
  const device = await findDevice(db, vendor, controller)
  if (token.device !== null) return device?.id === token.device ? device : undefined
  if (device !== undefined) return device.model === token.model ? device : undefined
  return db.transaction().execute(async (transaction) => {
    const spent = await transaction
      .updateTable('ddi_tokens')
      .set((row) => ({ remaining: row('remaining', '-', 1) }))
      .where('id', '=', token.id)
      .where('remaining', '>', 0)
      .executeTakeFirst()
    if (spent.numUpdatedRows === 0n) return undefined
    const { model } = token
    await putDevice(parts, transaction, { vendor, controller, model, confirm: false, groups: [] })
    return findDevice(transaction, vendor, controller)
  })
}

/** All that hangs on a device which is taken off, before the row in `devices` goes. */
export async function forgetDevice(transaction: Database, device: string): Promise<void> {
  await transaction.deleteFrom('ddi_tokens').where('device', '=', device).execute()
  await transaction.deleteFrom('ddi_actions').where('device', '=', device).execute()
  await transaction.deleteFrom('ddi_devices').where('device', '=', device).execute()
}
