import type { Kysely } from 'kysely'
import type { Engine } from './tables.ts'

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
    .addColumn('groups', 'text', (column) => column.notNull())
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
    .addColumn('is_held', 'integer', (column) => column.notNull())
    .addColumn('messages', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .execute()
  await schema.createIndex('ddi_actions_of').on('ddi_actions').columns(['device', 'id']).execute()
}
