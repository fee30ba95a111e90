import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Contract, Wallet } from 'ethers'
import type { EvmAddress } from '@ioex/node/identity'
import type { SignedGrant, SignedReceipt } from '@ioex/node/receipts'
import { settlementAbi } from '../abi/settlement.ts'
import { chainProvider } from '../deploy/chain-provider.ts'
import {
  createProvingGround,
  developmentKey,
  GAS,
  GIB_BYTES,
  IOEX,
  type ProvingGround,
  servers,
} from './proving-ground.ts'
import { openDoors } from './proving-processes.ts'

const [first = '0x', second = '0x'] = servers
const K = 9_500n
const BPS = 10_000n
/** 0.01 GAS, behind which stands a thousandth of a coin. */
const BURNED_PER_GIB = IOEX / 1_000n

async function accountOf(
  ground: ProvingGround,
): Promise<{ burnedGas18: bigint; paidIoex: bigint }> {
  const answer: unknown = await ground.settlement.getFunction('vendorOf').staticCall(ground.vendor)
  return answer as { burnedGas18: bigint; paidIoex: bigint }
}

test('after a reorganisation of any depth the same is paid again, and once', async () => {
  const ground = await createProvingGround({})
  try {
    const { gateway, anvil } = ground
    const folder = await ground.folder()
    const bridge = await ground.bridge({ folder, confirmations: 2 })
    const mine = (blocks: number) => anvil.rpc('anvil_mine', [blocks])
    await mine(20)
    const before = Number(await anvil.rpc('eth_blockNumber'))

    gateway.add(gateway.grant(), first, 100n * GIB_BYTES)
    assert.equal((await bridge.settleNow({ maxMs: 0 })).vendors[0]?.putOff, 'unconfirmed')
    await mine(1)
    const settled = await bridge.settleNow()
    assert.equal(settled.epochs, 1)
    await mine(3)
    const paid = await ground.balanceOf(first)
    assert.equal(paid, (100n * BURNED_PER_GIB * K) / BPS)

    await anvil.rpc('anvil_reorg', [6, []])
    assert.equal(await ground.balanceOf(first), 0n, 'the reorganisation took the payment back')
    await bridge.settleNow({ maxMs: 0 })
    await mine(1)
    const again = await bridge.settleNow()
    assert.equal(again.epochs, 1)
    assert.equal(again.transactions.length, 1)
    assert.notEqual(again.transactions[0]?.block, settled.transactions[0]?.block)
    assert.equal(await ground.balanceOf(first), paid)

    gateway.add(gateway.grant(), second, 50n * GIB_BYTES)
    await bridge.settleNow({ maxMs: 0 })
    await mine(1)
    assert.equal((await bridge.settleNow()).epochs, 2)

    // Both epochs are taken back at once; posting the later one brings everything.
    await bridge.stop()
    const head = Number(await anvil.rpc('eth_blockNumber'))
    await anvil.rpc('anvil_reorg', [head - before, []])
    assert.equal((await accountOf(ground)).burnedGas18, 0n)
    const restarted = await ground.bridge({ folder, confirmations: 1 })
    const status = await restarted.settleNow()
    assert.equal(status.gasBilled18, (150n * GAS) / 100n)
    assert.equal(await ground.balanceOf(first), paid)
    assert.equal(await ground.balanceOf(second), (50n * BURNED_PER_GIB * K) / BPS)
    assert.deepEqual(status.unpaid, [])
    await restarted.stop()
  } finally {
    await ground.stop()
  }
})

test('while the chain is silent receipts are still taken in, and paid when it is back', async () => {
  const ground = await createProvingGround({})
  const doors = await openDoors(ground)
  try {
    const { gateway } = ground
    doors.isChainSilent = true
    const bridge = await ground.bridge({
      ...{ rpcUrl: doors.rpcUrl, pullEveryMs: 20, epochEveryMs: 20 },
    })
    await bridge.start()
    gateway.add(gateway.grant(), first, 100n * GIB_BYTES)
    const until = async (isSo: () => boolean) => {
      const giveUpAt = Date.now() + 10_000
      while (!isSo()) {
        assert.ok(Date.now() < giveUpAt, 'nothing happened')
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    await until(() => bridge.status().cursor === 1 && bridge.status().chain === 'silent')
    gateway.add(gateway.grant(), first, GIB_BYTES)
    await until(() => bridge.status().cursor === 2)
    assert.equal(bridge.status().epochs, 0)
    doors.isChainSilent = false
    await until(() => bridge.status().gasBilled18 === (101n * GAS) / 100n)
    assert.equal(bridge.status().chain, 'answers')
    await bridge.stop()
  } finally {
    await doors.close()
    await ground.stop()
  }
})

test('a deposit at another price before the post makes the leaves be computed anew', async () => {
  const ground = await createProvingGround({})
  try {
    const { gateway } = ground
    let isFirst = true
    const bridge = await ground.bridge(
      {},
      {
        signer: {
          async sign(request, evidence, options) {
            if (isFirst) {
              isFirst = false
              await ground.depositAtPrice(20n * GAS, 1_000n * IOEX)
            }
            return gateway.sign(request, evidence, options)
          },
        },
      },
    )
    gateway.add(gateway.grant(), first, 100n * GIB_BYTES)
    gateway.add(gateway.grant(), second, 200n * GIB_BYTES)
    const status = await bridge.settleNow()
    assert.equal(status.gasBilled18, 3n * GAS)
    assert.deepEqual(
      gateway.asked.map(({ epoch }) => epoch),
      [1, 2],
    )
    // 10,000 GAS of 1,000 coins and 20,000 GAS of 1,000 coins: a fifteenth of a coin for each GAS.
    assert.equal(status.burnedIoex, (3n * IOEX) / 15n)
    assert.ok((status.burnedIoex * K) / BPS - status.ioexPaid < 2n)
    await bridge.stop()
  } finally {
    await ground.stop()
  }
})

test('a server that was left out claims on chain, and neither way pays what the other has paid', async () => {
  const ground = await createProvingGround({
    terms: { receiptClaimDelayS: 60, receiptClaimMinGas18: GAS / 100n },
  })
  const provider = chainProvider({ rpcUrl: ground.anvil.url, chainId: ground.deployment.chainId })
  try {
    const { gateway, anvil } = ground
    const wallet = new Wallet(developmentKey(5), provider)
    const leftOut = wallet.address.toLowerCase() as EvmAddress
    const settlement = new Contract(ground.deployment.settlement, settlementAbi, wallet)
    const send = async (name: string, inputs: readonly unknown[]) => {
      const data = settlement.interface.encodeFunctionData(name, inputs)
      const sent = await wallet.sendTransaction({ to: ground.deployment.settlement, data })
      await sent.wait()
    }
    const claim = (grant: SignedGrant, receipt: SignedReceipt) =>
      send('claimWithReceipts', [
        leftOut,
        [
          {
            ...{ grant: grant.message, grantSignature: grant.signature },
            ...{ receipt: receipt.message, receiptSignature: receipt.signature },
          },
        ],
      ])
    const bridge = await ground.bridge()
    gateway.add(gateway.grant(), second, 10n * GIB_BYTES)
    await bridge.settleNow()

    const grant = gateway.grant()
    const receipt = gateway.add(grant, leftOut, 100n * GIB_BYTES)
    // The gateway keeps the receipt back.
    const [withheld] = gateway.items.splice(1)
    await claim(grant, receipt)
    await anvil.rpc('evm_increaseTime', [60])
    await send('finishReceiptClaim', [ground.vendor, leftOut])
    const paid = (100n * BURNED_PER_GIB * K) / BPS
    assert.equal(await ground.balanceOf(leftOut), paid)

    // The receipt comes late: it is settled already.
    gateway.put(withheld?.grant, withheld?.receipt)
    await bridge.settleNow()
    assert.equal(await ground.balanceOf(leftOut), paid)
    assert.equal((await accountOf(ground)).burnedGas18, (110n * GAS) / 100n)

    // What comes on top is paid by the epoch, and cannot be claimed with the receipt any more.
    const later = gateway.add(grant, leftOut, 140n * GIB_BYTES)
    const status = await bridge.settleNow()
    assert.equal(status.gasBilled18, (150n * GAS) / 100n)
    assert.equal(await ground.balanceOf(leftOut), (140n * BURNED_PER_GIB * K) / BPS)
    await assert.rejects(claim(grant, later), (thrown: unknown) => {
      const { data } = thrown as { data?: string }
      return settlement.interface.parseError(data ?? '0x')?.name === 'ClaimTooSmall'
    })
    await bridge.stop()
  } finally {
    provider.destroy()
    await ground.stop()
  }
})
