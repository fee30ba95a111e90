import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Interface } from 'ethers'
import { type Hex, silentLog, systemClock, toHex } from '@ioex/node/base'
import type { EvmAddress } from '@ioex/node/identity'
import { settlementAbi } from '../abi/settlement.ts'
import { gasCreditAbi } from '../abi/gas-credit.ts'
import { ioexTokenAbi } from '../abi/ioex-token.ts'
import { claimCall, postCall } from './chain.ts'
import { chainProvider } from '../deploy/chain-provider.ts'
import { epochRootDigest, type RewardLeaf, rewardTree } from './index.ts'
import {
  createProvingGround,
  developmentKey,
  GAS,
  GIB_BYTES,
  IOEX,
  type ProvingGround,
} from './proving-ground.ts'
import { createSender } from './transactions.ts'

/**
 * Chain gas of whole transactions, intrinsic gas and calldata included, as they were measured; README has the same
 * table. A change that costs 1 % more fails here and has to be meant.
 */
const MEASURED: Readonly<Record<string, number>> = {
  'convert, first': 76_651,
  'convert, next': 59_551,
  'deposit, first': 90_213,
  'deposit, next': 53_633,
  'post, first epoch': 196_665,
  'post, next epoch': 125_729,
  'post with 1 claim, first': 223_337,
  'post with 1 claim, next': 172_037,
  'post with 100 claims, first': 7_467_414,
  'post with 100 claims, next': 4_048_606,
  'claim by a server, next': 99_371,
  'receipt claim, 1 receipt': 177_818,
  'receipt claim, 20 receipts': 1_461_672,
  'finish a receipt claim': 181_671,
}
const TOLERANCE = 0.01

let ground: ProvingGround
before(async () => {
  ground = await createProvingGround({
    ioex: 100_000n * IOEX,
    aheadS: 30 * 86_400,
    terms: { receiptClaimDelayS: 60 },
  })
})
after(() => ground.stop())

test('transactions cost what README says', async () => {
  const { anvil, deployment, vendor, voucherSigner, gateway } = ground
  const provider = chainProvider({ rpcUrl: anvil.url, chainId: deployment.chainId })
  const measured: Record<string, number> = {}
  const by = (key: Hex) =>
    createSender(
      { provider, clock: systemClock, log: silentLog },
      { key, chainId: deployment.chainId },
    )
  const spend = async (name: string, key: Hex, to: Hex, data: string) => {
    const sent = await by(key).send({ to, data }, {})
    assert.ok(sent.ok, `${name}: ${sent.ok ? '' : sent.revert}`)
    measured[name] = Number(sent.gasUsed)
  }
  const settlement = new Interface(settlementAbi)
  const gas = new Interface(gasCreditAbi)
  const token = new Interface(ioexTokenAbi)
  const newcomer = developmentKey(6)
  const { address } = by(newcomer)
  const toGas = (name: string, data: string) => spend(name, newcomer, deployment.gas, data)
  const toSettlement = (name: string, data: string, key: Hex = ground.senderKey) =>
    spend(name, key, deployment.settlement, data)

  await spend(
    '-',
    ground.treasuryKey,
    deployment.token,
    token.encodeFunctionData('transfer', [address, 100n * IOEX]),
  )
  await spend(
    '-',
    newcomer,
    deployment.token,
    token.encodeFunctionData('approve', [deployment.gas, 100n * IOEX]),
  )
  await toGas('convert, first', gas.encodeFunctionData('convert', [IOEX, 0]))
  await toGas('convert, next', gas.encodeFunctionData('convert', [IOEX, 0]))
  await toSettlement('deposit, first', settlement.encodeFunctionData('deposit', [GAS]), newcomer)
  await toSettlement('deposit, next', settlement.encodeFunctionData('deposit', [GAS]), newcomer)

  let epoch = 0
  let total = 0n
  const domain = { chainId: deployment.chainId, verifyingContract: deployment.settlement }
  const post = async (
    name: string,
    leaves: readonly RewardLeaf[],
    claims: readonly RewardLeaf[],
  ) => {
    epoch++
    total += 1_000n * GAS
    const { root } = rewardTree(leaves)
    const digest = epochRootDigest(domain, { vendor, epoch, totalCumulativeGas18: total, root })
    const signature = toHex(voucherSigner.signDigest(digest))
    await toSettlement(name, postCall({ vendor, epoch, total, root, signature, leaves, claims }))
  }
  /** Each server's share of all epochs up to now, the one to be posted included. */
  const leavesFor = (count: number, offset: number): RewardLeaf[] =>
    Array.from({ length: count }, (_, at) => ({
      server: `0x${(offset + at).toString(16).padStart(40, '0')}` as EvmAddress,
      cumulativeIoex: (BigInt(epoch + 1) * 90n * IOEX) / BigInt(count) / 10n,
      cumulativeGas18: (BigInt(epoch + 1) * 1_000n * GAS) / BigInt(count) / 10n,
    }))
  await post('post, first epoch', leavesFor(100, 0x1000), [])
  await post('post, next epoch', leavesFor(100, 0x1000), [])
  const one = () => leavesFor(1, 0x2000)
  const hundred = () => leavesFor(100, 0x3000)
  for (const when of ['first', 'next']) {
    const leaves = one()
    await post(`post with 1 claim, ${when}`, leaves, leaves)
  }
  for (const when of ['first', 'next']) {
    const leaves = hundred()
    await post(`post with 100 claims, ${when}`, leaves, leaves)
  }
  const leaves = hundred()
  await post('-', leaves, [])
  await toSettlement('claim by a server, next', claimCall(vendor, leaves, leaves.slice(0, 1)))

  const serverKey = developmentKey(7)
  const server = by(serverKey).address.toLowerCase() as EvmAddress
  const evidence = Array.from({ length: 21 }, () => {
    const grant = gateway.grant()
    const receipt = gateway.add(grant, server, 100n * GIB_BYTES)
    return {
      ...{ grant: grant.message, grantSignature: grant.signature },
      ...{ receipt: receipt.message, receiptSignature: receipt.signature },
    }
  })
  const claim = (items: typeof evidence) =>
    settlement.encodeFunctionData('claimWithReceipts', [server, items])
  await toSettlement('receipt claim, 1 receipt', claim(evidence.slice(0, 1)), serverKey)
  await toSettlement('receipt claim, 20 receipts', claim(evidence.slice(1)), serverKey)
  await anvil.rpc('evm_increaseTime', [60])
  await toSettlement(
    'finish a receipt claim',
    settlement.encodeFunctionData('finishReceiptClaim', [vendor, server]),
  )
  provider.destroy()
  delete measured['-']

  assert.deepEqual(Object.keys(measured).sort(), Object.keys(MEASURED).sort())
  for (const [name, used] of Object.entries(measured)) {
    const before = MEASURED[name] ?? 0
    assert.ok(
      Math.abs(used - before) <= before * TOLERANCE,
      `${name}: ${used} gas, measured before: ${before}\n${JSON.stringify(measured, undefined, 2)}`,
    )
  }
})
