import type { DatabaseSync } from 'node:sqlite'
import { asStorageError, recordMalformed, recordRefused } from './failures.ts'
import { MAX_RECORD_BYTES, MAX_RECORD_KEY_BYTES, RECORDS_PER_PAGE } from './limits.ts'
import type { Records } from './storage.ts'

/** Runs everything in it or nothing; transactions within transactions are savepoints. */
export type Transaction = <T>(run: () => T) => T

export function createTransaction(db: DatabaseSync): Transaction {
  let depth = 0
  return (run) => {
    const name = `level${depth}`
    db.exec(depth === 0 ? 'BEGIN IMMEDIATE' : `SAVEPOINT ${name}`)
    depth++
    let finished = false
    try {
      const result = run()
      if (result instanceof Promise)
        throw new TypeError('a transaction ends when its function returns; it cannot wait')
      db.exec(depth === 1 ? 'COMMIT' : `RELEASE ${name}`)
      finished = true
      return result
    } catch (thrown) {
      throw asStorageError(thrown)
    } finally {
      depth--
      // On a full disk SQLite may have rolled back by itself.
      if (!finished && db.isTransaction)
        db.exec(depth === 0 ? 'ROLLBACK' : `ROLLBACK TO ${name}; RELEASE ${name}`)
    }
  }
}

export function createRecords(db: DatabaseSync, transaction: Transaction): Records {
  const select = db.prepare('SELECT value FROM records WHERE tbl = ? AND key = ?')
  const upsert = db.prepare(
    'INSERT INTO records (tbl, key, value) VALUES (?, ?, ?) ON CONFLICT (tbl, key) DO UPDATE SET value = excluded.value',
  )
  const remove = db.prepare('DELETE FROM records WHERE tbl = ? AND key = ?')
  const first = db.prepare(
    'SELECT key, value FROM records WHERE tbl = ? AND key >= ? ORDER BY key LIMIT ?',
  )
  const next = db.prepare(
    'SELECT key, value FROM records WHERE tbl = ? AND key > ? ORDER BY key LIMIT ?',
  )

  return {
    get(table, key) {
      const row = select.get(named(table), named(key))
      return row === undefined ? undefined : blob(row['value'])
    },
    put(table, key, value) {
      checkRecord(table, key, value)
      try {
        upsert.run(table, key, value)
      } catch (thrown) {
        throw asStorageError(thrown)
      }
    },
    delete(table, key) {
      remove.run(named(table), named(key))
    },
    *list(table, prefix = '') {
      let rows = first.all(named(table), named(prefix), RECORDS_PER_PAGE)
      while (rows.length > 0) {
        let last = ''
        for (const row of rows) {
          last = String(row['key'])
          if (!last.startsWith(prefix)) return
          yield { key: last, value: blob(row['value']) }
        }
        rows = next.all(table, last, RECORDS_PER_PAGE)
      }
    },
    transaction,
  }
}

/** Throws what is wrong with it. */
export function checkRecord(table: string, key: string, value: Uint8Array): void {
  if (value.byteLength > MAX_RECORD_BYTES)
    throw recordRefused(
      `a record of ${value.byteLength} bytes; at most ${MAX_RECORD_BYTES} are taken`,
      'Keep large values as blocks and put their CID in the record.',
    )
  named(table)
  named(key)
}

function blob(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : new Uint8Array()
}

/** Text that SQLite gives back as it was: half a surrogate pair or a NUL would make two keys one. */
function named(text: string): string {
  if (!text.isWellFormed() || text.includes('\0'))
    throw recordMalformed(`${JSON.stringify(text)} cannot name a table or a record`)
  if (Buffer.byteLength(text) > MAX_RECORD_KEY_BYTES)
    throw recordRefused(
      `a key of ${Buffer.byteLength(text)} bytes; at most ${MAX_RECORD_KEY_BYTES} are taken`,
      'Use a hash of the long key.',
    )
  return text
}
