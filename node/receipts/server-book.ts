import {
  accepted,
  type Clock,
  type Hex,
  type Log,
  type Result,
  refused,
  unixSeconds,
} from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import type { BookFiles } from './book-files.ts'
import { bookHeader, bookPath } from './book-header.ts'
import type { AdmittedGrant, ReceiptItem, ServerBook } from './books.ts'
import {
  type Counts,
  isSignedByDevice,
  isWellFormedGrant,
  isWellFormedReceipt,
  NO_COUNTS,
  type ReceiptTerms,
  rises,
} from './checks.ts'
import { createJournal, type Journal, notStarted } from './journal.ts'
import { type Damage, frameBytes } from './journal-format.ts'
import { CLOCK_SKEW_SECONDS, KEEP_EXPIRED_SECONDS, MAX_SERVER_GRANTS } from './limits.ts'
import {
  decodeServerRecord,
  encodeServerRecord,
  type ServerRecord,
  serverRecordBytes,
} from './server-record.ts'
import { grantSigner } from './signing.ts'
import { createStartStop } from './start-stop.ts'
import { grantId } from './structs.ts'
import { createTrustedSigners, type TrustedSigners } from './trusted-signers.ts'
import {
  type GrantRefusal,
  type LedgerDomain,
  type ReceiptRefusal,
  receiptsError,
  type SignedGrant,
  type SignedReceipt,
} from './types.ts'
import { decodeSignedGrant, encodeSignedGrant } from './wire.ts'

export interface ServerBookNeeds {
  readonly domain: LedgerDomain
  /** This server's own address. */
  readonly server: EvmAddress
  /** Made when it is not there. */
  readonly folder: string
  readonly log: Log
  readonly clock: Pick<Clock, 'nowMs'>
  /** The system's when it is left out. */
  readonly files?: BookFiles
}

export interface ServerBookOptions {
  /** Grants held at once, with and without receipts; about 1 KiB of memory each. */
  readonly maxGrants?: number
  /** The file is rewritten when it is larger than this and mostly superseded. */
  readonly compactAboveBytes?: number
}

/** What is on the disk about a grant. */
interface Stored extends Counts {
  readonly cursor: number
  readonly signature: Hex
}

interface Entry {
  readonly terms: ReceiptTerms
  readonly notAfter: number
  /** Wire form, to save memory. */
  readonly grant: Uint8Array
  /** Set when the signature was checked since start; what is replayed was checked when it was written. */
  admittedSignature: Hex | undefined
  stored: Stored | undefined
}

class JournaledServerBook implements ServerBook {
  readonly #needs: ServerBookNeeds
  readonly #maxGrants: number
  readonly #journal: Journal
  readonly #startStop = createStartStop({
    start: () => this.#openBook(),
    stop: () => this.#closeBook(),
  })
  readonly #trusted: TrustedSigners = createTrustedSigners()
  readonly #entries = new Map<Hex, Entry>()
  /** Accepted, on the way to the disk. */
  readonly #pending = new Map<Hex, Counts>()
  /** Every cursor in rising order; one whose entry has moved on is skipped. */
  #order: { readonly cursor: number; readonly entry: Entry }[] = []
  #stored = 0
  #storedBytes = 0
  #lastCursor = 0
  #damages: readonly Damage[] = []
  #open = false

  constructor(needs: ServerBookNeeds, options: ServerBookOptions) {
    this.#needs = needs
    this.#maxGrants = options.maxGrants ?? MAX_SERVER_GRANTS
    this.#journal = createJournal(
      {
        path: bookPath(needs.folder, 'server', needs.domain),
        log: needs.log,
        files: needs.files,
        header: bookHeader('server', needs.server, needs.domain),
        replay: (payload) => this.#replay(payload),
        live: () => this.#live(),
        liveBytes: () => this.#storedBytes,
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
    this.#entries.clear()
    this.#pending.clear()
    this.#order = []
    this.#stored = 0
    this.#storedBytes = 0
    this.#lastCursor = 0
    this.#damages = await this.#journal.open()
    this.#open = true
  }

  async #closeBook(): Promise<void> {
    this.#open = false
    await this.#journal.close()
  }

  #replay(payload: Uint8Array): void {
    const record = decodeServerRecord(payload, this.#needs.server)
    const entry = record && this.#entryOfRecord(record)
    if (record === undefined || entry === undefined) {
      this.#needs.log.error(
        { bytes: payload.byteLength },
        'the book has a record that is no receipt',
      )
      return
    }
    this.#store(entry, storedOf(record.receipt, record.cursor))
    this.#lastCursor = Math.max(this.#lastCursor, record.cursor)
  }

  #entryOfRecord({ grant, receipt }: ServerRecord): Entry | undefined {
    const id = receipt.message.grantId
    const known = this.#entries.get(id)
    if (known !== undefined) return known
    const entry = this.#entryOf(grant)
    if (entry?.terms.grantId !== id) return undefined
    this.#entries.set(id, entry)
    return entry
  }

  #entryOf(wire: Uint8Array): Entry | undefined {
    const grant = decodeSignedGrant(wire)
    if (!grant.ok) return undefined
    const { device, maxBytes, notAfter } = grant.value.message
    const terms = { grantId: grantId(grant.value.message), device, maxBytes }
    return { terms, notAfter, grant: wire, admittedSignature: undefined, stored: undefined }
  }

  #store(entry: Entry, stored: Stored): void {
    if (entry.stored === undefined) {
      this.#stored++
      this.#storedBytes += frameBytes(serverRecordBytes(entry.grant))
    }
    entry.stored = stored
    this.#order.push({ cursor: stored.cursor, entry })
    if (this.#order.length > 2 * this.#stored + 1024) {
      this.#order = this.#order.filter(isCurrent)
    }
  }

  *#live(): Iterable<Uint8Array> {
    for (const { entry, cursor } of this.#order) {
      if (entry.stored?.cursor !== cursor) continue
      const receipt = this.#receiptOf(entry.terms, entry.stored)
      yield encodeServerRecord({ cursor, receipt, grant: entry.grant })
    }
  }

  #receiptOf(terms: ReceiptTerms, stored: Stored): SignedReceipt {
    const { serverBytes, grantBytes, signature } = stored
    const { server } = this.#needs
    return { message: { grantId: terms.grantId, server, serverBytes, grantBytes }, signature }
  }

  trust(root: Hex, signers: readonly EvmAddress[], untilSeconds: number): void {
    this.#trusted.trust(root, signers, untilSeconds, unixSeconds(this.#needs.clock))
  }

  async admit(
    grant: SignedGrant,
    device: EvmAddress,
  ): Promise<Result<AdmittedGrant, GrantRefusal>> {
    if (!this.#open) throw notStarted()
    if (!isWellFormedGrant(grant)) return refused('grant-malformed')
    const { message } = grant
    const now = unixSeconds(this.#needs.clock)
    if (message.device !== device) return refused('grant-for-another-device')
    if (now > message.notAfter) return refused('grant-expired')
    if (now + CLOCK_SKEW_SECONDS < message.notBefore) return refused('grant-not-yet-valid')
    if (!this.#trusted.knows(message.root, now)) return refused('grant-root-unknown')
    const id = grantId(message)
    const known = this.#entries.get(id)
    if (known?.admittedSignature !== grant.signature) {
      const signer = grantSigner(this.#needs.domain, grant)
      if (signer === undefined || !this.#trusted.mayGrant(message.root, signer, now)) {
        return refused('grant-signer-unknown')
      }
      const entry = known ?? this.#add(grant, id, now)
      entry.admittedSignature = grant.signature
    }
    return accepted({ grantId: id, grant: message })
  }

  #add(grant: SignedGrant, id: Hex, now: number): Entry {
    if (this.#entries.size >= this.#maxGrants) this.#makeRoom(now)
    const { device, maxBytes, notAfter } = grant.message
    const entry: Entry = {
      terms: { grantId: id, device, maxBytes },
      notAfter,
      grant: encodeSignedGrant(grant),
      admittedSignature: grant.signature,
      stored: undefined,
    }
    this.#entries.set(id, entry)
    return entry
  }

  /** Goes: what is expired and unpaid; paid and expired so long that no contract takes it. Never what is owed. */
  #makeRoom(now: number): void {
    for (const [id, entry] of this.#entries) {
      const keptFor = entry.stored === undefined ? 0 : KEEP_EXPIRED_SECONDS
      if (now > entry.notAfter + keptFor && !this.#pending.has(id)) this.#drop(id, entry)
    }
    if (this.#entries.size < this.#maxGrants) return
    for (const [id, entry] of this.#entries) {
      if (entry.stored !== undefined || this.#pending.has(id)) continue
      // The oldest without a receipt: its device shows it again when it comes back.
      this.#drop(id, entry)
      return
    }
    throw receiptsError('book-full', `the book holds ${this.#maxGrants} grants with receipts`, {
      blame: 'local',
      fix: 'Raise maxGrants, or move the book away when all its receipts were handed over.',
    })
  }

  #drop(id: Hex, entry: Entry): void {
    this.#entries.delete(id)
    if (entry.stored === undefined) return
    this.#stored--
    this.#storedBytes -= frameBytes(serverRecordBytes(entry.grant))
    entry.stored = undefined
  }

  /** Checks and counts before its first await, so that receipts are taken in the order of the calls. */
  async accept(receipt: SignedReceipt, sentBytes: bigint): Promise<Result<void, ReceiptRefusal>> {
    if (!this.#open) throw notStarted()
    if (!isWellFormedReceipt(receipt)) return refused('receipt-malformed')
    const { message } = receipt
    if (message.server !== this.#needs.server) return refused('receipt-for-another-server')
    const entry = this.#entries.get(message.grantId)
    if (entry === undefined) return refused('receipt-grant-unknown')
    const refusal = this.#refusalOf(entry, receipt, sentBytes)
    if (refusal !== undefined) return refused(refusal)
    await this.#write(entry, receipt)
    return accepted(undefined)
  }

  #refusalOf(entry: Entry, receipt: SignedReceipt, sentBytes: bigint): ReceiptRefusal | undefined {
    const { message } = receipt
    const before = this.#pending.get(entry.terms.grantId) ?? entry.stored ?? NO_COUNTS
    if (!rises(before, message)) return 'receipt-not-rising'
    if (message.grantBytes > entry.terms.maxBytes) return 'receipt-beyond-grant'
    if (message.serverBytes > sentBytes) return 'receipt-beyond-sent'
    return isSignedByDevice(this.#needs.domain, entry.terms, receipt)
      ? undefined
      : 'receipt-signer-wrong'
  }

  #write(entry: Entry, receipt: SignedReceipt): Promise<void> {
    const id = entry.terms.grantId
    const stored = storedOf(receipt, this.#nextCursor())
    const record = encodeServerRecord({ cursor: stored.cursor, receipt, grant: entry.grant })
    this.#pending.set(id, stored)
    return this.#journal.append(record, () => {
      this.#store(entry, stored)
      if (this.#pending.get(id) === stored) this.#pending.delete(id)
    })
  }

  /** At least the time in ms: a cursor that somebody remembers stays below new ones whatever the file has lost. */
  #nextCursor(): number {
    this.#lastCursor = Math.max(this.#lastCursor + 1, Math.floor(this.#needs.clock.nowMs()))
    return this.#lastCursor
  }

  receiptedBytes(id: Hex): bigint {
    return this.#entries.get(id)?.stored?.serverBytes ?? 0n
  }

  newestCursor(): number {
    return this.#order.at(-1)?.cursor ?? 0
  }

  since(cursor: number, limit: number): readonly ReceiptItem[] {
    const items: ReceiptItem[] = []
    for (let index = this.#firstAfter(cursor); index < this.#order.length; index++) {
      const one = this.#order[index]
      if (items.length >= limit || one === undefined) break
      const { cursor: at, entry } = one
      if (entry.stored?.cursor === at) items.push(this.#itemOf(entry, entry.stored))
    }
    return items
  }

  #itemOf(entry: Entry, stored: Stored): ReceiptItem {
    const grant = decodeSignedGrant(entry.grant)
    if (!grant.ok) throw new Error('a grant that was checked before does not decode')
    const receipt = this.#receiptOf(entry.terms, stored)
    return { cursor: stored.cursor, grant: grant.value, receipt }
  }

  #firstAfter(cursor: number): number {
    let low = 0
    let high = this.#order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#order[middle]?.cursor ?? 0) > cursor) high = middle
      else low = middle + 1
    }
    return low
  }

  damages(): readonly Damage[] {
    return this.#damages
  }
}

function storedOf({ message, signature }: SignedReceipt, cursor: number): Stored {
  const { serverBytes, grantBytes } = message
  return { cursor, serverBytes, grantBytes, signature }
}

function isCurrent({ entry, cursor }: { entry: Entry; cursor: number }): boolean {
  return entry.stored?.cursor === cursor
}

export function createServerBook(
  needs: ServerBookNeeds,
  options: ServerBookOptions = {},
): ServerBook {
  return new JournaledServerBook(needs, options)
}
