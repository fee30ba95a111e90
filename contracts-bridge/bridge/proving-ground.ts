/**
 * What the bridge's tests stand on: a real chain with all contracts, a vendor with GAS in escrow, devices that sign
 * for what servers delivered, and a gateway that hands out receipts and signs epochs after adding up by itself.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Contract, HDNodeWallet, Mnemonic, Wallet } from 'ethers'
import { accepted, GIB, type Hex, refused, silentLog, systemClock, toHex } from '@ioex/node/base'
import { createIdentity, type EvmAddress, type Identity } from '@ioex/node/identity'
import {
  checkReceipt,
  type Grant,
  grantId,
  type LedgerDomain,
  type SignedGrant,
  type SignedReceipt,
  signedGrantFromJson,
  signedGrantToJson,
  signedReceiptFromJson,
  signedReceiptToJson,
  signGrant,
  signReceipt,
  tally,
} from '@ioex/node/receipts'
import { gasCreditAbi } from '../abi/gas-credit.ts'
import { ioexTokenAbi } from '../abi/ioex-token.ts'
import { settlementAbi } from '../abi/settlement.ts'
import { chainProvider } from '../deploy/chain-provider.ts'
import {
  type Anvil,
  BANDWIDTH_SERVICE,
  deployAll,
  type Deployment,
  type DeploymentTerms,
  DEVELOPMENT_MNEMONIC,
  startAnvil,
} from '../deploy/index.ts'
import { epochRootDigest } from './epoch-root.ts'
import {
  type Bridge,
  type BridgeOptions,
  createBridge,
  type EpochRequest,
  type EpochSigner,
  type FeedItem,
  fundVendor,
  type ReceiptSource,
} from './index.ts'

const CHAIN_ID = 31_337
export const IOEX = 10n ** 8n
export const GAS = 10n ** 18n
export const GIB_BYTES = BigInt(GIB)
/** The terms of `deployAll`: 0.01 GAS per GiB, 10 GAS per ioeX. */
const PRICE = { priceGas18: GAS / 100n, unitBytes: GIB_BYTES }

export interface ProvingGround {
  readonly anvil: Anvil
  readonly deployment: Deployment
  readonly vendor: EvmAddress
  readonly vendorKey: Hex
  readonly voucherSigner: Identity
  readonly senderKey: Hex
  readonly treasuryKey: Hex
  readonly gateway: ReceiptGateway
  readonly settlement: Contract
  /** Coins of an address, in base units. */
  balanceOf(address: EvmAddress): Promise<bigint>
  /** Sets another price of GAS, and has the vendor convert and deposit at it. */
  depositAtPrice(gas18PerIoex: bigint, ioex: bigint): Promise<void>
  folder(): Promise<string>
  bridge(options?: Partial<BridgeOptions>, needs?: Partial<Ends>): Promise<Bridge>
  stop(): Promise<void>
}

interface Ends {
  readonly source: ReceiptSource
  readonly signer: EpochSigner
}

/** Keeps receipts in the order of arrival, as the real gateway does, and signs what its own receipts come to. */
interface ReceiptGateway extends ReceiptSource, EpochSigner {
  readonly items: FeedItem[]
  /** How often each epoch was asked for. */
  readonly asked: EpochRequest[]
  /** Signs a grant of the vendor for a device. */
  grant(of?: Partial<Grant>, signer?: Identity): SignedGrant
  /** Puts a receipt into the feed. */
  add(
    grant: SignedGrant,
    server: EvmAddress,
    serverBytes: bigint,
    grantBytes?: bigint,
  ): SignedReceipt
  put(grant: unknown, receipt: unknown): void
}

export function identityOf(number: number): Identity {
  return createIdentity(new Uint8Array(32).fill(number))
}

const device = identityOf(1)
export const servers = [2, 3, 4, 5].map((number) => identityOf(number).evmAddress)

/** The key of one of the development chain's accounts. */
export function developmentKey(index: number): Hex {
  const path = `m/44'/60'/0'/0/${index}`
  return HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(DEVELOPMENT_MNEMONIC), path)
    .privateKey as Hex
}

export async function createProvingGround(options: {
  readonly terms?: Partial<DeploymentTerms>
  readonly ioex?: bigint
  readonly dailyCapGas18?: bigint
  /** How far the chain's clock is ahead of the deployment, so that the emission ceiling is not in the way. */
  readonly aheadS?: number
}): Promise<ProvingGround> {
  const anvil = await startAnvil({ port: 0, chainId: CHAIN_ID })
  const folders: string[] = []
  const bridges: Bridge[] = []
  const treasuryKey = developmentKey(0)
  const senderKey = developmentKey(1)
  const vendorKey = developmentKey(2)
  const voucherSigner = identityOf(9)
  const deployment = await deployAll({
    ...{ rpcUrl: anvil.url, chainId: CHAIN_ID, deployerKey: treasuryKey },
    terms: options.terms,
  })
  const fund = (ioex: bigint) =>
    fundVendor({
      ...{ rpcUrl: anvil.url, deployment, vendorKey, treasuryKey, ioex },
      signer: voucherSigner.evmAddress,
      dailyCapGas18: options.dailyCapGas18 ?? 10n ** 30n,
      signerValidUntil: 4_000_000_000,
    })
  const { vendor } = await fund(options.ioex ?? 1_000n * IOEX)
  if (options.aheadS !== 0) await anvil.rpc('evm_increaseTime', [options.aheadS ?? 86_400])
  await anvil.rpc('evm_mine')
  const provider = chainProvider({ rpcUrl: anvil.url, chainId: CHAIN_ID })
  const gateway = createGatewayFor(deployment, vendor, voucherSigner)
  const folder = async () => {
    const made = await mkdtemp(join(tmpdir(), 'ioex-bridge-'))
    folders.push(made)
    return made
  }
  return {
    ...{ anvil, deployment, vendor, vendorKey, voucherSigner, senderKey, treasuryKey, gateway },
    settlement: new Contract(deployment.settlement, settlementAbi, provider),
    async balanceOf(address) {
      const token = new Contract(deployment.token, ioexTokenAbi, provider)
      return (await token.getFunction('balanceOf').staticCall(address)) as bigint
    },
    folder,
    async depositAtPrice(gas18PerIoex, ioex) {
      const admin = new Wallet(treasuryKey, provider)
      const gas = new Contract(deployment.gas, gasCreditAbi)
      const data = gas.interface.encodeFunctionData('setPrice', [gas18PerIoex])
      const sent = await admin.sendTransaction({ to: deployment.gas, data })
      await sent.wait()
      await fund(ioex)
    },
    async bridge(more, needs) {
      const bridge = await createBridge(
        { source: gateway, signer: gateway, clock: systemClock, log: silentLog, ...needs },
        {
          ...{ folder: more?.folder ?? (await folder()), rpcUrl: anvil.url, deployment, senderKey },
          confirmations: 1,
          ...more,
        },
      )
      bridges.push(bridge)
      return bridge
    },
    async stop() {
      for (const bridge of bridges) await bridge.stop()
      provider.destroy()
      await anvil.stop()
      for (const made of folders) await rm(made, { recursive: true, force: true })
    },
  }
}

function createGatewayFor(
  deployment: Deployment,
  vendor: EvmAddress,
  voucherSigner: Identity,
): ReceiptGateway {
  const domain = { chainId: deployment.chainId, verifyingContract: deployment.settlement }
  const items: FeedItem[] = []
  const asked: EpochRequest[] = []
  let serial = 0n
  const put = (grant: unknown, receipt: unknown) => {
    items.push({ cursor: items.length + 1, grant, receipt })
  }
  return {
    items,
    asked,
    put,
    grant(of = {}, signer = voucherSigner) {
      const now = Math.floor(Date.now() / 1000)
      return signGrant(signer, domain, {
        ...{ vendor, device: device.evmAddress, root: `0x${'11'.repeat(32)}` },
        ...{ deltaRoot: `0x${'00'.repeat(32)}`, maxBytes: 1_000n * GIB_BYTES },
        ...{ service: BANDWIDTH_SERVICE, priceVersion: 1 },
        // As the gateway does it: some minutes early, since clocks differ.
        ...{ notBefore: now - 300, notAfter: now + 86_400, serial: ++serial },
        ...of,
      })
    },
    add(grant, server, serverBytes, grantBytes = serverBytes) {
      const id = grantId(grant.message)
      const receipt = signReceipt(device, domain, { grantId: id, server, serverBytes, grantBytes })
      put(signedGrantToJson(grant), signedReceiptToJson(receipt))
      return receipt
    },
    pull: (after, limit) => Promise.resolve(items.slice(after, after + limit)),
    sign(request) {
      asked.push(request)
      if (totalOf(items, domain, request) !== request.totalCumulativeGas18) {
        return Promise.resolve(refused('epoch-total-wrong'))
      }
      const digest = epochRootDigest(domain, request)
      return Promise.resolve(accepted(toHex(voucherSigner.signDigest(digest))))
    },
  }
}

/** What the receipts up to the request's cursor come to, computed apart from the bridge. */
function totalOf(items: readonly FeedItem[], domain: LedgerDomain, request: EpochRequest): bigint {
  const entries = items
    .filter(({ cursor }) => cursor <= request.throughCursor)
    .flatMap((item) => {
      const grant = signedGrantFromJson(item.grant)
      const receipt = signedReceiptFromJson(item.receipt)
      if (!grant.ok || !receipt.ok || !checkReceipt(domain, grant.value, receipt.value).ok)
        return []
      return [{ grant: grant.value.message, receipt: receipt.value.message }]
    })
  return tally(entries, { priceOf: (_service, version) => (version === 1 ? PRICE : undefined) })
    .totalGas18
}
