import { Interface, type JsonRpcProvider, type Log as ChainLog } from 'ethers'
import { z } from 'zod'
import type { Hex } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import type { Price } from '@ioex/node/receipts'
import { rewardPoolAbi } from '../abi/reward-pool.ts'
import { settlementAbi } from '../abi/settlement.ts'
import { chainProvider } from '../deploy/chain-provider.ts'
import type { Deployment } from '../deploy/deployment.ts'
import { rewardTree } from './merkle.ts'
import type { RewardLeaf } from './types.ts'

const number = z.bigint().transform(Number)

const VendorSchema = z.object({
  escrowGas18: z.bigint(),
  escrowIoex: z.bigint(),
  reservedGas18: z.bigint(),
  burnedGas18: z.bigint(),
  burnedIoex: z.bigint(),
  paidIoex: z.bigint(),
  epoch: number,
  root: z.templateLiteral(['0x', z.string()]),
})
export type VendorOnChain = Readonly<z.infer<typeof VendorSchema>>

const ServerSchema = z.object({ creditedGas18: z.bigint(), paidIoex: z.bigint() })
export type ServerOnChain = Readonly<z.infer<typeof ServerSchema>>

const SignerSchema = z.object({ validFrom: number, validUntil: number })
type SignerOnChain = Readonly<z.infer<typeof SignerSchema>>

const PriceSchema = z.object({ priceGas18: z.bigint(), unitBytes: z.bigint() })
const TermsSchema = z.object({ rewardBps: z.bigint() })

/** The settlement contract as the bridge reads it; every call may throw while the chain does not answer. */
export interface Chain {
  readonly provider: JsonRpcProvider
  readonly deployment: Deployment
  blockNumber(): Promise<number>
  vendor(vendor: EvmAddress): Promise<VendorOnChain>
  server(vendor: EvmAddress, server: EvmAddress): Promise<ServerOnChain>
  signer(vendor: EvmAddress, signer: EvmAddress): Promise<SignerOnChain>
  price(service: Hex, version: number): Promise<Price | undefined>
  rewardBps(): Promise<bigint>
  /** Where an epoch of the vendor was posted, and all transactions that paid its servers since. */
  settlementOf(vendor: EvmAddress, epoch: number): Promise<PostedEpoch | undefined>
  close(): void
}

export interface PostedEpoch {
  readonly block: number
  readonly transaction: Hex
  /** Hashes of transactions with claims, without the one above. */
  readonly claims: readonly Hex[]
}

const settlementInterface = new Interface(settlementAbi)
const poolInterface = new Interface(rewardPoolAbi)

export function createChain(options: {
  readonly rpcUrl: string
  readonly deployment: Deployment
}): Chain {
  const { deployment } = options
  const provider = chainProvider({ rpcUrl: options.rpcUrl, chainId: deployment.chainId })

  const read = async <Schema extends z.ZodType>(
    name: string,
    inputs: readonly unknown[],
    schema: Schema,
  ): Promise<z.output<Schema>> => {
    const data = settlementInterface.encodeFunctionData(name, inputs)
    const answer = await provider.call({ to: deployment.settlement, data })
    const [struct] = settlementInterface.decodeFunctionResult(name, answer) as unknown as [
      { toObject(): unknown },
    ]
    return schema.parse(struct.toObject())
  }
  const logs = (event: string, topics: readonly (string | null)[], fromBlock: number) =>
    provider.getLogs({
      address: deployment.settlement,
      topics: [settlementInterface.getEvent(event)?.topicHash ?? null, ...topics],
      fromBlock,
    })

  let bps: bigint | undefined
  return {
    provider,
    deployment,
    blockNumber: () => provider.getBlockNumber(),
    vendor: (vendor) => read('vendorOf', [vendor], VendorSchema),
    server: (vendor, server) => read('serverOf', [vendor, server], ServerSchema),
    signer: (vendor, signer) => read('signerOf', [vendor, signer], SignerSchema),
    async price(service, version) {
      const price = await read('priceOf', [service, version], PriceSchema)
      return price.unitBytes === 0n ? undefined : price
    },
    async rewardBps() {
      bps ??= (await read('terms', [], TermsSchema)).rewardBps
      return bps
    },
    async settlementOf(vendor, epoch) {
      const posts = await logs(
        'EpochPosted',
        [word(vendor), word(`0x${epoch.toString(16)}`)],
        deployment.fromBlock,
      )
      const post = posts.at(-1)
      if (post === undefined) return undefined
      const claims = await logs('RewardPaid', [word(vendor)], post.blockNumber)
      return {
        block: post.blockNumber,
        transaction: hashOf(post),
        claims: [...new Set(claims.map(hashOf))].filter((hash) => hash !== hashOf(post)),
      }
    },
    close: () => provider.destroy(),
  }
}

function hashOf(log: ChainLog): Hex {
  return log.transactionHash as Hex
}

/** A topic: the value as 32 bytes. */
function word(hex: string): string {
  return `0x${hex.slice(2).padStart(64, '0')}`
}

/** Calldata that posts a root and pays the first claims in one transaction, so that nothing comes between them. */
export function postCall(post: {
  readonly vendor: EvmAddress
  readonly epoch: number
  readonly total: bigint
  readonly root: Hex
  readonly signature: Hex
  readonly leaves: readonly RewardLeaf[]
  readonly claims: readonly RewardLeaf[]
}): string {
  const sum = post.leaves.reduce((total, leaf) => total + leaf.cumulativeIoex, 0n)
  const root = [post.vendor, post.epoch, post.total, post.root]
  const calls = [
    settlementInterface.encodeFunctionData('postEpochRoot', [root, post.signature, sum]),
  ]
  if (post.claims.length > 0) calls.push(claimCall(post.vendor, post.leaves, post.claims))
  return settlementInterface.encodeFunctionData('multicall', [calls])
}

/** Calldata that pays some servers of a root that is posted. */
export function claimCall(
  vendor: EvmAddress,
  leaves: readonly RewardLeaf[],
  claims: readonly RewardLeaf[],
): string {
  const tree = rewardTree(leaves)
  return settlementInterface.encodeFunctionData('claimMany', [
    vendor,
    claims.map((leaf) => [leaf.server, leaf.cumulativeIoex, leaf.cumulativeGas18]),
    claims.map((leaf) => tree.proof(leaves.indexOf(leaf))),
  ])
}

/** The name of the contract's error in what ethers threw; undefined when the chain refused nothing. */
export function revertName(thrown: unknown): string | undefined {
  const data = revertData(thrown)
  if (data === undefined) return undefined
  const error = settlementInterface.parseError(data) ?? poolInterface.parseError(data)
  return error?.name ?? 'unknown'
}

function revertData(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  if (!('code' in thrown) || thrown.code !== 'CALL_EXCEPTION') return undefined
  return 'data' in thrown && typeof thrown.data === 'string' ? thrown.data : '0x'
}
