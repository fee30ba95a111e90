import { Contract, MaxUint256, NonceManager, Signature, Wallet } from 'ethers'
import { type Hex, IoexError } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { gasCreditAbi } from '../abi/gas-credit.ts'
import { ioexTokenAbi } from '../abi/ioex-token.ts'
import { settlementAbi } from '../abi/settlement.ts'
import { chainProvider } from '../deploy/chain-provider.ts'
import type { Deployment } from '../deploy/deployment.ts'

export interface FundVendorOptions {
  readonly rpcUrl: string
  readonly deployment: Deployment
  /** The vendor account's key: cold in production, at hand in a development chain. */
  readonly vendorKey: Hex
  /** Pays the vendor the coins, and the chain's fees: the treasury of a development chain. */
  readonly treasuryKey: Hex
  /** Base units of 1e-8 to convert and put into escrow. */
  readonly ioex: bigint
  /** The voucher signer that the gateway holds for this vendor. */
  readonly signer: EvmAddress
  /** GAS that it may burn per UTC day. */
  readonly dailyCapGas18: bigint
  /** Unix seconds. */
  readonly signerValidUntil: number
}

export interface FundedVendor {
  readonly vendor: EvmAddress
  /** What the coins gave. */
  readonly gas18: bigint
}

/** For the chain's fees of four transactions, with room to spare, where a vendor has nothing yet. */
const FEES_WEI = 10n ** 17n
const PERMIT_TYPES = {
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
}

/**
 * What a vendor does once: get coins, convert them to GAS with one signature, put the GAS into escrow, and give its
 * voucher signer authority. For development chains and tests: it takes keys that never meet in production. Calling
 * it again adds to the escrow.
 */
export async function fundVendor(options: FundVendorOptions): Promise<FundedVendor> {
  const { deployment } = options
  const provider = chainProvider({ rpcUrl: options.rpcUrl, chainId: deployment.chainId })
  try {
    const treasury = new NonceManager(new Wallet(options.treasuryKey, provider))
    const wallet = new Wallet(options.vendorKey, provider)
    const vendor = new NonceManager(wallet)
    const token = new Contract(deployment.token, ioexTokenAbi)
    const gas = new Contract(deployment.gas, gasCreditAbi)
    const settlement = new Contract(deployment.settlement, settlementAbi)
    const send = async (from: NonceManager, to: Contract, name: string, inputs: unknown[]) => {
      const data = to.interface.encodeFunctionData(name, inputs)
      const sent = await from.sendTransaction({ to: await to.getAddress(), data })
      await sent.wait()
    }
    const read = async (from: Contract, name: string, inputs: unknown[]): Promise<unknown> => {
      const data = from.interface.encodeFunctionData(name, inputs)
      const answer = await provider.call({ to: await from.getAddress(), data })
      return from.interface.decodeFunctionResult(name, answer).toArray()[0]
    }

    if ((await provider.getBalance(wallet.address)) < FEES_WEI) {
      const fees = await treasury.sendTransaction({ to: wallet.address, value: FEES_WEI })
      await fees.wait()
    }
    await send(treasury, token, 'transfer', [wallet.address, options.ioex])
    const permit = Signature.from(
      await wallet.signTypedData(
        {
          ...{ name: 'ioeX', version: '1', chainId: deployment.chainId },
          verifyingContract: deployment.token,
        },
        PERMIT_TYPES,
        {
          ...{ owner: wallet.address, spender: deployment.gas, value: options.ioex },
          nonce: await read(token, 'nonces', [wallet.address]),
          deadline: MaxUint256,
        },
      ),
    )
    const before = await gasOf(read, gas, wallet.address)
    await send(vendor, gas, 'convertWithPermit', [
      ...[options.ioex, 0n, MaxUint256, permit.v, permit.r, permit.s],
    ])
    const gas18 = (await gasOf(read, gas, wallet.address)) - before
    await send(vendor, settlement, 'deposit', [gas18])
    await send(vendor, settlement, 'authoriseSigner', [
      ...[options.signer, options.dailyCapGas18, options.signerValidUntil],
    ])
    return { vendor: wallet.address.toLowerCase() as EvmAddress, gas18 }
  } catch (thrown) {
    throw new IoexError('funding-failed', 'the vendor account could not be funded', {
      blame: 'local',
      fix: `Check that ${options.rpcUrl} answers and that the treasury holds the coins.`,
      cause: thrown,
    })
  } finally {
    provider.destroy()
  }
}

async function gasOf(
  read: (from: Contract, name: string, inputs: unknown[]) => Promise<unknown>,
  gas: Contract,
  account: string,
): Promise<bigint> {
  const [gas18] = (await read(gas, 'accountOf', [account])) as readonly [bigint, bigint]
  return gas18
}
