import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Contract, HDNodeWallet, id, Mnemonic } from 'ethers'
import { type Hex } from '@ioex/node/base'
import { gasCreditAbi } from '../abi/gas-credit.ts'
import { ioexTokenAbi } from '../abi/ioex-token.ts'
import { settlementAbi } from '../abi/settlement.ts'
import { chainProvider } from './chain-provider.ts'
import {
  type Anvil,
  deployAll,
  type Deployment,
  DeploymentSchema,
  DEVELOPMENT_MNEMONIC,
  startAnvil,
} from './index.ts'

const CHAIN_ID = 31_337
const run = promisify(execFile)
const account = (index: number) =>
  HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(DEVELOPMENT_MNEMONIC), `m/44'/60'/0'/0/${index}`)
const deployerKey = account(0).privateKey as Hex

async function view(
  anvil: Anvil,
  address: Hex,
  abi: typeof ioexTokenAbi | typeof settlementAbi | typeof gasCreditAbi,
  name: string,
  inputs: readonly unknown[],
): Promise<unknown> {
  const provider = chainProvider({ rpcUrl: anvil.url, chainId: CHAIN_ID })
  try {
    return (await new Contract(address, abi, provider)
      .getFunction(name)
      .staticCall(...inputs)) as unknown
  } finally {
    provider.destroy()
  }
}

/** anvil answers before it mines; what is in no block yet is in no saved state either. */
async function mined(anvil: Anvil, hash: unknown): Promise<void> {
  const deadline = Date.now() + 10_000
  while ((await anvil.rpc('eth_getTransactionReceipt', [hash])) === null) {
    assert.ok(Date.now() < deadline, 'the transaction is in no block after 10 s')
    await setTimeout(10)
  }
}

describe('the development chain', () => {
  let folder = ''
  const running: Anvil[] = []
  const start = async () => {
    folder ||= await mkdtemp(join(tmpdir(), 'ioex-chain-'))
    const stateFile = join(folder, 'chain.state')
    const anvil = await startAnvil({ port: 0, chainId: CHAIN_ID, stateFile })
    running.push(anvil)
    return anvil
  }
  after(async () => {
    for (const anvil of running) await anvil.stop()
    await rm(folder, { recursive: true, force: true })
  })
  let deployment: Deployment

  test('comes back with everything after a stop, and its clock goes on', async () => {
    const anvil = await start()
    deployment = await deployAll({ rpcUrl: anvil.url, chainId: CHAIN_ID, deployerKey })
    await anvil.stop()
    await anvil.stop()
    const again = await start()
    assert.equal(
      await view(again, deployment.token, ioexTokenAbi, 'balanceOf', [deployment.treasury]),
      194_000_000n * 10n ** 8n,
    )
    await again.rpc('evm_mine')
    const block = (await again.rpc('eth_getBlockByNumber', ['latest', false])) as {
      timestamp: string
    }
    assert.ok(Math.abs(Number(block.timestamp) - Date.now() / 1000) < 30)
    await again.stop()
  })

  test('after kill -9 it has all that was saved', async () => {
    const anvil = await start()
    const hash = await anvil.rpc('eth_sendTransaction', [
      { from: account(0).address, to: account(1).address, value: '0x1' },
    ])
    await mined(anvil, hash)
    await anvil.save()
    process.kill(anvil.pid, 'SIGKILL')
    const again = await start()
    assert.notEqual(await again.rpc('eth_getTransactionReceipt', [hash]), null)
    await again.stop()
  })

  test('a taken port is an error that says what to do', async () => {
    const anvil = await start()
    await assert.rejects(startAnvil({ port: anvil.port, chainId: CHAIN_ID }), (thrown) => {
      assert.ok(thrown instanceof Error && 'fix' in thrown)
      return /anvil ended at once/.test(thrown.message) && /port/.test(String(thrown.fix))
    })
    await anvil.stop()
  })
})

describe('a deployment', () => {
  let anvil: Anvil
  after(() => anvil.stop())

  test('for another admin leaves the deployer without any right', async () => {
    anvil = await startAnvil({ port: 0, chainId: CHAIN_ID })
    const admin = account(3).address.toLowerCase() as Hex
    const treasury = account(4).address.toLowerCase() as Hex
    const deployer = account(0).address
    const made = await deployAll({
      ...{ rpcUrl: anvil.url, chainId: CHAIN_ID, deployerKey, admin, treasury },
    })
    assert.deepEqual([made.admin, made.treasury], [admin, treasury])
    const balance = (of: Hex) => view(anvil, made.token, ioexTokenAbi, 'balanceOf', [of])
    assert.equal(await balance(treasury), 194_000_000n * 10n ** 8n)
    assert.equal(await balance(made.mergedMining), 6_000_000n * 10n ** 8n)
    assert.equal(await balance(deployer.toLowerCase() as Hex), 0n)
    const contracts = [
      [made.token, ioexTokenAbi],
      [made.gas, gasCreditAbi],
      [made.settlement, settlementAbi],
    ] as const
    const roles = [`0x${'00'.repeat(32)}`, id('PRICE_ROLE'), id('MINTER_ROLE')]
    for (const [address, abi] of contracts) {
      for (const role of roles) {
        assert.equal(await view(anvil, address, abi, 'hasRole', [role, deployer]), false)
      }
      assert.equal(await view(anvil, address, abi, 'hasRole', [roles[0], admin]), true)
    }
  })

  test('by the command prints the addresses as data', async () => {
    const { stdout } = await run(
      process.execPath,
      [join(import.meta.dirname, 'deploy.ts'), '--rpc', anvil.url, '--chain-id', String(CHAIN_ID)],
      { env: { ...process.env, IOEX_DEPLOYER_KEY: deployerKey } },
    )
    const made = DeploymentSchema.parse(JSON.parse(stdout))
    assert.equal(made.chainId, CHAIN_ID)
    assert.equal(await view(anvil, made.token, ioexTokenAbi, 'decimals', []), 8n)
  })

  test('without its options the command says how to call it', async () => {
    await assert.rejects(
      run(process.execPath, [join(import.meta.dirname, 'deploy.ts')]),
      (thrown: unknown) => {
        const { code, stderr } = thrown as { code: number; stderr: string }
        return code === 2 && stderr.startsWith('usage: deploy')
      },
    )
  })
})
