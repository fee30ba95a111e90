import type { Hex } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { type Price, type ServerShare, type TallyEntry, tally } from '@ioex/node/receipts'
import type { GrantBook, VendorBook } from './books.ts'
import type { ServerOnChain, VendorOnChain } from './chain.ts'
import { rewardTree } from './merkle.ts'
import type { ProposedRecord } from './records.ts'
import type { PutOffReason, RewardLeaf, Unpaid } from './types.ts'

/** What the chain and the books say, read before anything is computed. */
export interface ProposalInputs {
  readonly vendor: EvmAddress
  readonly book: VendorBook
  readonly throughCursor: number
  readonly account: VendorOnChain
  readonly rewardBps: bigint
  readonly serverOf: (server: EvmAddress) => ServerOnChain
  readonly priceOf: (service: Hex, version: number) => Price | undefined
  /** Whether the chain lets the grant's signer sign for the vendor. */
  readonly isAuthorised: (grant: GrantBook) => boolean
}

export interface VendorTally {
  readonly shares: ReadonlyMap<Hex, readonly ServerShare[]>
  readonly totalGas18: bigint
  readonly perServer: ReadonlyMap<EvmAddress, bigint>
  readonly unpaid: readonly Unpaid[]
}

const BPS = 10_000n

/** What each server of a vendor has earned so far; amounts that were signed before only rise. */
export function tallyVendor(
  inputs: Pick<ProposalInputs, 'book' | 'priceOf' | 'isAuthorised'>,
): VendorTally {
  const { grants } = inputs.book
  const entries: TallyEntry[] = []
  const unpaid: Unpaid[] = []
  const shares = new Map<Hex, readonly ServerShare[]>()
  for (const [grantId, book] of grants) {
    if (book.shares.length > 0) shares.set(grantId, book.shares)
    const isAuthorised = book.shares.length > 0 || inputs.isAuthorised(book)
    for (const receipt of book.highest.values()) {
      if (isAuthorised) entries.push({ grant: book.grant, receipt })
      else unpaid.push({ grantId, server: receipt.server, reason: 'signer-not-authorised' })
    }
  }
  const result = tally(entries, {
    priceOf: inputs.priceOf,
    settled: (id) => grants.get(id)?.shares ?? [],
  })
  for (const grant of result.grants) shares.set(grant.grantId, grant.shares)
  for (const grantId of result.unpriced) {
    for (const server of grants.get(grantId)?.highest.keys() ?? []) {
      unpaid.push({ grantId, server, reason: 'price-unknown' })
    }
  }
  return { shares, unpaid: [...unpaid, ...beyondGrants(grants, shares)], ...sums(shares) }
}

/** Receipts that exceed what their grant allows over all servers. */
function beyondGrants(
  grants: ReadonlyMap<Hex, GrantBook>,
  shares: ReadonlyMap<Hex, readonly ServerShare[]>,
): Unpaid[] {
  return [...shares].flatMap(([grantId, ofGrant]) =>
    ofGrant
      .filter(({ server, bytes }) => {
        const receipt = grants.get(grantId)?.highest.get(server)
        return receipt !== undefined && receipt.serverBytes > bytes
      })
      .map(({ server }) => ({ grantId, server, reason: 'beyond-grant' as const })),
  )
}

function sums(shares: ReadonlyMap<Hex, readonly ServerShare[]>) {
  const perServer = new Map<EvmAddress, bigint>()
  let totalGas18 = 0n
  for (const share of [...shares.values()].flat()) {
    perServer.set(share.server, (perServer.get(share.server) ?? 0n) + share.amountGas18)
    totalGas18 += share.amountGas18
  }
  return { perServer, totalGas18 }
}

/**
 * The vendor's next epoch: what its total has risen by is burned, and the reward for it goes to the servers in
 * proportion to what each served since it was last paid, rounded down. Undefined when there is nothing to burn.
 */
export function propose(
  inputs: ProposalInputs,
  tallied: VendorTally,
): { readonly proposal: ProposedRecord } | { readonly putOff: PutOffReason } | undefined {
  const { account, book, vendor } = inputs
  const gas18 = tallied.totalGas18 - account.burnedGas18
  if (gas18 < 0n) return { putOff: 'total-below-burned' }
  if (gas18 === 0n) return undefined
  if (gas18 > account.escrowGas18 - account.reservedGas18) return { putOff: 'escrow-short' }

  const before = bases(inputs, tallied)
  const fresh = new Map(
    [...tallied.perServer].map(([server, due]) => {
      const base = before.get(server)?.cumulativeGas18 ?? 0n
      return [server, due > base ? due - base : 0n] as const
    }),
  )
  const freshGas18 = [...fresh.values()].reduce((sum, part) => sum + part, 0n)
  const reward = freshGas18 === 0n ? 0n : rewardOf(inputs, gas18, before)
  const leaves = [...before.values()].map((base) => {
    const part = fresh.get(base.server) ?? 0n
    return {
      server: base.server,
      cumulativeIoex: base.cumulativeIoex + (part === 0n ? 0n : (reward * part) / freshGas18),
      cumulativeGas18: base.cumulativeGas18 + part,
    }
  })
  return {
    proposal: {
      type: 'proposed',
      vendor,
      epoch: Math.max(book.lastEpoch, account.epoch) + 1,
      total: tallied.totalGas18,
      root: rewardTree(leaves).root,
      throughCursor: inputs.throughCursor,
      leaves,
      shares: changedShares(book, tallied),
    },
  }
}

/** What each server has by the last settled root or by the chain, whichever is more, in the order of addresses. */
function bases(inputs: ProposalInputs, tallied: VendorTally): Map<EvmAddress, RewardLeaf> {
  const settled = new Map(inputs.book.leaves.map((leaf) => [leaf.server, leaf]))
  const servers = [...new Set([...settled.keys(), ...tallied.perServer.keys()])].sort()
  return new Map(
    servers.map((server) => {
      const leaf = settled.get(server)
      const chain = inputs.serverOf(server)
      return [
        server,
        {
          server,
          cumulativeIoex: maxOf(leaf?.cumulativeIoex ?? 0n, chain.paidIoex),
          cumulativeGas18: maxOf(leaf?.cumulativeGas18 ?? 0n, chain.creditedGas18),
        },
      ]
    }),
  )
}

/** The reward for burning so much GAS now, and never more than the leaves before it have left over. */
function rewardOf(
  { account, rewardBps }: ProposalInputs,
  gas18: bigint,
  before: ReadonlyMap<EvmAddress, RewardLeaf>,
): bigint {
  const burned =
    gas18 === account.escrowGas18
      ? account.escrowIoex
      : (account.escrowIoex * gas18) / account.escrowGas18
  const rewardNow = (account.burnedIoex * rewardBps) / BPS
  const rewardThen = ((account.burnedIoex + burned) * rewardBps) / BPS
  const promised = [...before.values()].reduce((sum, leaf) => sum + leaf.cumulativeIoex, 0n)
  return minOf(rewardThen - rewardNow, maxOf(rewardThen - promised, 0n))
}

function changedShares(book: VendorBook, tallied: VendorTally): ProposedRecord['shares'] {
  return [...tallied.shares]
    .filter(([grantId, shares]) => {
      const before = new Map(book.grants.get(grantId)?.shares.map((share) => [share.server, share]))
      return shares.some(({ server, bytes }) => before.get(server)?.bytes !== bytes)
    })
    .map(([grantId, shares]) => ({ grantId, shares: [...shares] }))
}

function minOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
