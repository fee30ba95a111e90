import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { codeOf } from '../base/index.ts'
import { storageDamaged, storageInUse } from './failures.ts'

const SQLITE_BUSY = 5
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26
const SCHEMA = 1

/**
 * One SQLite file for the records and the pins. WAL with synchronous=FULL: every transaction survives a power
 * cut. It is also the lock of the folder: in exclusive mode SQLite holds a lock of the operating system until
 * the file is closed or the process dies, however it dies. So there is no stale lock to recognise, and a
 * process id that was given to somebody else means nothing. `holder` is only for the error's text.
 */
export function openDatabase(folder: string): { readonly db: DatabaseSync; close(): void } {
  const path = join(folder, 'records.sqlite')
  const holder = join(folder, 'holder')
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE')
    db.exec('PRAGMA journal_mode = WAL')
    db.exec('PRAGMA synchronous = FULL')
    db.exec('BEGIN IMMEDIATE')
    prepare(db)
    db.exec('COMMIT')
  } catch (thrown) {
    db.close()
    const code = sqliteCode(thrown)
    if (code === SQLITE_BUSY) throw storageInUse(folder, nameOf(holder), thrown)
    if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB)
      throw storageDamaged(
        `${path} is damaged`,
        'Restore it from a copy, or move it away to begin with no pins and no records.',
        thrown,
      )
    throw thrown
  }
  writeFileSync(holder, `process ${process.pid}`)
  return {
    db,
    close() {
      rmSync(holder, { force: true })
      db.close()
    },
  }
}

function nameOf(holder: string): string {
  try {
    return readFileSync(holder, 'utf8') || 'another process'
  } catch (thrown) {
    // The other one has the lock already and is about to write its name, or has just removed it.
    if (codeOf(thrown) === 'ENOENT') return 'another process'
    throw thrown
  }
}

function sqliteCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return undefined
  // Extended codes carry the primary one in their low byte.
  return typeof thrown.errcode === 'number' ? thrown.errcode & 0xff : undefined
}

function prepare(db: DatabaseSync): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > SCHEMA)
    throw storageDamaged(
      `the folder was written by a newer version (schema ${version}, known ${SCHEMA})`,
      'Install that version, or use another folder.',
    )
  if (version === SCHEMA) return
  db.exec(`
    CREATE TABLE records (tbl TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
      PRIMARY KEY (tbl, key)) STRICT;
    CREATE TABLE pins (root TEXT PRIMARY KEY, closure TEXT NOT NULL, blocks INTEGER NOT NULL,
      bytes INTEGER NOT NULL) STRICT;
    CREATE TABLE owners (root TEXT NOT NULL REFERENCES pins (root) ON DELETE CASCADE,
      owner TEXT NOT NULL, until_ms INTEGER, PRIMARY KEY (root, owner)) STRICT;
    PRAGMA user_version = ${SCHEMA};
  `)
}
