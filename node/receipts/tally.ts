/**
 * From receipts to money. The rule (design 2.11), which contracts-bridge and the demo recompute:
 *
 * 1. Of each (grant, server) only the highest receipt counts.
 * 2. A grant is billed for the sum of its servers' bytes, at most `maxBytes`; its amount is
 *    floor(bytes x priceGas18 / unitBytes) at the grant's price version. Amounts are then summed.
 * 3. A grant's amount is split among its servers, in the order of their addresses, cumulatively: with
 *    A(n) = floor(n x priceGas18 / unitBytes) and n bytes before it, a server with b bytes gets A(n + b) - A(n).
 *    So the shares sum to the grant's amount exactly, and no share is off by 1 wei or more.
 *
 * No split that sums to a floor can let every share only rise: of two servers with half a wei each, one has the
 * wei, and which one must not depend on who came first. Whoever signs cumulative amounts per server hands in
 * what he has signed before as `settled`: it stays as it is, and only what came on top is split by rule 3.
 */
import type { Hex } from '../base/index.ts'
import type { EvmAddress } from '../identity/index.ts'
import { grantId } from './structs.ts'
import { type Grant, type Receipt, receiptsError } from './types.ts'

/** A price version of a service: what `unitBytes` bytes cost. */
export interface Price {
  /** GAS with 18 decimals. */
  readonly priceGas18: bigint
  readonly unitBytes: bigint
}

export interface TallyEntry {
  readonly grant: Grant
  readonly receipt: Receipt
}

export interface ServerShare {
  readonly server: EvmAddress
  readonly bytes: bigint
  readonly amountGas18: bigint
}

export interface GrantTally {
  readonly grantId: Hex
  readonly grant: Grant
  readonly bytes: bigint
  readonly amountGas18: bigint
  /** In the order of their addresses. */
  readonly shares: readonly ServerShare[]
}

export interface Tally {
  /** In the order in which the grants first came. */
  readonly grants: readonly GrantTally[]
  readonly perServer: ReadonlyMap<EvmAddress, bigint>
  readonly perVendor: ReadonlyMap<EvmAddress, bigint>
  readonly totalGas18: bigint
  readonly totalBytes: bigint
  /** Grants of a price version that is not known: not billed, and not lost either. */
  readonly unpriced: readonly Hex[]
}

export interface TallyOptions {
  readonly priceOf: (service: Hex, priceVersion: number) => Price | undefined
  /** Shares of the grant that were signed before; they must be a former result of this function. */
  readonly settled?: (grantId: Hex) => readonly ServerShare[]
}

/** floor(bytes x priceGas18 / unitBytes). Throws message-malformed for a negative figure or a unit of nothing. */
export function pricedAmount({ bytes, priceGas18, unitBytes }: Price & { bytes: bigint }): bigint {
  if (bytes < 0n || priceGas18 < 0n || unitBytes <= 0n) {
    throw receiptsError(
      'message-malformed',
      'bytes and price are never negative, a unit is not 0',
      {
        blame: 'caller',
      },
    )
  }
  return (bytes * priceGas18) / unitBytes
}

/**
 * Signatures are not looked at: hand in what a book or the gateway has accepted. Several receipts of one
 * (grant, server) may come, in any order; the result does not depend on the order.
 */
export function tally(entries: Iterable<TallyEntry>, options: TallyOptions): Tally {
  const perServer = new Map<EvmAddress, bigint>()
  const perVendor = new Map<EvmAddress, bigint>()
  const grants: GrantTally[] = []
  const unpriced: Hex[] = []
  let totalGas18 = 0n
  let totalBytes = 0n
  for (const [id, { grant, highest }] of highestPerServer(entries)) {
    const price = options.priceOf(grant.service, grant.priceVersion)
    if (price === undefined) {
      unpriced.push(id)
      continue
    }
    const shares = split(grant, highest, price, options.settled?.(id) ?? [])
    const bytes = shares.reduce((sum, share) => sum + share.bytes, 0n)
    const amountGas18 = shares.reduce((sum, share) => sum + share.amountGas18, 0n)
    for (const { server, amountGas18: share } of shares) {
      perServer.set(server, (perServer.get(server) ?? 0n) + share)
    }
    perVendor.set(grant.vendor, (perVendor.get(grant.vendor) ?? 0n) + amountGas18)
    grants.push({ grantId: id, grant, bytes, amountGas18, shares })
    totalGas18 += amountGas18
    totalBytes += bytes
  }
  return { grants, perServer, perVendor, totalGas18, totalBytes, unpriced }
}

function highestPerServer(entries: Iterable<TallyEntry>) {
  const grants = new Map<Hex, { grant: Grant; highest: Map<EvmAddress, bigint> }>()
  const ids = new WeakMap<Grant, Hex>()
  for (const { grant, receipt } of entries) {
    const id = ids.get(grant) ?? grantId(grant)
    ids.set(grant, id)
    if (id !== receipt.grantId) {
      throw receiptsError('message-malformed', 'a receipt was handed in with another grant', {
        blame: 'caller',
      })
    }
    const entry = grants.get(id) ?? { grant, highest: new Map<EvmAddress, bigint>() }
    grants.set(id, entry)
    const before = entry.highest.get(receipt.server) ?? 0n
    if (receipt.serverBytes > before) entry.highest.set(receipt.server, receipt.serverBytes)
  }
  return grants
}

function split(
  grant: Grant,
  highest: ReadonlyMap<EvmAddress, bigint>,
  price: Price,
  settled: readonly ServerShare[],
): ServerShare[] {
  const before = new Map(settled.map((share) => [share.server, share]))
  let billed = settled.reduce((sum, share) => sum + share.bytes, 0n)
  let amount = settled.reduce((sum, share) => sum + share.amountGas18, 0n)
  const servers = [...new Set([...before.keys(), ...highest.keys()])].sort()
  return servers.map((server) => {
    const old = before.get(server) ?? { server, bytes: 0n, amountGas18: 0n }
    const wanted = maxOf((highest.get(server) ?? 0n) - old.bytes, 0n)
    const added = minOf(wanted, maxOf(grant.maxBytes - billed, 0n))
    billed += added
    const amountNow = maxOf(pricedAmount({ bytes: billed, ...price }), amount)
    const share = {
      server,
      bytes: old.bytes + added,
      amountGas18: old.amountGas18 + amountNow - amount,
    }
    amount = amountNow
    return share
  })
}

function minOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
