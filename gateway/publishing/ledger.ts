import type { LedgerDomain } from '@ioex/node/receipts'
import type { GatewayNode } from '../context.ts'
import { ProblemError } from '../problems.ts'

type Needs = Pick<GatewayNode, 'networkFile'>

/** The EIP-712 domain of everything that is signed here for the chain. */
export function ledgerOf({ networkFile }: Needs): LedgerDomain {
  const { chainId, verifyingContract } = networkFile.signed.ledger
  return { chainId, verifyingContract }
}

/** The newest price version of a service. */
export function priceNow({ networkFile }: Needs, service: string): number {
  const versions = networkFile.signed.prices
    .filter((price) => price.service.toLowerCase() === service.toLowerCase())
    .map((price) => price.version)
  if (versions.length > 0) return Math.max(...versions)
  throw new ProblemError('not-ready', 'the network file has no price for bandwidth', {
    fix: 'The operator has to publish a network file with a price table.',
  })
}

/** What a unit cost under a price version; undefined when it is not known. */
export function priceOf({ networkFile }: Needs, service: string, version: number) {
  const price = networkFile.signed.prices.find(
    (candidate) => candidate.service === service && candidate.version === version,
  )
  if (price === undefined) return undefined
  return { priceGas18: BigInt(price.priceGas18), unitBytes: BigInt(price.unitBytes) }
}
