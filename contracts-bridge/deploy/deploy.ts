/**
 * One command that puts all contracts on a chain and prints the addresses as JSON:
 * `IOEX_DEPLOYER_KEY=0x… npm run -w contracts-bridge deploy -- --rpc http://127.0.0.1:8545 --chain-id 1224`
 */
import { parseArgs } from 'node:util'
import { asError, fromHex, IoexError, toHex } from '@ioex/node/base'
import { deployAll } from './deploy-all.ts'

const USAGE = 'usage: deploy --rpc URL --chain-id N [--treasury ADDRESS] [--admin ADDRESS]'

try {
  const { values } = parseArgs({
    options: {
      rpc: { type: 'string' },
      'chain-id': { type: 'string' },
      treasury: { type: 'string' },
      admin: { type: 'string' },
    },
  })
  const key = fromHex(process.env['IOEX_DEPLOYER_KEY'] ?? '')
  const chainId = Number(values['chain-id'])
  if (values.rpc === undefined || !Number.isSafeInteger(chainId) || chainId < 1) {
    throw new IoexError('usage', USAGE, { blame: 'caller' })
  }
  if (key?.byteLength !== 32) {
    throw new IoexError('usage', 'IOEX_DEPLOYER_KEY must hold 32 bytes as 0x and 64 digits', {
      blame: 'caller',
    })
  }
  const deployment = await deployAll({
    rpcUrl: values.rpc,
    chainId,
    deployerKey: toHex(key),
    treasury: addressOption(values.treasury),
    admin: addressOption(values.admin),
  })
  process.stdout.write(`${JSON.stringify(deployment, undefined, 2)}\n`)
} catch (thrown) {
  const error = asError(thrown)
  const fix = error instanceof IoexError && error.fix !== undefined ? ` ${error.fix}` : ''
  process.stderr.write(`${error.message}.${fix}\n`)
  process.exitCode = error instanceof IoexError && error.code === 'usage' ? 2 : 1
}

function addressOption(text: string | undefined): `0x${string}` | undefined {
  if (text === undefined) return undefined
  const bytes = fromHex(text)
  if (bytes?.byteLength === 20) return toHex(bytes)
  throw new IoexError('usage', `"${text}" is no address: write 0x and 40 digits`, {
    blame: 'caller',
  })
}
