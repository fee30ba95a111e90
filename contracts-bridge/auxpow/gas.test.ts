import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HDNodeWallet, Interface } from 'ethers'
import { type Hex, silentLog, systemClock } from '@ioex/node/base'
import { mergedMiningAbi } from '../abi/merged-mining.ts'
import { createSender } from '../bridge/transactions.ts'
import { chainProvider } from '../deploy/chain-provider.ts'
import { deployAll, DEVELOPMENT_MNEMONIC, startAnvil } from '../deploy/index.ts'
import { craftAuxPow } from './craft.ts'
import { verifyAuxPow } from './index.ts'
import { auxPowVectors } from './vectors.ts'
import { sha256d } from './work.ts'

/** Chain gas of whole transactions, intrinsic gas and calldata included, to the last unit. README has the same table. */
const MEASURED: Readonly<Record<string, number>> = {}
/** The most that a check of Namecoin 37174 may ever cost. */
const NAMECOIN_LIMIT = 125_000

const CHAIN_ID = 31_337
const EASY_BITS = 0x207f_ffff
const MINER = '0x00000000000000000000000000000000c0ffee11'

test('checking proofs and taking headers in costs what README says', async () => {
  const anvil = await startAnvil({ port: 0, chainId: CHAIN_ID })
  const provider = chainProvider({ rpcUrl: anvil.url, chainId: CHAIN_ID })
  try {
    const key = HDNodeWallet.fromPhrase(DEVELOPMENT_MNEMONIC).privateKey as Hex
    const { mergedMining } = await deployAll({
      ...{ rpcUrl: anvil.url, chainId: CHAIN_ID, deployerKey: key },
      terms: { miningLimitBits: EASY_BITS },
    })
    const mining = new Interface(mergedMiningAbi)
    const sender = createSender(
      { provider, clock: systemClock, log: silentLog },
      { key, chainId: CHAIN_ID },
    )
    const measured: Record<string, number> = {}
    const spend = async (name: string, call: string, inputs: readonly unknown[]) => {
      const data = mining.encodeFunctionData(call, inputs)
      const sent = await sender.send({ to: mergedMining, data }, {})
      assert.ok(sent.ok, `${name}: ${sent.ok ? '' : sent.revert}`)
      measured[name] = Number(sent.gasUsed)
    }

    const [namecoin] = auxPowVectors
    assert.ok(namecoin?.work)
    await spend('check Namecoin 37174', 'verifyAuxPow', [
      ...[namecoin.proof, namecoin.auxHash, namecoin.chainId, namecoin.work.bits],
    ])

    let previous: Uint8Array = new Uint8Array(32)
    for (const [at, when] of ['first', 'next'].entries()) {
      const commitment = await provider.call({
        to: mergedMining,
        data: mining.encodeFunctionData('minerCommitment', [MINER]),
      })
      const header = headerOf(previous, Buffer.from(commitment.slice(2), 'hex'), at + 1)
      previous = sha256d(header)
      const proof = craftAuxPow({
        ...{ auxHash: previous.toReversed(), chainId: 1_224, bits: EASY_BITS },
      })
      assert.ok(verifyAuxPow(proof, { auxHash: previous.toReversed(), chainId: 1_224 }).ok)
      await spend(`take a header in, ${when}`, 'submit', [header, proof, MINER])
      await spend(`claim, ${when}`, 'claim', [previous])
      await anvil.rpc('evm_increaseTime', [240])
    }
    assert.deepEqual(measured, MEASURED)
    assert.ok((measured['check Namecoin 37174'] ?? 0) <= NAMECOIN_LIMIT)
  } finally {
    provider.destroy()
    await anvil.stop()
  }
})

/** With constant times, so that each byte of it is the same in every run. */
function headerOf(previous: Uint8Array, merkleRoot: Uint8Array, height: number): Uint8Array {
  const header = new Uint8Array(84)
  header.set(previous, 4)
  header.set(merkleRoot, 36)
  const view = new DataView(header.buffer)
  view.setUint32(68, 1_700_000_000 + 120 * height, true)
  view.setUint32(72, EASY_BITS, true)
  view.setUint32(80, height, true)
  return header
}
