import type { KadDHT } from '@libp2p/kad-dht'
import { Key } from 'interface-datastore'
import { base32 } from 'multiformats/bases/base32'
import { asError, equalBytes } from '../base/index.ts'
import { within } from './deadline.ts'
import {
  type DriveRecord,
  dhtKeyOf,
  driveRecordKey,
  newestRecord,
  openRecord,
  RECORD_NAMESPACE,
  sealRecord,
} from './drive-record.ts'
import { networkError } from './errors.ts'
import {
  MAX_STORED_RECORDS,
  RECORD_LIFETIME_MS,
  RECORD_QUERY_MS,
  RECORD_RENEWAL_MS,
} from './limits.ts'
import type { Network, NetworkNeeds } from './types.ts'

const KEPT_PREFIX = '/ioex/kept-records'
const OWN_RECORD = new Key('/ioex/own-record')
const SEQUENCE_BYTES = 8

export interface DriveRecords extends Pick<Network, 'putRecord' | 'getRecord'> {
  /** For kad-dht: what may be stored and which of several answers counts. */
  readonly validators: {
    readonly [namespace: string]: (key: Uint8Array, value: Uint8Array) => Promise<void>
  }
  readonly selectors: {
    readonly [namespace: string]: (key: Uint8Array, values: Uint8Array[]) => number
  }
  start(dht: KadDHT): Promise<void>
  stop(): void
}

interface Kept {
  readonly sequence: number
  readonly sinceMs: number
}

/**
 * One small signed record per identity in the DHT. Bootstraps keep it for 48 hours, refuse an older one in
 * place of a newer one (kad-dht itself lets anybody roll a record back) and hold so many keys at most.
 */
export function createDriveRecords(
  needs: Pick<NetworkNeeds, 'identity' | 'datastore' | 'clock' | 'log'>,
  keepsRecords: boolean,
): DriveRecords {
  const { clock, datastore, identity } = needs
  const kept = new Map<string, Kept>()
  const ownKey = driveRecordKey(identity.publicKey)
  const stopping = new AbortController()
  let dht: KadDHT | undefined
  let cancelRenewal: () => void = () => undefined

  const keep = async (dhtKey: Uint8Array, record: DriveRecord): Promise<void> => {
    const name = base32.baseEncode(dhtKey)
    const known = kept.get(name)
    if (known !== undefined && record.sequence < known.sequence) {
      throw new Error('a newer record of this key is kept here')
    }
    if (known === undefined && kept.size >= MAX_STORED_RECORDS) {
      await dropExpired()
      if (kept.size >= MAX_STORED_RECORDS) throw new Error('no room for more records')
    }
    kept.set(name, { sequence: record.sequence, sinceMs: clock.nowMs() })
    await datastore.put(new Key(`${KEPT_PREFIX}/${name}`, false), encodeSequence(record.sequence))
  }
  const dropExpired = async () => {
    const oldestMs = clock.nowMs() - RECORD_LIFETIME_MS
    for (const [name, { sinceMs }] of kept) {
      if (sinceMs > oldestMs) continue
      kept.delete(name)
      await datastore.delete(new Key(`${KEPT_PREFIX}/${name}`, false))
      await datastore.delete(new Key(`/dht/record/${name}`, false))
    }
  }
  const put = async (value: Uint8Array, signal: AbortSignal | undefined) => {
    const envelope = sealRecord(identity, { sequence: clock.nowMs(), value })
    const running = dht
    if (running === undefined) throw nowhere()
    const stored = await within(clock, RECORD_QUERY_MS, signal, async (limit) => {
      let count = 0
      for await (const event of running.put(dhtKeyOf(ownKey), envelope, { signal: limit })) {
        if (isStored(event)) count += 1
      }
      return count
    })
    if (stored === 0) throw nowhere()
  }
  const renewLater = (afterMs: number) => {
    cancelRenewal()
    cancelRenewal = clock.after(afterMs, () => {
      renew()
        .catch((thrown: unknown) => {
          needs.log.warn({ reason: asError(thrown).message }, 'the drive record was not renewed')
        })
        .finally(() => {
          if (!stopping.signal.aborted) renewLater(RECORD_RENEWAL_MS)
        })
    })
  }
  const renew = async () => {
    if (await datastore.has(OWN_RECORD)) await put(await datastore.get(OWN_RECORD), stopping.signal)
  }

  return {
    validators: {
      async [RECORD_NAMESPACE](key, value) {
        const record = openRecord(key, value)
        if (record === undefined) throw new Error('no valid record for this key')
        if (keepsRecords) await keep(key, record)
      },
      // Stock kad-dht stores public keys for anybody; ours are in the PeerIds.
      async pk() {
        throw new Error('public keys are not kept here')
      },
    },
    selectors: { [RECORD_NAMESPACE]: newestRecord },
    async start(running) {
      dht = running
      if (keepsRecords) {
        for await (const { key, value } of datastore.query({ prefix: KEPT_PREFIX })) {
          kept.set(key.baseNamespace(), { sequence: decodeSequence(value), sinceMs: clock.nowMs() })
        }
      }
      if (await datastore.has(OWN_RECORD)) renewLater(FIRST_RENEWAL_MS)
    },
    stop() {
      stopping.abort(new Error('the network is stopping'))
      cancelRenewal()
    },
    async putRecord(key, value, options) {
      if (!equalBytes(key, ownKey)) {
        throw networkError('record-invalid', 'records are kept under the own key only', {
          blame: 'caller',
          fix: 'Pass driveRecordKey(identity.publicKey).',
        })
      }
      await put(value, options?.signal)
      await datastore.put(OWN_RECORD, value)
      renewLater(RECORD_RENEWAL_MS)
    },
    async getRecord(key, options) {
      const running = dht
      if (running === undefined) throw nowhere()
      const dhtKey = dhtKeyOf(key)
      const found: DriveRecord[] = []
      await within(clock, RECORD_QUERY_MS, options?.signal, async (signal) => {
        for await (const event of running.get(dhtKey, { signal })) {
          if (event.name !== 'VALUE') continue
          const record = openRecord(dhtKey, event.value)
          if (record !== undefined) found.push(record)
        }
      })
      return found.toSorted((a, b) => b.sequence - a.sequence)[0]?.value
    },
  }
}

/** After a start the first renewal waits for connections to settle. */
const FIRST_RENEWAL_MS = 60_000

function isStored(event: unknown): boolean {
  if (typeof event !== 'object' || event === null) return false
  if (!('name' in event) || !('messageName' in event)) return false
  return event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE'
}

function nowhere() {
  return networkError('no-bootstrap', 'no bootstrap took the record', {
    blame: 'peer',
    fix: 'Check the connection to the bootstraps and try again.',
  })
}

function encodeSequence(sequence: number): Uint8Array {
  const bytes = new Uint8Array(SEQUENCE_BYTES)
  new DataView(bytes.buffer).setFloat64(0, sequence)
  return bytes
}

function decodeSequence(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat64(0)
}
