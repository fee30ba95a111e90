/** Numbered, applied in order, never edited once released: a change of the tables is a new one. */
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { createDdiTables } from './ddi-migration.ts'
import type { Engine } from './tables.ts'

export function migrationsFor(engine: Engine): Record<string, Migration> {
  return {
    '0001-first': { up: (db: Kysely<unknown>) => first(db, engine) },
    '0002-ddi': { up: (db: Kysely<unknown>) => createDdiTables(db, engine) },
  }
}

async function first(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const blob = engine === 'sqlite' ? sql`blob` : sql`bytea`
  const { schema } = db

  await schema
    .createTable('vendors')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('custody', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addColumn('voucher_signer', 'text', (column) => column.notNull().unique())
    .addColumn('online_tuf_key', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createTable('secrets')
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('purpose', 'text', (column) => column.notNull())
    .addColumn('sealed', blob, (column) => column.notNull())
    .addPrimaryKeyConstraint('secrets_pk', ['vendor', 'purpose'])
    .execute()
  await schema
    .createTable('tuf_files')
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('bytes', blob, (column) => column.notNull())
    .addColumn('version', 'bigint', (column) => column.notNull())
    .addColumn('expires_ms', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('tuf_files_pk', ['vendor', 'name'])
    .execute()
  await schema
    .createTable('uploads')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('version', 'text', (column) => column.notNull())
    .addColumn('notes', 'text', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addColumn('session', 'text', (column) => column.notNull())
    .addColumn('rollout_plan', 'text')
    .addColumn('kind', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createTable('releases')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('version', 'text', (column) => column.notNull())
    .addColumn('notes', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint')
    .addColumn('root_bytes', 'bigint', (column) => column.notNull())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addColumn('published_ms', 'bigint')
    .addColumn('withdrawn_ms', 'bigint')
    .addColumn('image_bytes', 'bigint')
    .addColumn('image_sha256', 'text')
    .addColumn('sealed_bytes', 'bigint', (column) => column.notNull())
    .addColumn('chunks', 'bigint')
    .addColumn('new_bytes', 'bigint')
    .addColumn('release_key_hash', 'text', (column) => column.notNull())
    .addColumn('deltas', 'text', (column) => column.notNull())
    .addColumn('pending_metadata', 'text')
    .addColumn('rollout_plan', 'text')
    .addUniqueConstraint('releases_version', ['vendor', 'model', 'version'])
    .addUniqueConstraint('releases_sequence', ['vendor', 'model', 'sequence'])
    .execute()
  await schema
    .createIndex('releases_newest')
    .on('releases')
    .columns(['vendor', 'model', 'created_ms'])
    .execute()
  await schema
    .createTable('wraps')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('release', 'text', (column) => column.notNull().references('releases.id'))
    .addColumn('bytes', blob, (column) => column.notNull())
    .execute()
  await schema
    .createTable('wrap_members')
    .addColumn('release', 'text', (column) => column.notNull().references('releases.id'))
    .addColumn('device', 'text', (column) => column.notNull())
    .addColumn('wrap', 'text', (column) => column.notNull().references('wraps.id'))
    .addPrimaryKeyConstraint('wrap_members_pk', ['release', 'device'])
    .execute()
  await devicesAndTokens(db, engine)
  await networkAndMoney(db)
  await rolloutsAndReports(db)
}

async function rolloutsAndReports({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('device_reports')
    .addColumn('device', 'text', (column) => column.notNull().references('devices.id'))
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('prev', 'text', (column) => column.notNull())
    .addColumn('root', 'text', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .addColumn('report', 'text')
    .addPrimaryKeyConstraint('device_reports_pk', ['device', 'seq'])
    .execute()
  await schema
    .createTable('rollouts')
    .addColumn('release', 'text', (column) => column.primaryKey().references('releases.id'))
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('policy', 'text', (column) => column.notNull())
    .addColumn('witnesses', 'text', (column) => column.notNull())
    .addColumn('approval', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('phase', 'bigint', (column) => column.notNull())
    .addColumn('order_version', 'bigint', (column) => column.notNull())
    .addColumn('order_json', 'text')
    .addColumn('order_expires_s', 'bigint', (column) => column.notNull())
    .addColumn('changed_ms', 'bigint', (column) => column.notNull())
    .execute()
  await schema
    .createIndex('rollouts_of_vendor')
    .on('rollouts')
    .columns(['vendor', 'changed_ms'])
    .execute()
  await schema
    .createTable('rollout_devices')
    .addColumn('release', 'text', (column) => column.notNull().references('rollouts.release'))
    .addColumn('device', 'text', (column) => column.notNull().references('devices.id'))
    .addColumn('phase', 'bigint', (column) => column.notNull())
    .addColumn('seq', 'bigint', (column) => column.notNull())
    .addColumn('is_well', 'bigint', (column) => column.notNull())
    .addColumn('is_witness', 'bigint', (column) => column.notNull())
    .addColumn('is_set_aside', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('rollout_devices_pk', ['release', 'device'])
    .execute()
}

async function devicesAndTokens({ schema }: Kysely<unknown>, engine: Engine): Promise<void> {
  await schema
    .createTable('tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('vendor', 'text')
    .addColumn('device', 'text')
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('created_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_ms', 'bigint')
    .addColumn('used_ms', 'bigint')
    .execute()
  await schema.createIndex('tokens_of_vendor').on('tokens').columns(['vendor', 'kind']).execute()
  await schema
    .createTable('enrollments')
    .addColumn('hash', 'text', (column) => column.primaryKey())
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('remaining', 'bigint', (column) => column.notNull())
    .addColumn('expires_ms', 'bigint', (column) => column.notNull())
    .execute()
  await schema
    .createTable('devices')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('age_recipient', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('running_version', 'text')
    .addColumn('running_root', 'text')
    .addColumn('target', 'text')
    .addColumn('percent', 'real')
    .addColumn('enrolled_ms', 'bigint', (column) => column.notNull())
    .addColumn('seen_ms', 'bigint')
    .addColumn('grant_serial', 'bigint', (column) => column.notNull())
    .addColumn('chain_seq', 'bigint', (column) => column.notNull())
    .addColumn('chain_head', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createIndex('devices_of_model')
    .on('devices')
    .columns(['vendor', 'model', 'id'])
    .execute()
  await schema.createIndex('devices_target').on('devices').columns(['target', 'state']).execute()
  await schema
    .createTable('device_events')
    .addColumn('id', engine === 'sqlite' ? 'integer' : 'bigserial', (column) =>
      engine === 'sqlite' ? column.primaryKey().autoIncrement() : column.primaryKey(),
    )
    .addColumn('device', 'text', (column) => column.notNull().references('devices.id'))
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('release', 'text')
    .addColumn('detail', 'text')
    .addColumn('sha256', 'text')
    .addColumn('fetched_bytes', 'bigint')
    .addColumn('sources', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createIndex('device_events_of')
    .on('device_events')
    .columns(['device', 'id'])
    .execute()
}

async function networkAndMoney(db: Kysely<unknown>): Promise<void> {
  const { schema } = db
  await schema
    .createTable('seeds')
    .addColumn('peer_id', 'text', (column) => column.primaryKey())
    .addColumn('server', 'text', (column) => column.notNull())
    .addColumn('multiaddrs', 'text', (column) => column.notNull())
    .addColumn('http', 'text')
    .addColumn('region', 'text')
    .addColumn('issued_ms', 'bigint', (column) => column.notNull())
    .addColumn('seen_ms', 'bigint', (column) => column.notNull())
    .execute()
  await schema
    .createTable('copies')
    .addColumn('release', 'text', (column) => column.notNull().references('releases.id'))
    .addColumn('peer_id', 'text', (column) => column.notNull())
    .addColumn('until_ms', 'bigint', (column) => column.notNull())
    .addColumn('pin_order', 'text', (column) => column.notNull())
    .addColumn('countersignature', 'text')
    .addPrimaryKeyConstraint('copies_pk', ['release', 'peer_id'])
    .execute()
  await schema
    .createTable('receipts')
    .addColumn('cursor', 'bigint', (column) => column.primaryKey())
    .addColumn('grant_id', 'text', (column) => column.notNull())
    .addColumn('server', 'text', (column) => column.notNull())
    .addColumn('vendor', 'text', (column) => column.notNull())
    .addColumn('grant_json', 'text', (column) => column.notNull())
    .addColumn('receipt_json', 'text', (column) => column.notNull())
    .addColumn('server_bytes', 'text', (column) => column.notNull())
    .addColumn('grant_bytes', 'text', (column) => column.notNull())
    .execute()
  await schema
    .createIndex('receipts_of_grant')
    .on('receipts')
    .columns(['grant_id', 'server', 'cursor'])
    .execute()
  await schema
    .createIndex('receipts_of_vendor')
    .on('receipts')
    .columns(['vendor', 'cursor'])
    .execute()
  await schema
    .createTable('epochs')
    .addColumn('vendor', 'text', (column) => column.notNull().references('vendors.id'))
    .addColumn('epoch', 'bigint', (column) => column.notNull())
    .addColumn('root', 'text', (column) => column.notNull())
    .addColumn('total_gas18', 'text', (column) => column.notNull())
    .addColumn('gas18', 'text', (column) => column.notNull())
    .addColumn('through_cursor', 'bigint', (column) => column.notNull())
    .addColumn('receipts', 'bigint', (column) => column.notNull())
    .addColumn('bytes', 'text', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .addColumn('signed_ms', 'bigint', (column) => column.notNull())
    .addColumn('settled_ms', 'bigint')
    .addColumn('transaction_hash', 'text')
    .addPrimaryKeyConstraint('epochs_pk', ['vendor', 'epoch'])
    .execute()
  await schema
    .createTable('balances')
    .addColumn('vendor', 'text', (column) => column.primaryKey())
    .addColumn('gas18', 'text', (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .execute()
  await schema
    .createTable('counters')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'bigint', (column) => column.notNull())
    .execute()
  await sql`insert into counters (name, value) values ('receipts', 0), ('removed-tokens', 0)`.execute(
    db,
  )
}
