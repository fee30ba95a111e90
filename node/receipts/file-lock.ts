import { DatabaseSync } from 'node:sqlite'
import { receiptsError } from './types.ts'

/**
 * One process at a time, by a lock of the kernel: SQLite's on an empty database file. Nothing is stored in it.
 * Unlike a file with a process id, it is gone with its process, also after kill -9, and no start finds a stale
 * one or takes a live one away. Returns the release. Throws book-in-use.
 */
export function lockFile(path: string): () => void {
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (thrown) {
    database.close()
    throw receiptsError('book-in-use', `another process works with the book of ${path}`, {
      blame: 'local',
      fix: 'Stop the other process, or give this one a folder of its own.',
      cause: thrown,
    })
  }
  return () => database.close()
}
