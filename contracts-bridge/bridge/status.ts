import type { EvmAddress } from '@ioex/node/identity'
import type { Books, VendorBook } from './books.ts'
import type { VendorOnChain } from './chain.ts'
import type { Progress } from './settle.ts'
import type { PutOffReason, SettlementTransaction, Unpaid } from './types.ts'

/** Everything in the smallest unit: GAS 1e-18, ioeX 1e-8. */
export interface BridgeStatus {
  /** Burned on the chain for all vendors that this bridge knows. */
  readonly gasBilled18: bigint
  readonly burnedIoex: bigint
  /** Newly emitted to servers. */
  readonly ioexPaid: bigint
  readonly transactions: readonly SettlementTransaction[]
  /** Epochs that were settled. */
  readonly epochs: number
  readonly unpaid: readonly Unpaid[]
  readonly vendors: readonly VendorStatus[]
  /** Of the gateway's feed; what is before it is on disk here. */
  readonly cursor: number
  /** Grants with at least one receipt. */
  readonly grants: number
  /** Verified bytes by the receipts, beyond-grant bytes left out. */
  readonly receiptBytes: bigint
  /** Whether the last look at the chain and at the gateway succeeded. */
  readonly chain: Reachability
  readonly gateway: Reachability
}

export type Reachability = 'answers' | 'silent' | 'not-asked-yet'

export interface VendorStatus {
  readonly vendor: EvmAddress
  readonly epoch: number
  readonly stage: 'idle' | 'proposed' | 'signed' | 'settled'
  readonly putOff: PutOffReason | undefined
  readonly escrowGas18: bigint
  readonly burnedGas18: bigint
  readonly burnedIoex: bigint
  readonly paidIoex: bigint
}

export function statusOf(
  books: Books,
  progress: ReadonlyMap<EvmAddress, Progress>,
  reach: { readonly chain: Reachability; readonly gateway: Reachability },
): BridgeStatus {
  const accounts = [...progress.values()].map(({ account }) => account)
  const sum = (of: (account: VendorOnChain) => bigint) =>
    accounts.reduce((total, account) => total + of(account), 0n)
  const vendors = [...books.vendors]
  return {
    gasBilled18: sum((account) => account.burnedGas18),
    burnedIoex: sum((account) => account.burnedIoex),
    ioexPaid: sum((account) => account.paidIoex),
    transactions: books.transactions,
    epochs: vendors.reduce((total, [, book]) => total + book.settledEpochs, 0),
    unpaid: [
      ...books.refusals,
      ...vendors.flatMap(([vendor, book]) => waiting(book, progress.get(vendor))),
    ],
    vendors: vendors.map(([vendor, book]) => vendorStatus(vendor, book, progress.get(vendor))),
    cursor: books.cursor,
    grants: vendors.reduce((total, [, book]) => total + book.grants.size, 0),
    receiptBytes: vendors.reduce((total, [, book]) => total + bytesOf(book), 0n),
    ...reach,
  }
}

function vendorStatus(
  vendor: EvmAddress,
  book: VendorBook,
  progress: Progress | undefined,
): VendorStatus {
  return {
    vendor,
    epoch: book.epoch?.proposal.epoch ?? book.lastEpoch,
    stage: book.epoch?.stage ?? 'idle',
    putOff: progress?.putOff,
    escrowGas18: progress?.account.escrowGas18 ?? 0n,
    burnedGas18: progress?.account.burnedGas18 ?? 0n,
    burnedIoex: progress?.account.burnedIoex ?? 0n,
    paidIoex: progress?.account.paidIoex ?? 0n,
  }
}

/** Receipts that no settled epoch covers, each with the reason. */
function waiting(book: VendorBook, progress: Progress | undefined): Unpaid[] {
  const known = progress?.tally.unpaid ?? []
  const told = new Set(known.map(({ grantId, server }) => `${grantId}/${server}`))
  const state = book.epoch
  const unsettled = new Set(
    state === undefined || state.stage === 'settled'
      ? []
      : state.proposal.shares.map(({ grantId }) => grantId),
  )
  const rest: Unpaid[] = []
  for (const [grantId, { highest, shares }] of book.grants) {
    const billed = new Map(shares.map(({ server, bytes }) => [server, bytes]))
    for (const { server, serverBytes } of highest.values()) {
      if (told.has(`${grantId}/${server}`)) continue
      const isPaid = serverBytes <= (billed.get(server) ?? 0n) && !unsettled.has(grantId)
      if (!isPaid) rest.push({ grantId, server, reason: progress?.putOff ?? 'next-epoch' })
    }
  }
  return [...known, ...rest]
}

function bytesOf(book: VendorBook): bigint {
  let sum = 0n
  for (const { grant, highest } of book.grants.values()) {
    let ofGrant = 0n
    for (const { serverBytes } of highest.values()) ofGrant += serverBytes
    sum += ofGrant < grant.maxBytes ? ofGrant : grant.maxBytes
  }
  return sum
}
