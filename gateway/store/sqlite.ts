import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'

/** Prepared statements kept: the gateway has fewer distinct queries than this, so none is prepared twice. */
const MAX_PREPARED_STATEMENTS = 256

/**
 * Kysely's own SQLite dialect over `node:sqlite`. WAL with `synchronous=FULL`: a transaction that was
 * committed survives a power cut.
 */
export function sqliteDialect(path: string): SqliteDialect {
  return new SqliteDialect({ database: () => Promise.resolve(openDatabase(path)) })
}

function openDatabase(path: string): SqliteDatabase {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
  const database = new DatabaseSync(path)
  database.exec(
    'pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma busy_timeout = 5000',
  )
  const prepared = new Map<string, StatementSync>()
  return {
    close: () => database.close(),
    prepare(text) {
      let statement = prepared.get(text)
      if (statement === undefined) {
        statement = database.prepare(text)
        if (prepared.size >= MAX_PREPARED_STATEMENTS) prepared.clear()
        prepared.set(text, statement)
      }
      return asKysely(statement)
    },
  }
}

type Parameter = null | number | bigint | string | Uint8Array

function asKysely(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...(parameters as readonly Parameter[])),
    run: (parameters) => statement.run(...(parameters as readonly Parameter[])),
    iterate: (parameters) => statement.iterate(...(parameters as readonly Parameter[])),
  }
}
