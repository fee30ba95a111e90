import { z } from 'zod'

const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'write it as 0x and 40 hexadecimal digits')
  .transform((text) => text.toLowerCase() as `0x${string}`)

/** Where everything is: plain data, for the network file and for whoever talks to the contracts. */
export const DeploymentSchema = z.object({
  chainId: z.int().min(1),
  /** The block of the first transaction; nothing of interest lies before it. */
  fromBlock: z.int().min(0),
  token: address,
  gas: address,
  rewardPool: address,
  /** The EIP-712 domain's verifyingContract. */
  settlement: address,
  /** Takes in merge-mined headers and holds the miners' share. */
  mergedMining: address,
  treasury: address,
  admin: address,
  /** The price versions that were registered at deployment. */
  prices: z.array(
    z.object({
      service: z
        .string()
        .regex(/^0x[0-9a-f]{64}$/)
        .transform((text) => text as `0x${string}`),
      version: z.int().min(0),
      priceGas18: z.string(),
      unitBytes: z.string(),
    }),
  ),
})

export type Deployment = Readonly<z.infer<typeof DeploymentSchema>>
