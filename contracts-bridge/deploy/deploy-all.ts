/**
 * Puts all contracts on a fresh chain and gives the roles: mints go through the reward pool only, GAS moves
 * through settlement only, prices are set by the admin. The deployer keeps no right at the end unless it is the
 * admin itself. Addresses come back as data.
 */
import {
  type BaseContract,
  ContractFactory,
  id,
  type InterfaceAbi,
  NonceManager,
  Wallet,
} from 'ethers'
import { GIB, type Hex, IoexError } from '@ioex/node/base'
import {
  gasCreditBytecode,
  ioexTokenBytecode,
  mergedMiningBytecode,
  rewardPoolBytecode,
  settlementBytecode,
} from '../abi/bytecode.ts'
import { gasCreditAbi } from '../abi/gas-credit.ts'
import { ioexTokenAbi } from '../abi/ioex-token.ts'
import { mergedMiningAbi } from '../abi/merged-mining.ts'
import { rewardPoolAbi } from '../abi/reward-pool.ts'
import { settlementAbi } from '../abi/settlement.ts'
import { chainProvider } from './chain-provider.ts'
import type { Deployment } from './deployment.ts'

export interface DeployOptions {
  readonly rpcUrl: string
  readonly chainId: number
  /** 32 bytes; pays for the deployment. */
  readonly deployerKey: Hex
  /** Receives the genesis supply but for the mining allocation; the deployer if absent. */
  readonly treasury?: Hex | undefined
  /** Sets prices and may give roles away; the deployer if absent. */
  readonly admin?: Hex | undefined
  readonly terms?: Partial<DeploymentTerms> | undefined
}

export interface DeploymentTerms {
  /** GAS (18 decimals) for one whole ioeX. */
  readonly gas18PerIoex: bigint
  readonly minGas18PerIoex: bigint
  readonly maxGas18PerIoex: bigint
  /** Units of 1e-8 per period in the first year. */
  readonly emissionUnitsPerPeriod: bigint
  readonly emissionPeriodS: number
  readonly emissionGrowthBps: number
  readonly rewardBps: number
  readonly withdrawThawS: number
  readonly signerThawS: number
  readonly receiptClaimDelayS: number
  readonly receiptClaimGraceS: number
  readonly receiptClaimMinGas18: bigint
  /** Price version 1 of `ioex/bandwidth`. */
  readonly bandwidthGas18PerUnit: bigint
  readonly bandwidthUnitBytes: bigint
  /** The first and easiest target of merge-mined headers, in Bitcoin's compact form. */
  readonly miningLimitBits: number
}

/** keccak256 of the name, as grants and pin orders carry it. */
export const BANDWIDTH_SERVICE = id('ioex/bandwidth') as Hex

const DAY_S = 86_400
const GAS = 10n ** 18n

/** The whitepaper's figures where it has them, the design's else. */
export const DEFAULT_TERMS: DeploymentTerms = {
  // The whitepaper's example: one ioeX at 10 USDT gives 10 GAS.
  gas18PerIoex: 10n * GAS,
  // Three orders of magnitude either way: wide enough for a market, narrow enough to stop a slip of the decimals.
  minGas18PerIoex: GAS / 100n,
  maxGas18PerIoex: 10_000n * GAS,
  emissionUnitsPerPeriod: 20n * 10n ** 8n,
  emissionPeriodS: 120,
  emissionGrowthBps: 300,
  rewardBps: 9_500,
  // The lower end of what The Graph (28 days) and Helium (14) use.
  withdrawThawS: 14 * DAY_S,
  signerThawS: 7 * DAY_S,
  receiptClaimDelayS: 7 * DAY_S,
  receiptClaimGraceS: 14 * DAY_S,
  // About what a claim with one receipt costs on a cheap chain; 10 GiB at the default price.
  receiptClaimMinGas18: GAS / 10n,
  bandwidthGas18PerUnit: GAS / 100n,
  bandwidthUnitBytes: BigInt(GIB),
  // The limit of the ioeX chain of 2018.
  miningLimitBits: 0x1e00f8ff,
}

const GENESIS_SUPPLY = 200_000_000n * 10n ** 8n
/** 3 % of the genesis supply, in units of 1e-8: `MergedMining.ALLOCATION`. */
const MINING_ALLOCATION = 6_000_000n * 10n ** 8n

export async function deployAll(options: DeployOptions): Promise<Deployment> {
  const terms = { ...DEFAULT_TERMS, ...options.terms }
  const provider = chainProvider(options)
  try {
    const wallet = new Wallet(options.deployerKey, provider)
    const signer = new NonceManager(wallet)
    const treasury = options.treasury ?? wallet.address
    const admin = options.admin ?? wallet.address
    const fromBlock = await provider.getBlockNumber()
    const place = async (abi: InterfaceAbi, bytecode: string, inputs: readonly unknown[]) => {
      const contract = await new ContractFactory(abi, bytecode, signer).deploy(...inputs)
      await contract.waitForDeployment()
      return { contract, address: (await contract.getAddress()).toLowerCase() as Hex }
    }
    const call = async (contract: BaseContract, name: string, inputs: readonly unknown[]) => {
      const data = contract.interface.encodeFunctionData(name, inputs)
      const sent = await signer.sendTransaction({ to: await contract.getAddress(), data })
      await sent.wait()
    }

    // The deployer holds the admin's role until the wiring is done.
    const deployer = wallet.address
    const token = await place(ioexTokenAbi, ioexTokenBytecode, [deployer, deployer])
    const mining = await place(mergedMiningAbi, mergedMiningBytecode, [
      ...[token.address, terms.miningLimitBits],
    ])
    await call(token.contract, 'transfer', [mining.address, MINING_ALLOCATION])
    if (treasury.toLowerCase() !== deployer.toLowerCase()) {
      await call(token.contract, 'transfer', [treasury, GENESIS_SUPPLY - MINING_ALLOCATION])
    }
    const gas = await place(gasCreditAbi, gasCreditBytecode, [
      ...[token.address, deployer],
      ...[terms.gas18PerIoex, terms.minGas18PerIoex, terms.maxGas18PerIoex],
    ])
    const pool = await place(rewardPoolAbi, rewardPoolBytecode, [
      ...[token.address, deployer],
      [terms.emissionUnitsPerPeriod, terms.emissionPeriodS, terms.emissionGrowthBps],
    ])
    const settlement = await place(settlementAbi, settlementBytecode, [
      ...[gas.address, pool.address, deployer],
      [
        terms.rewardBps,
        terms.withdrawThawS,
        terms.signerThawS,
        terms.receiptClaimDelayS,
        terms.receiptClaimGraceS,
        terms.receiptClaimMinGas18,
      ],
    ])
    const minterRole = id('MINTER_ROLE')
    const settlementRole = id('SETTLEMENT_ROLE')
    const priceRole = id('PRICE_ROLE')
    await call(token.contract, 'grantRole', [minterRole, pool.address])
    await call(pool.contract, 'grantRole', [settlementRole, settlement.address])
    await call(gas.contract, 'grantRole', [settlementRole, settlement.address])
    await call(gas.contract, 'grantRole', [priceRole, admin])
    await call(settlement.contract, 'grantRole', [priceRole, deployer])
    await call(settlement.contract, 'registerPrice', [
      ...[BANDWIDTH_SERVICE, 1, terms.bandwidthGas18PerUnit, terms.bandwidthUnitBytes],
    ])
    if (admin.toLowerCase() !== deployer.toLowerCase()) {
      await call(settlement.contract, 'grantRole', [priceRole, admin])
      await call(settlement.contract, 'renounceRole', [priceRole, deployer])
      for (const { contract } of [token, gas, pool, settlement]) {
        await call(contract, 'grantRole', [ADMIN_ROLE, admin])
        await call(contract, 'renounceRole', [ADMIN_ROLE, deployer])
      }
    }
    return {
      chainId: options.chainId,
      fromBlock,
      token: token.address,
      gas: gas.address,
      rewardPool: pool.address,
      settlement: settlement.address,
      mergedMining: mining.address,
      treasury: treasury.toLowerCase() as Hex,
      admin: admin.toLowerCase() as Hex,
      prices: [
        {
          service: BANDWIDTH_SERVICE,
          version: 1,
          priceGas18: String(terms.bandwidthGas18PerUnit),
          unitBytes: String(terms.bandwidthUnitBytes),
        },
      ],
    }
  } catch (thrown) {
    throw new IoexError('deployment-failed', 'the contracts could not be put on the chain', {
      blame: 'local',
      fix: `Check that ${options.rpcUrl} answers and that the deployer can pay; then deploy again.`,
      cause: thrown,
    })
  } finally {
    provider.destroy()
  }
}

/** OpenZeppelin's DEFAULT_ADMIN_ROLE. */
const ADMIN_ROLE = `0x${'00'.repeat(32)}`
