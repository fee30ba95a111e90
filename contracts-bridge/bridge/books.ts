import type { Hex } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import {
  type Grant,
  grantId,
  type Receipt,
  type ServerShare,
  signedGrantFromJson,
  signedReceiptFromJson,
} from '@ioex/node/receipts'
import { REFUSALS_KEPT, TRANSACTIONS_KEPT } from './limits.ts'
import {
  type JournalRecord,
  type ProposedRecord,
  RecordSchema,
  type SettledRecord,
} from './records.ts'
import { bridgeError, type RewardLeaf, type SettlementTransaction, type Unpaid } from './types.ts'

/** A grant and the highest receipt of each server for it. */
export interface GrantBook {
  readonly grant: Grant
  readonly signature: Hex
  readonly highest: Map<EvmAddress, Receipt>
  /** Billed in epochs that were signed. */
  shares: readonly ServerShare[]
}

export type EpochState =
  | { readonly stage: 'proposed'; readonly proposal: ProposedRecord }
  | { readonly stage: 'signed'; readonly proposal: ProposedRecord; readonly signature: Hex }
  | {
      readonly stage: 'settled'
      readonly proposal: ProposedRecord
      readonly signature: Hex
      readonly settled: SettledRecord
    }

export interface VendorBook {
  readonly grants: Map<Hex, GrantBook>
  /** The epoch at work, or the last one that was settled. */
  epoch: EpochState | undefined
  /** The highest number that was ever signed. */
  lastEpoch: number
  /** Of the last settled epoch. */
  leaves: readonly RewardLeaf[]
  settledEpochs: number
}

/** Everything the bridge knows, as the journal's records leave it. */
export interface Books {
  readonly cursor: number
  readonly vendors: ReadonlyMap<EvmAddress, VendorBook>
  readonly refusals: readonly Unpaid[]
  readonly transactions: readonly SettlementTransaction[]
  grantOf(id: Hex): GrantBook | undefined
  /** Takes in one record; throws journal-damaged when it does not fit those before it. */
  apply(record: JournalRecord): void
}

export function createBooks(): Books & { replay(raw: unknown): void } {
  const vendors = new Map<EvmAddress, VendorBook>()
  const grants = new Map<Hex, GrantBook>()
  const refusals: Unpaid[] = []
  const transactions = new Map<Hex, SettlementTransaction>()
  let cursor = 0

  const vendorBook = (vendor: EvmAddress): VendorBook => {
    const known = vendors.get(vendor)
    if (known !== undefined) return known
    const fresh: VendorBook = {
      grants: new Map(),
      epoch: undefined,
      lastEpoch: 0,
      leaves: [],
      settledEpochs: 0,
    }
    vendors.set(vendor, fresh)
    return fresh
  }

  const takeReceipt = (record: Extract<JournalRecord, { type: 'receipt' }>) => {
    const receipt = signedReceiptFromJson(record.receipt)
    if (!receipt.ok) throw damaged('a receipt')
    const id = receipt.value.message.grantId
    let book = grants.get(id)
    if (book === undefined) {
      const grant = signedGrantFromJson(record.grant)
      if (!grant.ok || grantId(grant.value.message) !== id) throw damaged('a grant')
      const { message, signature } = grant.value
      book = { grant: message, signature, highest: new Map(), shares: [] }
      grants.set(id, book)
      vendorBook(message.vendor).grants.set(id, book)
    }
    book.highest.set(receipt.value.message.server, receipt.value.message)
  }

  const atWork = (vendor: EvmAddress, epoch: number): EpochState => {
    const state = vendorBook(vendor).epoch
    if (state?.proposal.epoch !== epoch) throw damaged(`epoch ${epoch}`)
    return state
  }

  const apply = (record: JournalRecord) => {
    switch (record.type) {
      case 'receipt':
        cursor = record.cursor
        takeReceipt(record)
        break
      case 'refused': {
        cursor = record.cursor
        const { grantId: id, server, reason } = record
        refusals.push({
          ...(id === undefined ? {} : { grantId: id }),
          ...(server === undefined ? {} : { server }),
          reason: reason as Unpaid['reason'],
        })
        if (refusals.length > REFUSALS_KEPT) refusals.shift()
        break
      }
      case 'proposed':
        vendorBook(record.vendor).epoch = { stage: 'proposed', proposal: record }
        break
      case 'signed': {
        const book = vendorBook(record.vendor)
        const { proposal } = atWork(record.vendor, record.epoch)
        book.epoch = { stage: 'signed', proposal, signature: record.signature }
        book.lastEpoch = record.epoch
        for (const { grantId: id, shares } of proposal.shares) {
          const grant = grants.get(id)
          if (grant === undefined) throw damaged('a share')
          grant.shares = shares
        }
        break
      }
      case 'dropped':
        vendorBook(record.vendor).epoch = undefined
        break
      case 'reorganised': {
        const book = vendorBook(record.vendor)
        const state = atWork(record.vendor, record.epoch)
        if (state.stage !== 'settled') throw damaged(`epoch ${record.epoch}`)
        const { proposal, signature, settled } = state
        book.epoch = { stage: 'signed', proposal, signature }
        book.settledEpochs--
        // Should the epoch be dropped, then what the chain says is all there is to start from.
        book.leaves = []
        for (const { hash } of settled.transactions) transactions.delete(hash)
        break
      }
      case 'settled': {
        const book = vendorBook(record.vendor)
        const state = atWork(record.vendor, record.epoch)
        if (state.stage !== 'signed') throw damaged(`epoch ${record.epoch}`)
        book.settledEpochs++
        book.epoch = { ...state, stage: 'settled', settled: record }
        book.leaves = state.proposal.leaves
        for (const transaction of record.transactions) {
          transactions.set(transaction.hash, transaction)
          const [oldest] = transactions.keys()
          if (transactions.size > TRANSACTIONS_KEPT && oldest !== undefined) {
            transactions.delete(oldest)
          }
        }
        break
      }
    }
  }

  return {
    get cursor() {
      return cursor
    },
    vendors,
    refusals,
    get transactions() {
      return [...transactions.values()]
    },
    grantOf: (id) => grants.get(id),
    apply,
    replay(raw) {
      const record = RecordSchema.safeParse(raw)
      if (!record.success) throw damaged(`a record (${record.error.message})`)
      apply(record.data)
    },
  }
}

function damaged(what: string) {
  return bridgeError('journal-damaged', `the journal holds ${what} that does not fit`, {
    blame: 'local',
    fix: 'Restore the folder from a copy, or empty it: the bridge then reads all receipts again.',
  })
}
