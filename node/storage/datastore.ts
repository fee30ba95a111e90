import { BaseDatastore } from 'datastore-core'
import { type Batch, type Datastore, Key, type Pair, type Query } from 'interface-datastore'
import { NotFoundError } from 'interface-store'
import type { Hints, Records, Storage } from './storage.ts'

/**
 * What a peer store knows of other peers: heard from them, let go of after hours, and written at each identify.
 * Records of the DHT are kept for others, and its own provider records say what to publish again: no hints.
 */
const HINTS = '/peers/'

type Kept = Pick<Storage, 'records' | 'hints'>

/**
 * Records as libp2p's peer store and DHT want them (interface-datastore 10), in the table `prefix`. Entries of the
 * peer store are hints. A batch is committed all or nothing. Values above 64 KiB are refused with `record-too-large`.
 */
export function createDatastore(storage: Kept, prefix: string): Datastore {
  return new RecordsDatastore(storage, prefix)
}

class RecordsDatastore extends BaseDatastore {
  readonly #records: Records
  readonly #hints: Hints
  readonly #table: string

  constructor({ records, hints }: Kept, table: string) {
    super()
    this.#records = records
    this.#hints = hints
    this.#table = table
  }

  #at(key: string): Hints {
    return key.startsWith(HINTS) ? this.#hints : this.#records
  }

  override async put(key: Key, value: Uint8Array): Promise<Key> {
    const name = key.toString()
    this.#at(name).put(this.#table, name, value)
    return key
  }

  #get(key: Key): Uint8Array | undefined {
    const name = key.toString()
    return this.#at(name).get(this.#table, name)
  }

  override async get(key: Key): Promise<Uint8Array> {
    const value = this.#get(key)
    if (value === undefined) throw new NotFoundError(`${key.toString()} is not here`)
    return value
  }

  override async has(key: Key): Promise<boolean> {
    return this.#get(key) !== undefined
  }

  override async delete(key: Key): Promise<void> {
    const name = key.toString()
    this.#at(name).delete(this.#table, name)
  }

  override batch(): Batch {
    let changes: (() => void)[] = []
    return {
      put: (key, value) => {
        const name = key.toString()
        changes.push(() => this.#at(name).put(this.#table, name, value))
      },
      delete: (key) => {
        const name = key.toString()
        changes.push(() => this.#at(name).delete(this.#table, name))
      },
      commit: async () => {
        const now = changes
        changes = []
        this.#records.transaction(() => {
          for (const change of now) change()
        })
      },
    }
  }

  /** Only what the prefix names: whoever asks the DHT for a provider does not make us read every peer we know. */
  #list(prefix = ''): ReturnType<Hints['list']> {
    const mayHoldHints = prefix.startsWith(HINTS) || HINTS.startsWith(prefix)
    return (mayHoldHints ? this.#hints : this.#records).list(this.#table, prefix)
  }

  override async *_all({ prefix }: Query): AsyncGenerator<Pair> {
    for (const { key, value } of this.#list(prefix)) yield { key: new Key(key, false), value }
  }

  override async *_allKeys({ prefix }: Pick<Query, 'prefix'>): AsyncGenerator<Key> {
    for (const { key } of this.#list(prefix)) yield new Key(key, false)
  }
}
