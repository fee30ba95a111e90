import { Kysely, PostgresDialect } from 'kysely'
import { Migrator } from 'kysely/migration'
import { Pool, types } from 'pg'
import { asError, IoexError } from '@ioex/node/base'
import { migrationsFor } from './migrations.ts'
import { sqliteDialect, type Writes } from './sqlite.ts'
import type { Engine, Tables } from './tables.ts'

export type Database = Kysely<Tables>

/** Connections of one gateway to PostgreSQL: its requests are short, more would only queue over there. */
const MAX_POSTGRES_CONNECTIONS = 10
/** PostgreSQL's type id of int8, which its driver hands out as text; ours stay below 2^53. */
const INT8 = 20

export interface Store {
  readonly db: Database
  readonly engine: Engine
  /** So far, of this process. PostgreSQL counts its own. */
  readonly writes: Readonly<Writes> | undefined
  close(): Promise<void>
}

/** `postgres://…`, or the path of an SQLite file. Brings the tables up to date before it resolves. */
export async function openStore(location: string): Promise<Store> {
  const engine: Engine = /^postgres(ql)?:\/\//.test(location) ? 'postgres' : 'sqlite'
  const writes = { transactions: 0 }
  const db = new Kysely<Tables>({
    dialect: engine === 'sqlite' ? sqliteDialect(location, writes) : postgresDialect(location),
  })
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrationsFor(engine)) },
  })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    await db.destroy()
    throw new IoexError(
      'store-not-opened',
      `the database did not open: ${asError(error).message}`,
      {
        blame: 'local',
        fix: 'Check DATABASE_URL or the folder, and that no newer gateway has changed the tables.',
        cause: error,
      },
    )
  }
  let closed = false
  return {
    db,
    engine,
    writes: engine === 'sqlite' ? writes : undefined,
    async close() {
      if (closed) return
      closed = true
      await db.destroy()
    },
  }
}

function postgresDialect(connectionString: string): PostgresDialect {
  const pool = new Pool({
    connectionString,
    max: MAX_POSTGRES_CONNECTIONS,
    types: {
      getTypeParser: (id: number, format?: 'text' | 'binary') =>
        id === INT8
          ? Number
          : (types.getTypeParser(id, format ?? 'text') as (text: string) => unknown),
    },
  })
  return new PostgresDialect({ pool })
}
