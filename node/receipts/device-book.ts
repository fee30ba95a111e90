import type { Hex, Log } from '../base/index.ts'
import type { EvmAddress, Identity } from '../identity/index.ts'
import type { BookFiles } from './book-files.ts'
import { bookHeader, bookPath } from './book-header.ts'
import type { DeviceBook } from './books.ts'
import { emptyCounts, type GrantCounts, recordsOf, withRecord } from './device-counts.ts'
import {
  COUNTS_BYTES,
  type CountsRecord,
  decodeDeviceRecord,
  encodeCounts,
  encodeFloor,
} from './device-record.ts'
import { createJournal, type Journal, notStarted } from './journal.ts'
import { type Damage, frameBytes } from './journal-format.ts'
import { MAX_DEVICE_GRANTS, MAX_SERVERS_PER_GRANT } from './limits.ts'
import { signReceipt } from './signing.ts'
import { createStartStop } from './start-stop.ts'
import { grantId } from './structs.ts'
import { type LedgerDomain, receiptsError, type SignedGrant, type SignedReceipt } from './types.ts'

export interface DeviceBookNeeds {
  readonly domain: LedgerDomain
  /** The device's own. */
  readonly identity: Pick<Identity, 'evmAddress' | 'signDigest'>
  /** Made when it is not there. */
  readonly folder: string
  readonly log: Log
  /** The system's when it is left out. */
  readonly files?: BookFiles
}

export interface DeviceBookOptions {
  /** Grants remembered; beyond it the one that ends first is dropped, and never signed for again. */
  readonly maxGrants?: number
  /** The file is rewritten when it is larger than this and mostly superseded. */
  readonly compactAboveBytes?: number
}

/** Counts with records on the way to the disk. */
interface Pending {
  counts: GrantCounts
  records: number
}

class JournaledDeviceBook implements DeviceBook {
  readonly #needs: DeviceBookNeeds
  readonly #maxGrants: number
  readonly #journal: Journal
  readonly #startStop = createStartStop({
    start: () => this.#openBook(),
    stop: () => this.#closeBook(),
  })
  readonly #durable = new Map<Hex, GrantCounts>()
  readonly #pending = new Map<Hex, Pending>()
  #ids = new WeakMap<SignedGrant, Hex>()
  /** Unix seconds: no grant that ends by then is signed for unless the book still knows it. */
  #floor = -1
  #records = 0
  #damages: readonly Damage[] = []
  #open = false

  constructor(needs: DeviceBookNeeds, options: DeviceBookOptions) {
    this.#needs = needs
    this.#maxGrants = options.maxGrants ?? MAX_DEVICE_GRANTS
    this.#journal = createJournal(
      {
        path: bookPath(needs.folder, 'device', needs.domain),
        log: needs.log,
        files: needs.files,
        header: bookHeader('device', needs.identity.evmAddress, needs.domain),
        replay: (payload) => this.#replay(payload),
        live: () => this.#live(),
        liveBytes: () => this.#records * frameBytes(COUNTS_BYTES),
        rollBack: () => this.#pending.clear(),
      },
      options,
    )
  }

  start(): Promise<void> {
    return this.#startStop.start()
  }

  stop(): Promise<void> {
    return this.#startStop.stop()
  }

  async #openBook(): Promise<void> {
    this.#durable.clear()
    this.#pending.clear()
    this.#floor = -1
    this.#records = 0
    this.#damages = await this.#journal.open()
    this.#open = true
  }

  async #closeBook(): Promise<void> {
    this.#open = false
    await this.#journal.close()
  }

  #replay(payload: Uint8Array): void {
    const record = decodeDeviceRecord(payload)
    if (record === undefined) {
      this.#needs.log.error({ bytes: payload.byteLength }, 'the book has a record of no known kind')
      return
    }
    if ('floor' in record) this.#dropBelow(record.floor)
    else this.#store(record)
  }

  #store(record: CountsRecord): void {
    const before = this.#durable.get(record.grantId) ?? emptyCounts(record.notAfter)
    if (!before.servers.has(record.server)) this.#records++
    this.#durable.set(record.grantId, withRecord(before, record))
  }

  #dropBelow(floor: number): void {
    this.#floor = Math.max(this.#floor, floor)
    for (const [id, counts] of this.#durable) {
      if (counts.notAfter > this.#floor || this.#pending.has(id)) continue
      this.#durable.delete(id)
      this.#records -= counts.servers.size
    }
  }

  *#live(): Iterable<Uint8Array> {
    if (this.#floor >= 0) yield encodeFloor({ floor: this.#floor })
    for (const [id, counts] of this.#durable) {
      for (const record of recordsOf(id, counts)) yield encodeCounts(record)
    }
  }

  /** Adds and signs before its first await, so that totals rise in the order of the calls. */
  async sign(grant: SignedGrant, server: EvmAddress, addedBytes: bigint): Promise<SignedReceipt> {
    if (!this.#open) throw notStarted()
    const id = this.#idOf(grant)
    const before = this.#countsOf(id) ?? this.#newCounts(grant)
    const record = this.#nextRecord(grant, before, id, server, addedBytes)
    // Checked and signed first: what cannot be signed must not be counted.
    const signed = this.#receipt(record)
    const pending = this.#pending.get(id) ?? { counts: before, records: 0 }
    pending.counts = withRecord(before, record)
    pending.records++
    this.#pending.set(id, pending)
    await this.#journal.append(encodeCounts(record), () => {
      this.#store(record)
      pending.records--
      if (pending.records === 0 && this.#pending.get(id) === pending) this.#pending.delete(id)
    })
    return signed
  }

  #idOf(grant: SignedGrant): Hex {
    const known = this.#ids.get(grant)
    if (known !== undefined) return known
    const id = grantId(grant.message)
    if (grant.message.device !== this.#needs.identity.evmAddress) {
      throw receiptsError('grant-for-another-device', 'the grant is for another device', {
        blame: 'caller',
        fix: 'Ask the gateway for a grant with this device’s own token.',
      })
    }
    this.#ids.set(grant, id)
    return id
  }

  #countsOf(id: Hex): GrantCounts | undefined {
    return this.#pending.get(id)?.counts ?? this.#durable.get(id)
  }

  #newCounts(grant: SignedGrant): GrantCounts {
    const { notAfter } = grant.message
    if (notAfter <= this.#floor) throw usedUp('this grant ended too long ago to be known still')
    if (this.#durable.size >= this.#maxGrants) this.#dropOldest()
    return emptyCounts(notAfter)
  }

  /** The clock of a device may be wrong, so nothing is dropped by it: the grants that end first go. */
  #dropOldest(): void {
    const ends = [...this.#durable.values()].map((counts) => counts.notAfter).sort((a, b) => a - b)
    const floor = ends[Math.floor(ends.length / 4)] ?? this.#floor
    this.#dropBelow(floor)
    this.#needs.log.info({ floor }, 'forgot the oldest grants to make room in the book')
    // Not awaited: should it be lost, the dropped grants are still in the file and come back with it.
    this.#journal
      .append(encodeFloor({ floor }), () => undefined)
      .catch((thrown: unknown) => {
        this.#needs.log.warn({ error: thrown }, 'the book keeps old grants in its file for now')
      })
  }

  #nextRecord(
    grant: SignedGrant,
    before: GrantCounts,
    id: Hex,
    server: EvmAddress,
    addedBytes: bigint,
  ): CountsRecord {
    if (addedBytes <= 0n) {
      throw receiptsError('message-malformed', 'a receipt adds at least one byte', {
        blame: 'caller',
      })
    }
    const grantBytes = before.grantBytes + addedBytes
    if (grantBytes > grant.message.maxBytes) throw usedUp('the grant does not cover these bytes')
    if (!before.servers.has(server) && before.servers.size >= MAX_SERVERS_PER_GRANT) {
      throw usedUp(`the grant has been used at ${MAX_SERVERS_PER_GRANT} servers`)
    }
    const serverBytes = (before.servers.get(server)?.serverBytes ?? 0n) + addedBytes
    return { grantId: id, server, serverBytes, grantBytes, notAfter: grant.message.notAfter }
  }

  #receipt({ grantId: id, server, serverBytes, grantBytes }: Omit<CountsRecord, 'notAfter'>) {
    const { identity, domain } = this.#needs
    return signReceipt(identity, domain, { grantId: id, server, serverBytes, grantBytes })
  }

  last(grant: SignedGrant, server: EvmAddress): SignedReceipt | undefined {
    const id = this.#idOf(grant)
    const counts = this.#durable.get(id)?.servers.get(server)
    return counts && this.#receipt({ grantId: id, server, ...counts })
  }

  grantBytes(id: Hex): bigint {
    return this.#countsOf(id)?.grantBytes ?? 0n
  }

  serverBytes(id: Hex, server: EvmAddress): bigint {
    return this.#countsOf(id)?.servers.get(server)?.serverBytes ?? 0n
  }

  damages(): readonly Damage[] {
    return this.#damages
  }
}

function usedUp(message: string) {
  return receiptsError('grant-used-up', message, {
    blame: 'caller',
    fix: 'Ask the gateway for another grant.',
  })
}

export function createDeviceBook(
  needs: DeviceBookNeeds,
  options: DeviceBookOptions = {},
): DeviceBook {
  return new JournaledDeviceBook(needs, options)
}
