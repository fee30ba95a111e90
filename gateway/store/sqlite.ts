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
export function sqliteDialect(path: string, writes: Writes): SqliteDialect {
  return new SqliteDialect({ database: () => Promise.resolve(openDatabase(path, writes)) })
}

/** Transactions that changed something: each has waited for the disk. */
export interface Writes {
  transactions: number
}

const CHANGES = /^\s*(insert|update|delete|create|alter|drop)\b/i

function openDatabase(path: string, writes: Writes): SqliteDatabase {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
  const database = new DatabaseSync(path)
  database.exec(
    'pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma busy_timeout = 5000',
  )
  const prepared = new Map<string, SqliteStatement>()
  let hasChanged = false
  const count = (text: string): (() => void) | undefined => {
    if (text === 'commit') {
      return () => {
        if (hasChanged) writes.transactions++
        hasChanged = false
      }
    }
    if (text === 'rollback') {
      return () => {
        hasChanged = false
      }
    }
    if (!CHANGES.test(text)) return undefined
    return () => {
      if (database.isTransaction) hasChanged = true
      else writes.transactions++
    }
  }
  return {
    close: () => database.close(),
    prepare(text) {
      let statement = prepared.get(text)
      if (statement === undefined) {
        statement = asKysely(database.prepare(text), count(text))
        if (prepared.size >= MAX_PREPARED_STATEMENTS) prepared.clear()
        prepared.set(text, statement)
      }
      return statement
    },
  }
}

type Parameter = null | number | bigint | string | Uint8Array

function asKysely(statement: StatementSync, done?: () => void): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all(parameters) {
      const rows = statement.all(...(parameters as readonly Parameter[]))
      done?.()
      return rows
    },
    run(parameters) {
      const result = statement.run(...(parameters as readonly Parameter[]))
      done?.()
      return result
    },
    iterate: (parameters) => statement.iterate(...(parameters as readonly Parameter[])),
  }
}
