import type { Records } from '../storage/index.ts'

/** Records that live as long as the object: hand the same one to a second node and it is a restart. */
export function createMemoryRecords(): Records {
  let tables = new Map<string, Map<string, Uint8Array>>()
  const table = (name: string) => {
    const found = tables.get(name) ?? new Map<string, Uint8Array>()
    tables.set(name, found)
    return found
  }
  return {
    get: (name, key) => table(name).get(key)?.slice(),
    put(name, key, value) {
      // Not slice(): a Buffer's shares its memory.
      table(name).set(key, new Uint8Array(value))
    },
    delete(name, key) {
      table(name).delete(key)
    },
    list: (name, prefix = '') =>
      [...table(name)]
        .filter(([key]) => key.startsWith(prefix))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => ({ key, value })),
    transaction(run) {
      const before = new Map([...tables].map(([name, rows]) => [name, new Map(rows)]))
      try {
        return run()
      } catch (thrown) {
        tables = before
        throw thrown
      }
    },
  }
}
