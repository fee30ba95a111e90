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
const MEASURED: Readonly<Record<string, number>> = {
  'check Namecoin 37174': 82_960,
  'take a header in, first': 123_494,
  'claim, first': 61_925,
  'take a header in, next': 123_709,
  'claim, next': 44_837,
}
/** The most that a check of Namecoin 37174 may ever cost, or a header with a proof of its size. */
const LIMIT = 125_000

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

    const view = (name: string, inputs: readonly unknown[]) =>
      provider.call({ to: mergedMining, data: mining.encodeFunctionData(name, inputs) })
    let previous = Buffer.from((await view('tip', [])).slice(2, 66), 'hex')
    for (const [at, when] of ['first', 'next'].entries()) {
      const commitment = await view('minerCommitment', [MINER])
      const header = headerOf(previous, Buffer.from(commitment.slice(2), 'hex'), at + 1)
      previous = Buffer.from(sha256d(header))
      const proof = craftAuxPow({
        ...{ auxHash: previous.toReversed(), chainId: 1_224, bits: EASY_BITS },
        // A proof as large as that of Namecoin 37174.
        outputs: 34,
      })
      assert.ok(verifyAuxPow(proof, { auxHash: previous.toReversed(), chainId: 1_224 }).ok)
      await spend(`take a header in, ${when}`, 'submit', [header, proof, MINER])
      await spend(`claim, ${when}`, 'claim', [previous])
      await anvil.rpc('evm_increaseTime', [240])
    }
    assert.deepEqual(measured, MEASURED)
    for (const used of Object.values(measured)) assert.ok(used <= LIMIT)
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
