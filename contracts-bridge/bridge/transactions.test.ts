import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Wallet } from 'ethers'
import { type Hex, silentLog, systemClock } from '@ioex/node/base'
import { chainProvider } from '../deploy/chain-provider.ts'
import { type Anvil, startAnvil } from '../deploy/index.ts'
import { developmentKey } from './proving-ground.ts'
import { createSender } from './transactions.ts'

const CHAIN_ID = 31_337
const TO: Hex = `0x${'ab'.repeat(20)}`
let anvil: Anvil
let provider: ReturnType<typeof chainProvider>
before(async () => {
  anvil = await startAnvil({ port: 0, chainId: CHAIN_ID })
  provider = chainProvider({ rpcUrl: anvil.url, chainId: CHAIN_ID })
})
after(async () => {
  provider.destroy()
  await anvil.stop()
})

function sender(stuckAfterMs: number) {
  return createSender(
    { provider, clock: systemClock, log: silentLog },
    { key: developmentKey(1), chainId: CHAIN_ID, stuckAfterMs },
  )
}

test('a transaction that no block takes is replaced with a higher fee', async () => {
  await anvil.rpc('evm_setAutomine', [false])
  const sent = sender(300).send({ to: TO, data: '0x' }, {})
  await systemClock.sleep(1_500)
  const pool = (await anvil.rpc('txpool_status')) as { pending: string }
  assert.equal(Number(pool.pending), 1, 'one transaction, not several')
  await anvil.rpc('evm_mine')
  const result = await sent
  assert.equal(result.ok, true)
  await anvil.rpc('evm_setAutomine', [true])
  const mined = result.ok ? await provider.getTransaction(result.hash) : null
  const first = (await provider.getFeeData()).maxFeePerGas ?? 0n
  assert.ok((mined?.maxFeePerGas ?? 0n) > first, 'the fee was raised')
})

test('a transaction of before a crash is replaced, never doubled', async () => {
  await anvil.rpc('evm_setAutomine', [false])
  const wallet = new Wallet(developmentKey(1), provider)
  const nonce = await provider.getTransactionCount(wallet.address, 'latest')
  await wallet.sendTransaction({ to: TO, value: 5n, nonce, gasLimit: 30_000n })
  const sent = sender(200).send({ to: TO, data: '0x' }, {})
  await systemClock.sleep(1_000)
  await anvil.rpc('evm_mine')
  assert.equal((await sent).ok, true)
  await anvil.rpc('evm_setAutomine', [true])
  assert.equal(await provider.getTransactionCount(wallet.address, 'latest'), nonce + 1)
})

test('an aborted wait ends at once', async () => {
  await anvil.rpc('evm_setAutomine', [false])
  const abort = new AbortController()
  const sent = sender(60_000).send({ to: TO, data: '0x' }, { signal: abort.signal })
  setTimeout(() => abort.abort(new Error('enough')), 300)
  await assert.rejects(sent, /enough/)
  await anvil.rpc('evm_setAutomine', [true])
})
