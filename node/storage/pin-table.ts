import type { DatabaseSync } from 'node:sqlite'
import { CID } from 'multiformats/cid'
import { asStorageError } from './failures.ts'
import { RECORDS_PER_PAGE } from './limits.ts'
import type { Transaction } from './records.ts'
import type { Pin, PinOwner } from './storage.ts'

export interface PinRow {
  readonly root: string
  /** The name of the file of its closure. */
  readonly closure: string
  readonly blocks: number
  readonly bytes: number
}

/** Pins and their owners in the database. Every change is one transaction. */
export interface PinTable {
  get(root: string): PinRow | undefined
  rows(): Iterable<PinRow>
  pinOf(row: PinRow): Pin
  put(row: PinRow, owner: PinOwner): void
  addOwner(root: string, owner: PinOwner): boolean
  /** `removed` when the owner was there; `last` holds the pin's row when it went with him. */
  removeOwner(root: string, owner: string): { readonly removed: boolean; readonly last?: PinRow }
  /** Roots with an owner whose time is up. */
  expired(nowMs: number): readonly string[]
  /** Takes the expired owners of a root away; the row when the pin went with them. */
  expire(root: string, nowMs: number): PinRow | undefined
}

export function createPinTable(db: DatabaseSync, transaction: Transaction): PinTable {
  const one = db.prepare('SELECT root, closure, blocks, bytes FROM pins WHERE root = ?')
  const page = db.prepare(
    'SELECT root, closure, blocks, bytes FROM pins WHERE root > ? ORDER BY root LIMIT ?',
  )
  const owners = db.prepare('SELECT owner, until_ms FROM owners WHERE root = ? ORDER BY owner')
  const upsertPin = db.prepare(
    'INSERT INTO pins (root, closure, blocks, bytes) VALUES (?, ?, ?, ?) ON CONFLICT (root) DO UPDATE SET closure = excluded.closure, blocks = excluded.blocks, bytes = excluded.bytes',
  )
  const upsertOwner = db.prepare(
    'INSERT INTO owners (root, owner, until_ms) VALUES (?, ?, ?) ON CONFLICT (root, owner) DO UPDATE SET until_ms = excluded.until_ms',
  )
  const deleteOwner = db.prepare('DELETE FROM owners WHERE root = ? AND owner = ?')
  const deleteExpired = db.prepare('DELETE FROM owners WHERE root = ? AND until_ms <= ?')
  const expiredRoots = db.prepare('SELECT DISTINCT root FROM owners WHERE until_ms <= ?')
  const deleteOrphan = db.prepare(
    'DELETE FROM pins WHERE root = ? AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.root = pins.root)',
  )

  const rowOf = (row: Record<string, unknown>): PinRow => ({
    root: String(row['root']),
    closure: String(row['closure']),
    blocks: Number(row['blocks']),
    bytes: Number(row['bytes']),
  })
  const get = (root: string) => {
    const row = one.get(root)
    return row === undefined ? undefined : rowOf(row)
  }
  const change = <T>(run: () => T): T => {
    try {
      return transaction(run)
    } catch (thrown) {
      throw asStorageError(thrown)
    }
  }

  return {
    get,
    *rows() {
      let rows = page.all('', RECORDS_PER_PAGE)
      while (rows.length > 0) {
        for (const row of rows) yield rowOf(row)
        rows = page.all(String(rows.at(-1)?.['root']), RECORDS_PER_PAGE)
      }
    },
    pinOf: (row) => ({
      root: CID.parse(row.root),
      blocks: row.blocks,
      bytes: row.bytes,
      owners: owners.all(row.root).map((owner) => ({
        owner: String(owner['owner']),
        ...(owner['until_ms'] === null ? {} : { untilMs: Number(owner['until_ms']) }),
      })),
    }),
    put: (row, owner) =>
      change(() => {
        upsertPin.run(row.root, row.closure, row.blocks, row.bytes)
        upsertOwner.run(row.root, owner.owner, owner.untilMs ?? null)
      }),
    addOwner: (root, owner) =>
      change(() => {
        if (get(root) === undefined) return false
        upsertOwner.run(root, owner.owner, owner.untilMs ?? null)
        return true
      }),
    removeOwner: (root, owner) =>
      change(() => {
        const row = get(root)
        if (row === undefined || deleteOwner.run(root, owner).changes === 0)
          return { removed: false }
        return deleteOrphan.run(root).changes === 0
          ? { removed: true }
          : { removed: true, last: row }
      }),
    expired: (nowMs) => expiredRoots.all(nowMs).map((row) => String(row['root'])),
    expire: (root, nowMs) =>
      change(() => {
        const row = get(root)
        deleteExpired.run(root, nowMs)
        return deleteOrphan.run(root).changes === 0 ? undefined : row
      }),
  }
}
