/** What the gateway keeps of devices that speak hawkBit's DDI, and of the plain images that they load. */
import type { Kysely } from 'kysely'
import type { Generated } from 'kysely'
import type { ActionState } from '@ioex/node/ddi'
import type { Engine } from './tables.ts'

/** The plain image of a release as stock clients want it named and hashed. */
export interface ArtifactRow {
  /** hawkBit's id of the software module. */
  id: Generated<number>
  release: string
  filename: string
  /** Lower-case hexadecimal. */
  sha1: string
  md5: string
}

/** Beside its row in `devices`, whose id is made from vendor and controller. */
export interface DdiDeviceRow {
  device: string
  vendor: string
  controller: string
  /** 1: the person at the device is asked before an update. */
  confirm: number
  /** JSON of who switched the question off; null while it is asked. */
  auto_confirm: string | null
  /** JSON; null until the client has sent some. */
  attributes: string | null
}

/** `TargetToken` of one device, or `GatewayToken` of a vendor for one model. */
export interface DdiTokenRow {
  id: string
  vendor: string
  model: string
  name: string
  /** Null for a GatewayToken. */
  device: string | null
  /** Devices that a GatewayToken may still make known. */
  remaining: number
  /** sha-256 of the token, hex. */
  hash: string
  created_ms: number
}

export interface DdiActionRow {
  id: Generated<number>
  device: string
  release: string
  state: ActionState
  /** JSON, newest first. */
  messages: string
  created_ms: number
}

export interface DdiTables {
  artifacts: ArtifactRow
  ddi_devices: DdiDeviceRow
  ddi_tokens: DdiTokenRow
  ddi_actions: DdiActionRow
}

export async function createDdiTables(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { schema } = db
  // Clients read ids as signed 32-bit numbers; PostgreSQL's serial ends there by itself.
  const counted = engine === 'sqlite' ? 'integer' : 'serial'
  await schema
    .createTable('artifacts')
    .addColumn('id', counted, (column) =>
      engine === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey(),
    )
    .addColumn('release', 'text', (column) => column.notNull().unique().references('releases.id'))
    .addColumn('filename', 'text', (column) => column.notNull())
    .addColumn('sha1', 'text', (column) => column.notNull())
    .addColumn('md5', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createTable('ddi_devices')
    .addColumn('device', 'text', (column) => column.primaryKey().references('devices.id'))
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('controller', 'text', (column) => column.notNull())
    .addColumn('confirm', 'integer', (column) => column.notNull())
    .addColumn('auto_confirm', 'text')
    .addColumn('attributes', 'text')
    .addUniqueConstraint('ddi_devices_controller', ['vendor', 'controller'])
    .execute()
  await schema
    .createTable('ddi_tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('device', 'text')
    .addColumn('remaining', 'bigint', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('ddi_tokens_hash', ['vendor', 'hash'])
    .execute()
  await schema.createIndex('ddi_tokens_device').on('ddi_tokens').columns(['device']).execute()
  await schema
    .createTable('ddi_actions')
    .addColumn('id', counted, (column) =>
      engine === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey(),
    )
    .addColumn('device', 'text', (column) => column.notNull().references('ddi_devices.device'))
    .addColumn('release', 'text', (column) => column.notNull().references('releases.id'))
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('messages', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .execute()
  await schema.createIndex('ddi_actions_of').on('ddi_actions').columns(['device', 'id']).execute()
}
