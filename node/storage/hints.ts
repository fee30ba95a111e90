import type { Clock, Log } from '../base/index.ts'
import { HINTS_WRITTEN_EVERY_MS, MAX_UNWRITTEN_HINT_BYTES, MAX_UNWRITTEN_HINTS } from './limits.ts'
import { checkRecord } from './records.ts'
import type { Hints, Records } from './storage.ts'

interface Unwritten {
  readonly table: string
  readonly key: string
  /** Undefined: it is deleted. */
  readonly value: Uint8Array | undefined
}

export interface WrittenBehind extends Hints {
  /** Writes what is left. */
  close(): void
}

export function createHints(needs: {
  readonly records: Records
  readonly clock: Clock
  readonly log: Log
}): WrittenBehind {
  const { records, clock, log } = needs
  const unwritten = new Map<string, Unwritten>()
  let heldBytes = 0
  let cancelWrite: (() => void) | undefined

  const isFull = () =>
    unwritten.size >= MAX_UNWRITTEN_HINTS || heldBytes >= MAX_UNWRITTEN_HINT_BYTES
  const forget = () => {
    unwritten.clear()
    heldBytes = 0
  }

  const write = () => {
    cancelWrite?.()
    cancelWrite = undefined
    if (unwritten.size === 0) return
    try {
      records.transaction(() => {
        for (const { table, key, value } of unwritten.values())
          if (value === undefined) records.delete(table, key)
          else records.put(table, key, value)
      })
      forget()
    } catch (thrown) {
      const isLost = isFull()
      log.warn({ error: thrown, hints: unwritten.size, isLost }, 'hints could not be written')
      if (isLost) forget()
      else writeLater()
    }
  }
  const writeLater = () => {
    cancelWrite ??= clock.after(HINTS_WRITTEN_EVERY_MS, () => {
      cancelWrite = undefined
      write()
    })
  }

  const hold = (table: string, key: string, value: Uint8Array | undefined) => {
    const name = nameOf(table, key)
    heldBytes += (value?.byteLength ?? 0) - (unwritten.get(name)?.value?.byteLength ?? 0)
    unwritten.set(name, { table, key, value })
    if (isFull()) write()
    else writeLater()
  }

  return {
    get(table, key) {
      const held = unwritten.get(nameOf(table, key))
      return held === undefined ? records.get(table, key) : held.value?.slice()
    },
    put(table, key, value) {
      checkRecord(table, key, value)
      hold(table, key, new Uint8Array(value))
    },
    delete: (table, key) => hold(table, key, undefined),
    *list(table, prefix) {
      write()
      for (const { key, value } of records.list(table, prefix)) {
        // Changed while it is listed, or it could not be written.
        const held = unwritten.get(nameOf(table, key))
        if (held === undefined) yield { key, value }
        else if (held.value !== undefined) yield { key, value: held.value.slice() }
      }
    },
    close() {
      write()
      cancelWrite?.()
    },
  }
}

/** A NUL is in no name of a record. */
function nameOf(table: string, key: string): string {
  return `${table}\0${key}`
}
