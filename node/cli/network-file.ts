import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, codeOf, writeFileDurably } from '../base/index.ts'
import { type EvmAddress, parseEvmAddress } from '../identity/index.ts'
import { type NetworkFile, networkFileSigner, verifyNetworkFile } from '../network/index.ts'
import { Failure } from './failure.ts'
import { homePaths } from './home.ts'
import { fromEnv, text } from './options.ts'

export const networkFileOptions = {
  network: fromEnv(
    text('--network FILE', "the operator's signed network.json; kept in the home from then on"),
    'IOEX_NETWORK',
  ),
  operator: fromEnv(
    text('--operator ADDRESS', 'whose signature the network file must carry, 0x…'),
    'IOEX_OPERATOR',
  ),
}

/**
 * The network file of a home. Whoever gives a file by hand vouches for its operator, who is noted in the home:
 * from then on no other is taken unless he is named by `--operator`.
 */
export async function loadNetworkFile(
  home: string,
  options: { readonly network: string | undefined; readonly operator: string | undefined },
  clock: Clock,
): Promise<NetworkFile> {
  const kept = homePaths(home).networkFile
  const source = options.network ?? kept
  const candidate = await readJson(source, options.network === undefined ? home : undefined)
  const operator =
    options.operator === undefined ? await knownOperator(home) : parseEvmAddress(options.operator)
  const signer = networkFileSigner(candidate)
  const file = verifyNetworkFile(candidate, { operator: operator ?? signer, clock })
  await writeFileDurably(operatorPath(home), `${operator ?? signer}\n`)
  if (options.network !== undefined) {
    await writeFileDurably(kept, `${JSON.stringify(candidate, undefined, 2)}\n`)
  }
  return file
}

function operatorPath(home: string): string {
  return join(home, 'operator')
}

async function knownOperator(home: string): Promise<EvmAddress | undefined> {
  try {
    return parseEvmAddress((await readFile(operatorPath(home), 'utf8')).trim())
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}

async function readJson(path: string, home: string | undefined): Promise<unknown> {
  let content: string
  try {
    content = await readFile(path, 'utf8')
  } catch (thrown) {
    if (codeOf(thrown) !== 'ENOENT') throw thrown
    const where = home === undefined ? `there is no ${path}` : `there is no network file in ${home}`
    throw new Failure('network-file-missing', where, {
      fix: "Get network.json from the network's operator and add --network network.json.",
      cause: thrown,
    })
  }
  try {
    return JSON.parse(content)
  } catch (thrown) {
    if (!(thrown instanceof SyntaxError)) throw thrown
    throw new Failure('network-file-invalid', `${path} is not JSON`, {
      fix: "Get network.json from the network's operator again.",
      cause: thrown,
    })
  }
}
